"""The sum behind a layer's number, in the words of its events, plans, `describe` and `why`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from strata.resources.layer import Because

_NOT_SAID: Mapping[str, str] = MappingProxyType({})


def sum_of(desired: int, because: Sequence[Because], ends: Mapping[str, str] = _NOT_SAID) -> str:
    """`6 = 2 always + 4 schedule/office-hours`; what adds nothing is left out, but for the only rule there is.

    `ends` says of rules until when they add: `… + 4 schedule/office-hours until 2026-11-24T01:00:00Z`.
    """
    addends = [one for one in because if one.instances] or list(because)
    if not addends:
        return str(desired)
    text = "".join(f" {'-' if one.instances < 0 else '+'} {_addend(one, ends)}" for one in addends)
    return f"{desired} = {text.removeprefix(' + ').removeprefix(' ')}"


def change_of(before: int, desired: int, because: Sequence[Because]) -> str:
    """`wants 6 instead of 2: 6 = 2 always + 4 schedule/office-hours`."""
    return f"wants {desired} instead of {before}: {sum_of(desired, because)}"


def _addend(one: Because, ends: Mapping[str, str]) -> str:
    end = ends.get(one.rule)
    return f"{abs(one.instances)} {one.rule}" + (f" until {end}" if end else "")
