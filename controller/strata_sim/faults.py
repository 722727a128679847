"""Faults that are laid for calls to come: refusals, an unreachable endpoint, replies that get lost."""

import random
from dataclasses import dataclass
from typing import Literal

FaultKind = Literal["refuse", "unreachable", "error-after", "lose-reply"]
KINDS: tuple[FaultKind, ...] = ("refuse", "unreachable", "error-after", "lose-reply")


@dataclass(slots=True)
class Fault:
    """What shall befall calls of these actions (none named: of all).

    refuse        answer `code`, nothing done (AuthFailure, UnauthorizedOperation, RequestExpired, InternalError, ...)
    unreachable   no connection, nothing done
    error-after   done, and then answered with `code` (an InternalError that lies)
    lose-reply    done, and never answered

    `count`: for so many calls, None: until cleared. `skip`: let so many pass first. `probability`: of each call.
    """

    kind: FaultKind
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    actions: frozenset[str] = frozenset()
    count: int | None = 1
    skip: int = 0
    probability: float = 1.0

    @property
    def carried_out(self) -> bool:
        return self.kind in {"error-after", "lose-reply"}


class Faults:
    """One region's laid faults, in the order they were laid; the first that fits a call befalls it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._laid: list[Fault] = []

    def lay(self, fault: Fault) -> None:
        self._laid.append(fault)

    def clear(self) -> None:
        self._laid.clear()

    def laid(self) -> tuple[Fault, ...]:
        return tuple(self._laid)

    def draw(self, action: str) -> Fault | None:
        """The fault that befalls this call, if any; uses up one of its count."""
        for fault in self._laid:
            if fault.actions and action not in fault.actions:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.probability < 1 and self._rng.random() >= fault.probability:
                continue
            self._use(fault)
            return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._laid.remove(fault)
