"""Waiting until objects are as wanted: the goals, and the watching of many objects against one deadline."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from strata.cli.failures import ApiFailure, CliFailure
from strata.cli.fields import find_condition, is_stale
from strata.cli.kinds import ResourceType
from strata.cli.output import label_of
from strata.cli.session import Session
from strata.cli.watch import Change, Watch

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """An object that is waited for. With a uid, only this very object: another of its name means that it is gone."""

    resource: ResourceType
    name: str
    namespace: str | None
    uid: str = ""

    @property
    def label(self) -> str:
        return label_of(self.resource, self.name)


@dataclass(frozen=True, slots=True)
class Goal:
    """What is waited for. `met` judges a live object; `absence` is whether its absence is the goal, `birth` whether
    it may come later."""

    met: Callable[[Json], bool]
    absence: bool = False
    birth: bool = False

    @staticmethod
    def gone() -> "Goal":
        return Goal(lambda _: False, absence=True)

    @staticmethod
    def parse(text: str) -> "Goal":
        """Read --for. Raises click.UsageError for what it cannot be."""
        if text == "delete":
            return Goal.gone()
        if text == "create":
            return Goal(lambda _: True, birth=True)
        sort, equals, rest = text.partition("=")
        if sort == "condition" and equals and rest:
            return _of_condition(rest)
        if sort == "jsonpath" and equals and rest:
            return _of_path(rest)
        raise click.UsageError(f"--for={text}: say condition=TYPE[=STATUS], delete, create, or jsonpath=PATH[=VALUE]")


def _of_condition(text: str) -> Goal:
    type_, _, wanted = text.partition("=")
    wanted = (wanted or "True").lower()

    def met(document: Json) -> bool:
        condition = find_condition(document, type_)
        # What was true of the spec before the last change says nothing about this one.
        return (
            condition is not None and str(condition["status"]).lower() == wanted and not is_stale(document, condition)
        )

    return Goal(met)


def _of_path(text: str) -> Goal:
    from strata.cli.jsonpath import Query  # noqa: PLC0415 - paths are costly to load, and rarely asked for

    path, wanted = _path_and_value(text)
    query = Query(path)

    def met(document: Json) -> bool:
        found = [_plain(value) for value in query.values(document)]
        return bool(found) if wanted is None else found == [wanted]

    return Goal(met)


def _path_and_value(text: str) -> tuple[str, str | None]:
    """`{.a[?(@.b=="c")].d}=e`: the value follows the closing brace, or, without braces, the last `=`."""
    if text.startswith("{") and "}" in text:
        path, _, rest = text.rpartition("}")
        if rest and not rest.startswith("="):
            raise click.UsageError(f"--for=jsonpath={text}: say jsonpath='{{.path}}'=VALUE")
        return path + "}", rest[1:].strip("\"'") if rest else None
    path, equals, wanted = text.rpartition("=")
    return (path, wanted.strip("\"'")) if equals else (text, None)


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def await_all(
    session: Session,
    subjects: list[Subject],
    goal: Goal,
    patience_s: float | None,
    *,
    on_met: Callable[[Subject], None] = lambda _: None,
    on_change: Callable[[Subject, Json], None] = lambda _, __: None,
) -> list[Subject]:
    """Wait until every subject has met the goal once, or `patience_s` is over (None: for ever); those that have not.

    Raises CliFailure for a subject that is not there, or goes, when that is not the goal.
    """
    deadline_s = None if patience_s is None else session.clock.monotonic_s() + patience_s
    late: list[Subject] = []
    for (resource, namespace), group in _grouped(subjects).items():
        query = {"fieldSelector": f"metadata.name={group[0].name}"} if len(group) == 1 else {}
        watch = Watch(session.client, session.clock, session.pause, resource.collection(namespace), query)
        late += _Group(group, goal, on_met, on_change).run(watch, deadline_s)
    return late


def _grouped(subjects: list[Subject]) -> dict[tuple[ResourceType, str | None], list[Subject]]:
    groups: dict[tuple[ResourceType, str | None], list[Subject]] = {}
    for subject in subjects:
        groups.setdefault((subject.resource, subject.namespace), []).append(subject)
    return groups


class _Group:
    """The subjects of one collection."""

    def __init__(
        self,
        subjects: list[Subject],
        goal: Goal,
        on_met: Callable[[Subject], None],
        on_change: Callable[[Subject, Json], None],
    ) -> None:
        self._pending = {subject.name: subject for subject in subjects}
        self._goal = goal
        self._on_met = on_met
        self._on_change = on_change

    def run(self, watch: Watch, deadline_s: float | None) -> list[Subject]:
        watch.start()
        there = {item["metadata"]["name"]: item for item in watch.items.values()}
        for name in list(self._pending):
            self._judge(name, there.get(name))
        changes = watch.changes(deadline_s)
        while self._pending and (change := next(changes, None)) is not None:
            self._take(change)
        return list(self._pending.values())

    def _take(self, change: Change) -> None:
        name = change.item["metadata"]["name"]
        if name in self._pending:
            self._judge(name, None if change.type == "DELETED" else change.item)

    def _judge(self, name: str, document: Json | None) -> None:
        subject = self._pending[name]
        if document is not None and subject.uid and document["metadata"]["uid"] != subject.uid:
            document = None
        if document is None and not self._goal.absence:
            if self._goal.birth:
                return
            raise ApiFailure(404, "NotFound", f'{subject.resource.plural} "{name}" not found')
        if document is None or self._goal.met(document):
            del self._pending[name]
            self._on_met(subject)
        else:
            self._on_change(subject, document)


def require_any(subjects: list[Subject]) -> None:
    """Raise CliFailure if there is nothing to wait for."""
    if not subjects:
        raise CliFailure("no matching resources found")
