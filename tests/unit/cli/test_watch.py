"""A watch tells every change once, whatever happens to its streams."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from tests.unit.cli.scripted import Answer, Script, playing

from strata.cli.client import TABLE, Client
from strata.cli.failures import ApiFailure
from strata.cli.kubeconfig import Connection
from strata.cli.watch import Change, Watch
from strata.clock import SystemClock

Json = dict[str, Any]

_EXPIRED = {"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}


def _object(name: str, revision: int, uid: str = "") -> Json:
    return {"metadata": {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": str(revision)}}


def _list(revision: int, *items: Json) -> Answer:
    return Answer({"kind": "LayerList", "metadata": {"resourceVersion": str(revision)}, "items": list(items)})


def _stream(*events: tuple[str, Json], tail: bytes = b"", cut: bool = False) -> Answer:
    return Answer(lines=[{"type": type_, "object": document} for type_, document in events], tail=tail, cut=cut)


class _Pauses:
    """Pauses that take no time, and end the test's patience after a few."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        if len(self.taken) > 20:
            raise AssertionError("the watch turns without end")


def _watch(script: Script, pauses: _Pauses, accept: str = "application/json") -> Watch:
    client = Client(Connection(url=script.url, source="test"), timeout_s=5)
    watch = Watch(client, SystemClock(), pauses, "/layers", {}, accept)
    watch.start()
    return watch


def _first(changes: Iterator[Change], count: int) -> list[tuple[str, str, str]]:
    return [
        (change.type, change.item["metadata"]["name"], change.item["metadata"]["resourceVersion"])
        for change in islice(changes, count)
    ]


def _revisions(script: Script) -> list[str]:
    return [asked.query["resourceVersion"] for asked in script.asked if asked.query.get("watch")]


def test_a_dropped_stream_goes_on_where_it_was() -> None:
    with playing(
        _list(5, _object("a", 4)),
        _stream(("MODIFIED", _object("a", 6)), cut=True),
        _stream(("ADDED", _object("b", 7))),
        _stream(("DELETED", _object("a", 8))),
    ) as script:
        told = _first(_watch(script, _Pauses()).changes(), 3)
        assert told == [("MODIFIED", "a", "6"), ("ADDED", "b", "7"), ("DELETED", "a", "8")]
        assert _revisions(script) == ["5", "6", "7"]


def test_a_line_that_was_cut_comes_again_whole() -> None:
    with playing(
        _list(5),
        _stream(("ADDED", _object("a", 6)), tail=b'{"type": "ADDED", "obj', cut=True),
        _stream(("ADDED", _object("b", 7))),
    ) as script:
        assert _first(_watch(script, _Pauses()).changes(), 2) == [("ADDED", "a", "6"), ("ADDED", "b", "7")]
        assert _revisions(script) == ["5", "6"]


def test_a_change_that_comes_twice_is_told_once() -> None:
    with playing(
        _list(5, _object("a", 4)),
        _stream(("ADDED", _object("a", 4)), ("MODIFIED", _object("a", 6)), cut=True),
        _stream(("MODIFIED", _object("a", 6)), ("DELETED", _object("a", 7)), ("DELETED", _object("a", 7))),
        _stream(("ADDED", _object("c", 9))),
    ) as script:
        told = _first(_watch(script, _Pauses()).changes(), 3)
        assert told == [("MODIFIED", "a", "6"), ("DELETED", "a", "7"), ("ADDED", "c", "9")]


def test_a_bookmark_moves_the_revision_and_tells_nothing() -> None:
    with playing(
        _list(5),
        _stream(("BOOKMARK", {"kind": "Layer", "metadata": {"resourceVersion": "50"}}), cut=True),
        _stream(("ADDED", _object("a", 51))),
    ) as script:
        assert _first(_watch(script, _Pauses()).changes(), 1) == [("ADDED", "a", "51")]
        assert _revisions(script) == ["5", "50"]


@pytest.mark.parametrize("expired", [_stream(("ERROR", _EXPIRED)), Answer(_EXPIRED, code=410)])
def test_after_a_revision_expired_what_changed_meanwhile_is_told_from_a_new_list(expired: Answer) -> None:
    before = [_object("same", 1), _object("changed", 2), _object("gone", 3), _object("remade", 4, "old")]
    after = [_object("same", 1), _object("changed", 20), _object("remade", 21, "new"), _object("born", 22)]
    with playing(_list(5, *before), expired, _list(30, *after), _stream(("ADDED", _object("next", 31)))) as script:
        told = _first(_watch(script, _Pauses()).changes(), 6)
        assert told == [
            ("DELETED", "gone", "3"),
            ("DELETED", "remade", "4"),
            ("MODIFIED", "changed", "20"),
            ("ADDED", "remade", "21"),
            ("ADDED", "born", "22"),
            ("ADDED", "next", "31"),
        ]
        assert _revisions(script) == ["5", "30"]


def test_a_server_that_is_away_for_a_while_is_waited_for_with_growing_pauses() -> None:
    away = Answer({"kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "no leader"}, code=503)
    with playing(_list(5), away, away, away, _stream(("ADDED", _object("a", 6)))) as script:
        pauses = _Pauses()
        assert _first(_watch(script, pauses).changes(), 1) == [("ADDED", "a", "6")]
        assert pauses.taken == sorted(pauses.taken)
        assert len(pauses.taken) == 3


def test_what_trying_again_cannot_mend_ends_the_watch() -> None:
    refusal = Answer({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "not yours"}, code=403)
    with playing(_list(5), refusal) as script, pytest.raises(ApiFailure, match="not yours"):
        _first(_watch(script, _Pauses()).changes(), 1)


def test_rows_of_tables_are_followed_by_the_metadata_of_their_objects() -> None:
    def table(revision: int, *names: str) -> Json:
        rows = [{"cells": [name], "object": _object(name, revision)} for name in names]
        return {"kind": "Table", "metadata": {"resourceVersion": str(revision)}, "rows": rows}

    with playing(
        Answer(table(5, "a")),
        _stream(("MODIFIED", table(6, "a")), ("BOOKMARK", table(9)), cut=True),
        _stream(("ADDED", table(10, "b"))),
    ) as script:
        changes = _watch(script, _Pauses(), TABLE).changes()
        cells = [(change.type, change.item["cells"]) for change in islice(changes, 2)]
        assert cells == [("MODIFIED", ["a"]), ("ADDED", ["b"])]
        assert _revisions(script) == ["5", "9"]


class _Clock(SystemClock):
    def __init__(self) -> None:
        self.at_s = 0.0

    def monotonic_s(self) -> float:
        self.at_s += 0.3
        return self.at_s


def test_a_watch_ends_at_its_deadline() -> None:
    with playing(_list(5), *[_stream() for _ in range(10)]) as script:
        client = Client(Connection(url=script.url, source="test"), timeout_s=5)
        watch = Watch(client, _Clock(), _Pauses(), "/layers", {})
        watch.start()
        assert list(watch.changes(deadline_s=2.0)) == []
        assert all(int(asked.query["timeoutSeconds"]) <= 2 for asked in script.asked[1:])


def test_a_list_of_several_pages_is_read_whole() -> None:
    first = Answer({"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [_object("a", 1)]})
    with playing(first, _list(5, _object("b", 2))) as script:
        assert [item["metadata"]["name"] for item in _watch(script, _Pauses()).items.values()] == ["a", "b"]
        assert [asked.query.get("continue") for asked in script.asked] == [None, "more"]


def test_pages_that_expire_on_the_way_are_read_again_in_one() -> None:
    first = Answer({"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [_object("a", 1)]})
    with playing(first, Answer(_EXPIRED, code=410), _list(6, _object("a", 1), _object("b", 2))) as script:
        assert len(_watch(script, _Pauses()).items) == 2
        assert "limit" not in script.asked[-1].query
