"""Templates print what `kubectl get -o jsonpath=` prints."""

import pytest

from strata.cli.failures import CliFailure
from strata.cli.jsonpath import Query, Template
from strata.cli.ordering import sorted_by

_LIST = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "web", "annotations": {"strata.dev/x": "1"}, "a-b": 1},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Protected", "status": "False"}]},
        },
        {"metadata": {"name": "db"}, "spec": {"paused": False, "none": None, "list": [1, "two"]}},
    ],
}


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{.items[*].metadata.name}", "web db"),
        (
            '{range .items[*]}{.metadata.name}{"\\t"}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}',
            "web\tTrue\ndb\t\n",
        ),
        (r"{.items[0].metadata.annotations.strata\.dev/x}", "1"),
        ("{.items[0].metadata.annotations['strata.dev/x']}", "1"),
        (".items[1].metadata.name", "db"),
        ("{.items[0].metadata.a-b}", "1"),
        ("{$.kind} and more", "List and more"),
        ("{..name}", "web db"),
        ("{.items[-1:].metadata.name}", "db"),
        ("{range .items[*]}{.metadata.name} in {$.kind}, {end}", "web in List, db in List, "),
        ("{range .items[*].metadata.name}{@};{end}", "web;db;"),
        ("{.items[0].metadata['name','a-b']}", "web 1"),
        ("{.items[1].spec.list}", '[1,"two"]'),
        ("{.items[1].spec.paused}", "false"),
        ("{.items[1].spec.none}{.nope.at.all}", ""),
        ('{.items[?(@.metadata.name=="db")].spec.list[1]}', "two"),
        (r"{.items[?(@.metadata.annotations.strata\.dev/x=='1')].metadata.name}", "web"),
        ('{"a}b"}', "a}b"),
        ("{.items[0].metadata.name} {.kind}", "web List"),
        ("{.items[0].metadata.name .kind}", "webList"),
        ("{range .items[*]}{range .status.conditions[*]}{.type}{end}|{end}", "ReadyProtected||"),
        ("no braces nor path"[:0] + "{.kind}", "List"),
    ],
)
def test_a_template_prints_what_kubectl_prints(template: str, printed: str) -> None:
    assert Template(template).render(_LIST) == printed


@pytest.mark.parametrize(
    "template", ["{.a", "{end}", "{range .items[*]}", "{.a[}", "{.a[?(@.]}", "{.a..}", '{"open}', "{.a]}"]
)
def test_a_template_that_makes_no_sense_is_refused(template: str) -> None:
    with pytest.raises(CliFailure, match="jsonpath"):
        Template(template)


def test_a_path_may_stand_with_or_without_braces() -> None:
    for path in ("{.items[0].metadata.name}", ".items[0].metadata.name", "items[0].metadata.name"):
        assert Query(path).values(_LIST) == ["web"]


def test_sorting_takes_numbers_by_value_and_what_is_missing_first() -> None:
    items = [{"n": 10}, {"n": 9}, {}, {"n": 100}]
    assert sorted_by(".n", items, items) == [{}, {"n": 9}, {"n": 10}, {"n": 100}]


def test_sorting_keeps_the_order_of_equals_and_sorts_texts_by_their_letters() -> None:
    items = [{"t": "b", "i": 1}, {"t": "a", "i": 2}, {"t": "b", "i": 3}]
    assert [item["i"] for item in sorted_by("{.t}", items, items)] == [2, 1, 3]
