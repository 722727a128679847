"""The sum behind a layer's number, in one line."""

from collections.abc import Sequence

from strata.resources.layer import Because


def sum_of(desired: int, because: Sequence[Because]) -> str:
    """`6 = 2 always + 4 schedule/office-hours`; what adds nothing is left out, but for the only rule there is."""
    addends = [one for one in because if one.instances] or list(because)
    if not addends:
        return str(desired)
    text = "".join(f" {'-' if one.instances < 0 else '+'} {abs(one.instances)} {one.rule}" for one in addends)
    return f"{desired} = {text.removeprefix(' + ').removeprefix(' ')}"
