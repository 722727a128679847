"""The three-way merge: what the file says is set, what it no longer says goes, what others set stays."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from strata.cli.threeway import merge, same, three_way

Json = dict[str, Any]

_KEYS = st.sampled_from("abcd")
_LEAVES = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "x", "y", ""])
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.dictionaries(_KEYS, inner, max_size=3) | st.lists(inner, max_size=2), max_leaves=12
)
_OBJECTS = st.dictionaries(_KEYS, _VALUES, max_size=4)


def _without_nulls(value: Any) -> Any:
    """A stored object has no null members: a server drops them."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _says(wanted: Json, result: Json) -> bool:
    for key, value in wanted.items():
        if value is None:
            if key in result:
                return False
        elif isinstance(value, dict):
            if not isinstance(result.get(key), dict) or not _says(value, result[key]):
                return False
        elif key not in result or not same(value, result[key]):
            return False
    return True


def _paths(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return set()
    found = set()
    for key, inner in value.items():
        found |= {(*prefix, key)} | _paths(inner, (*prefix, key))
    return found


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


@given(last=_OBJECTS, wanted=_OBJECTS, live=_OBJECTS.map(_without_nulls))
def test_after_an_apply_the_object_says_all_that_the_file_says(last: Json, wanted: Json, live: Json) -> None:
    assert _says(wanted, merge(live, three_way(last, wanted, live)))


@given(last=_OBJECTS, wanted=_OBJECTS, live=_OBJECTS.map(_without_nulls))
def test_a_second_apply_of_the_same_file_has_nothing_to_do(last: Json, wanted: Json, live: Json) -> None:
    applied = merge(live, three_way(last, wanted, live))
    assert three_way(wanted, wanted, applied) == {}


@given(last=_OBJECTS, wanted=_OBJECTS, live=_OBJECTS.map(_without_nulls))
def test_what_the_file_no_longer_says_is_gone(last: Json, wanted: Json, live: Json) -> None:
    applied = merge(live, three_way(last, wanted, live))
    for path in _paths(last) - _paths(wanted):
        parents_are_said = all(isinstance(_at(wanted, path[:end]), dict) for end in range(1, len(path)))
        if parents_are_said:
            assert _at(applied, path) is None


@given(last=_OBJECTS, wanted=_OBJECTS, live=_OBJECTS.map(_without_nulls))
def test_what_only_others_set_stays(last: Json, wanted: Json, live: Json) -> None:
    applied = merge(live, three_way(last, wanted, live))
    touched = _paths(last) | _paths(wanted)
    for path in _paths(live):
        untouched = all(path[:end] not in touched for end in range(1, len(path) + 1))
        if untouched:
            assert same(_at(applied, path), _at(live, path))


@given(last=_OBJECTS, wanted=_OBJECTS, live=_OBJECTS.map(_without_nulls))
def test_merging_changes_none_of_what_it_reads(last: Json, wanted: Json, live: Json) -> None:
    before = copy.deepcopy((last, wanted, live))
    merge(live, three_way(last, wanted, live))
    assert (last, wanted, live) == before


def test_a_list_is_one_value() -> None:
    live = {"types": ["a", "b"], "other": 1}
    assert three_way({"types": ["a", "b"]}, {"types": ["b"]}, live) == {"types": ["b"]}


def test_a_field_that_somebody_removed_already_is_not_removed_again() -> None:
    assert three_way({"a": 1, "b": 2}, {"b": 2}, {"b": 2}) == {}


def test_true_is_not_one() -> None:
    assert three_way({}, {"paused": True}, {"paused": 1}) == {"paused": True}
    assert three_way({}, {"count": 1.0}, {"count": 1}) == {}
