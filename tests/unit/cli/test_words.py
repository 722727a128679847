"""What people type means what a kubectl user expects: kinds, targets, goals, columns and colours."""

from datetime import UTC, datetime
from typing import Any

import click
import pytest
from tests.unit.cli.scripted import playing

from strata.cli.client import Client
from strata.cli.colours import paint
from strata.cli.failures import CliFailure
from strata.cli.kinds import BUILT_IN, INSTANCE, LAYER, STACK, Catalog
from strata.cli.kubeconfig import Connection
from strata.cli.numbers import sum_behind
from strata.cli.tables import ServerTable, TableWriter, text
from strata.cli.targets import Target, parse, parse_one
from strata.cli.waiting import Goal
from strata.resources.kinds import SERVED
from strata.resources.schema import find_definition

Json = dict[str, Any]


@pytest.fixture
def catalog() -> Catalog:
    """Of a server that is away: what is known must not need it."""
    with playing() as script:
        return Catalog(Client(Connection(url=script.url, source="test"), timeout_s=1))


def test_the_kinds_that_are_built_in_are_those_of_the_crds() -> None:
    ours = {resource.kind: resource for resource in BUILT_IN}
    for kind in SERVED:
        definition = find_definition(kind.kind)
        assert definition is not None
        mine = ours[kind.kind]
        assert (mine.plural, mine.namespaced) == (kind.plural, kind.namespaced)
        assert mine.short_names == tuple(definition.short_names)
        assert mine.categories == tuple(definition.categories)


@pytest.mark.parametrize(
    "word", ["layer", "layers", "Layer", "LAYERS", "ly", "layers.strata.dev", "layer.v1alpha1.strata.dev"]
)
def test_a_kind_has_many_names(catalog: Catalog, word: str) -> None:
    assert catalog.find(word) == LAYER


@pytest.mark.parametrize(
    ("words", "targets"),
    [
        (("layers",), [Target(LAYER)]),
        (("layer", "web", "db"), [Target(LAYER, ("web", "db"))]),
        (("layer/web", "instance/a", "ly/db"), [Target(LAYER, ("web", "db")), Target(INSTANCE, ("a",))]),
        (("stacks,layers",), [Target(STACK), Target(LAYER)]),
        (("layer,instance", "web"), [Target(LAYER, ("web",)), Target(INSTANCE, ("web",))]),
    ],
)
def test_words_name_targets(catalog: Catalog, words: tuple[str, ...], targets: list[Target]) -> None:
    assert parse(catalog, words) == targets


@pytest.mark.parametrize(
    "words", [(), ("layer/web", "db"), ("layer", "layer/web"), ("layer/",), ("layer/a/b",), (",",)]
)
def test_words_that_make_no_sense_together_are_wrong_usage(catalog: Catalog, words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        parse(catalog, words)


@pytest.mark.parametrize("words", [("layers",), ("layer", "a", "b"), ("layer/a", "layer/b")])
def test_where_one_object_is_wanted_others_are_wrong_usage(catalog: Catalog, words: tuple[str, ...]) -> None:
    with pytest.raises(click.UsageError):
        parse_one(catalog, words)


def _layer(*, generation: int, **condition: Any) -> Json:
    return {"metadata": {"generation": generation}, "status": {"conditions": [{"type": "Ready", **condition}], "n": 3}}


@pytest.mark.parametrize(
    ("goal", "document", "met"),
    [
        ("condition=Ready", _layer(generation=2, status="True", observedGeneration=2), True),
        ("condition=ready", _layer(generation=2, status="True", observedGeneration=2), True),
        ("condition=Ready", _layer(generation=2, status="True", observedGeneration=1), False),
        ("condition=Ready", _layer(generation=2, status="False", observedGeneration=2), False),
        ("condition=Ready=False", _layer(generation=2, status="False", observedGeneration=2), True),
        ("condition=Absent", _layer(generation=2, status="True", observedGeneration=2), False),
        ("jsonpath={.status.n}=3", _layer(generation=1, status="True"), True),
        ("jsonpath=.status.n=3", _layer(generation=1, status="True"), True),
        ("jsonpath={.status.n}=4", _layer(generation=1, status="True"), False),
        ("jsonpath={.status.n}", _layer(generation=1, status="True"), True),
        ("jsonpath={.status.m}", _layer(generation=1, status="True"), False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=True', _layer(generation=1, status="True"), True),
        ("delete", _layer(generation=1, status="True"), False),
        ("create", _layer(generation=1, status="True"), True),
    ],
)
def test_a_goal_is_met_or_not(goal: str, document: Json, *, met: bool) -> None:
    assert Goal.parse(goal).met(document) is met


@pytest.mark.parametrize("goal", ["", "ready", "condition", "condition=", "jsonpath=", "jsonpath={.a}b"])
def test_a_goal_that_is_none_is_wrong_usage(goal: str) -> None:
    with pytest.raises(click.UsageError):
        Goal.parse(goal)


def _status(desired: int, *because: tuple[str, int]) -> Json:
    rules = [{"rule": rule, "instances": count} for rule, count in because]
    return {"status": {"observedGeneration": 1, "desired": desired, "because": rules}}


def test_the_sum_behind_desired_is_said_with_its_signs() -> None:
    assert sum_behind(_status(6, ("always", 2), ("schedule/day", 4))) == "6 = 2 always + 4 schedule/day"
    assert sum_behind(_status(3, ("always", 5), ("max", -2))) == "3 = 5 always - 2 max"
    assert sum_behind({"status": {"desired": 0, "observedGeneration": 0}}) == "a number that is not decided yet"


def test_columns_never_get_narrower_while_rows_are_added(capsys: pytest.CaptureFixture[str]) -> None:
    writer = TableWriter(("name", "phase"), colour=False)
    writer.write([("a-long-name", "online")])
    writer.write([("b", "booting\nand more")])
    assert capsys.readouterr().out == "NAME          PHASE\na-long-name   online\nb             booting...\n"


def test_without_rows_there_is_no_head(capsys: pytest.CaptureFixture[str]) -> None:
    TableWriter(("name",), colour=False).write([])
    assert capsys.readouterr().out == ""


def test_wide_columns_are_shown_only_when_asked_for_and_ages_are_counted_here_if_the_server_did_not() -> None:
    columns = [{"name": "Name"}, {"name": "Age", "type": "date"}, {"name": "Image", "priority": 1}]
    row = {"cells": ["web", "2026-11-23T12:00:00Z", None], "object": {"metadata": {"namespace": "todo"}}}
    now = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)

    def made(*, wide: bool, namespaces: bool) -> list[str]:
        options: Any = {"namespaces": namespaces, "labels": False, "now": lambda: now}
        return ServerTable({"columnDefinitions": columns}, wide=wide, **options).row(row)

    assert made(wide=False, namespaces=False) == ["web", "5m"]
    assert made(wide=True, namespaces=True) == ["todo", "web", "5m", "<none>"]


@pytest.mark.parametrize(
    ("value", "said"), [(None, "<none>"), ("", "<none>"), (True, "true"), (0, "0"), (["a", 1], "a,1")]
)
def test_a_cell_is_said_as_people_read_it(value: object, said: str) -> None:
    assert text(value) == said


def test_what_is_good_to_be_true_depends_on_the_condition() -> None:
    green, red = click.style("True", fg="green"), click.style("True", fg="red")
    assert paint("READY", "True") == green
    assert paint("PROTECTED", "True") == red
    assert paint("STATUS", "True", "Ready") == green
    assert paint("STATUS", "True", "Stalled") == red
    assert paint("STATUS", "True", "Progressing") == "True"
    assert paint("NAME", "online") == "online"
    assert paint("PHASE", "start_failed") == click.style("start_failed", fg="red")


def test_an_unknown_kind_needs_the_server_and_says_so_if_it_is_away(catalog: Catalog) -> None:
    with pytest.raises(CliFailure, match="no Strata server answers"):
        catalog.find("apps")
