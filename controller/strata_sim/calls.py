"""The call log: everything that anybody did, in order. It is the tests' witness."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from strata_sim.shapes import Params

_KEPT = 100_000


@dataclass(slots=True)
class Trace:
    """What a handler did, noted as it does it: an action that fails half-way has done its first half."""

    made: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    touched: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Call:
    """`code` is "" for success. `answered` False: done as told by `code`, but the caller never heard of it.
    `caller` is the access key, the face's name, or "world" for a world control."""

    number: int
    at: datetime
    at_s: float
    region: str
    caller: str
    action: str
    parameters: Params
    code: str
    answered: bool
    made: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        return str(self.parameters.get("ClientToken", ""))


class CallLog:
    """The newest calls, numbered from 1 without gaps."""

    def __init__(self, kept: int = _KEPT) -> None:
        self._calls: deque[Call] = deque(maxlen=kept)
        self._count = 0

    @property
    def count(self) -> int:
        return self._count

    def add(
        self, *, at: datetime, at_s: float, region: str, caller: str, action: str, params: Params, code: str,
        answered: bool, trace: Trace,
    ) -> Call:  # fmt: skip
        self._count += 1
        call = Call(
            self._count, at, at_s, region, caller, action, params, code, answered,
            tuple(trace.made), tuple(trace.ended), tuple(trace.touched),
        )  # fmt: skip
        self._calls.append(call)
        return call

    def since(self, number: int) -> Iterator[Call]:
        """Calls after this number, oldest first."""
        gone = self._count - len(self._calls)
        return islice(self._calls, max(0, number - gone), None)
