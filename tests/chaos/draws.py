"""What can befall a world, by kind, and how a seed draws a step of each."""

import random
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from tests.chaos.player import places
from tests.kit.scenario import Step
from tests.kit.wishes import MANNERS

Arguments = tuple[Any, ...]
Places = tuple[tuple[int, int], ...]  # stack and layer
Draw = Callable[[random.Random, Places], tuple[str, Arguments]]  # gives a verb and its arguments

_MUTATING = ("RunInstances", "RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "CreateTags")
_READING = ("DescribeInstances", "DescribeInstances", "DescribeInstanceStatus", "GetParameters")
_CODES = ("InternalError", "RequestLimitExceeded", "UnauthorizedOperation", "InsufficientInstanceCapacity")
_WIDE_CODES = ("AuthFailure", "RequestExpired", "RequestLimitExceeded", "InternalError")
_SHORT_S = (3.0, 12.0, 20.0, 40.0, 70.0)
_LONG_S = (20.0, 70.0, 200.0, 600.0)
_WAITS_S = (0.0, 0.0, 0.02, 0.1, 0.6, 0.6, 2.0, 2.0, 7.0, 15.0)
_LONG_WAITS_S = (30.0, 130.0)
_POISONED = ("instances", "layers", "stacks", "launches")
_OTHER_SHARE = 0.1
_POISON = ("{", "[]", '{"metadata": {"name": "x"}, "spec": {"layers": []}}', '{"spec": 7}')


def _verb(name: str, *choices: tuple[Any, ...]) -> Draw:
    return lambda rng, _places: (name, tuple(rng.choice(some) for some in choices))


_DAEMONS = (0, 1)
_ALWAYS = (True, False)
FAULTS: dict[str, Draw] = {
    "crash": _verb("crash", _DAEMONS, tuple(range(60))),
    "kill": _verb("kill", _DAEMONS, (1.0, 1.0, 30.0, 200.0)),
    "two leaders": _verb("depose"),
    "leader frozen, wakes late": _verb("freeze_leader", _SHORT_S),
    "daemon cut off from etcd": _verb("cut_off", _DAEMONS, _SHORT_S),
    "clock step": _verb("clock", _DAEMONS, (-240.0, 0.0, 240.0, 3600.0)),
    "EC2 reply lost": _verb("fault", ("lose-reply",), ("",), _MUTATING, (1, 2, 3)),
    "EC2 request doubled": _verb("double", (1, 2, 4)),
    "EC2 reply late": _verb("late", (2.0, 14.0, 40.0), (1, 2)),
    "EC2 error that lies": _verb("fault", ("error-after",), ("InternalError",), _MUTATING, (1, 2, 3)),
    "EC2 refuses a change": _verb("fault", ("refuse",), _CODES, _MUTATING, (1, 2, 3)),
    "EC2 refuses a question": _verb("fault", ("refuse",), _WIDE_CODES, _READING, (1, 3, 20)),
    "EC2 away": _verb("outage", ("unreachable",), ("",), _LONG_S),
    "EC2 refuses all": _verb("outage", ("refuse",), _WIDE_CODES, _LONG_S),
    "Describe lags": _verb("lagging", (5.0, 20.0, 40.0), _ALWAYS, _LONG_S),
    "Describe is partial": _verb("partial", (0.2, 0.5, 1.0), (10.0, 30.0, 60.0)),
    "EC2 is slow": _verb("slow", (0.2, 3.0), _SHORT_S),
    "throttling storm": _verb("storm", (0.02, 0.2), _SHORT_S),
    "no capacity in a zone": _verb("zone_out", tuple("abc"), (0, 1), _LONG_S),
    "account limit": _verb("limited", (0, 3, 8), _SHORT_S),
    "boots fail": _verb("boots", ("terminated", "impaired", "stuck"), (1, 2)),
    "etcd killed": _verb("store_down", _SHORT_S),
    "etcd frozen": _verb("store_frozen", _SHORT_S),
    "etcd compacted": _verb("compact"),
    "etcd restored": _verb("restore", (1, 5, 20, 60)),
    "etcd out of space": _verb("no_space", _SHORT_S),
    "etcd reply lost": _verb("lose_write_replies", _DAEMONS, (1, 2, 4)),
    "etcd request lost": _verb("lose_writes", _DAEMONS, (1, 2, 4)),
    "etcd refuses": _verb("refuse_writes", _DAEMONS, (1, 2, 4)),
    "object unreadable": _verb("spoil", _POISONED, tuple(range(10)), _POISON, _LONG_S),
    "slot stripped": _verb("strip", tuple(range(10))),
}
# What was lost with a store that went back nobody can tell from what these do; and a call that was under way when the
# store went back was right when it was sent.
_NOT_WITH_A_RESTORE = frozenset(
    {
        "object unreadable",
        "slot stripped",
        "EC2 is slow",
        "leader frozen, wakes late",
        "EC2 reply late",
        "daemon cut off from etcd",
    }
)


def _place(name: str, *choices: tuple[Any, ...]) -> Draw:
    def draw(rng: random.Random, places: Places) -> tuple[str, Arguments]:
        return name, (*rng.choice(places), *(rng.choice(some) for some in choices))

    return draw


_MACHINES = tuple(range(10))
TRANSITIONS: dict[str, tuple[Draw, ...]] = {
    "scale": (_place("scale", (0, 1, 2, 3, 4)),),
    "heal": (_verb("terminate", _MACHINES), _verb("stop", _MACHINES), _verb("impair", _MACHINES)),
    "rollout": (_place("template", (0, 1, 2, 3)), _place("template", (0, 1, 2, 3)), _place("restart")),
    "delete": (
        *(_verb("delete_slot", _MACHINES),) * 5,
        *(_place("delete_layer"),) * 2,
        _verb("delete_stack", (0, 1)),
    ),
}
# People and chance do these as well; they count as nothing.
_OTHERS: tuple[Draw, ...] = (
    _verb("recover", _MACHINES),
    _place("manners", tuple(range(len(MANNERS)))),
    _place("hold", (True, False, False)),
    _verb("pause", (0, 1)),
    *(_verb("resume", (0, 1)),) * 2,
    _verb("protect", _MACHINES),
    _verb("hand_made", (0, 1), ("running", "stopped"), (1, 2)),
)


class Drawn(NamedTuple):
    """`family` is fault, transition or other; `kind` a key of its table."""

    family: str
    kind: str
    step: Step


class Drawer:
    """Draws the steps of one seed. It keeps to some kinds of faults: what goes together finds more."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(f"chaos {seed}")
        self._places = places(seed)
        self._faults = self._rng.sample(sorted(FAULTS), self._rng.randint(4, 8))
        if "etcd restored" in self._faults:
            self._faults = [kind for kind in self._faults if kind not in _NOT_WITH_A_RESTORE]
        self._kinds = [kind for kind in sorted(TRANSITIONS) for _ in range(self._rng.randint(1, 4))]
        self.daemons = self._rng.choice((1, 2, 2))
        self.healing: Literal["replace", "restart"] = self._rng.choice(("replace", "restart"))
        self._long_share = self._rng.choice((0.02, 0.05))

    def draw(self, *, fault_share: float) -> Drawn:
        rng = self._rng
        if rng.random() < _OTHER_SHARE:
            return self._drawn("other", "", rng.choice(_OTHERS))
        if rng.random() < fault_share:
            kind = rng.choice(self._faults)
            return self._drawn("fault", kind, FAULTS[kind])
        kind = rng.choice(self._kinds)
        return self._drawn("transition", kind, rng.choice(TRANSITIONS[kind]))

    def widen(self) -> None:
        """Keep to nothing any more, but for what a restore goes with."""
        self._faults = sorted(FAULTS.keys() - _NOT_WITH_A_RESTORE - {"etcd restored"})
        self._kinds = sorted(TRANSITIONS)

    def draw_after_nothing(self) -> Drawn:
        """A step did nothing: perhaps for want of a stack, or because one that is to go is paused."""
        stack, _ = self._rng.choice(self._places)
        return Drawn("other", "", (0.0, self._rng.choice(("apply_stack", "resume")), (stack,)))

    def _drawn(self, family: str, kind: str, draw: Draw) -> Drawn:
        verb, arguments = draw(self._rng, self._places)
        waits_s = _LONG_WAITS_S if self._rng.random() < self._long_share else _WAITS_S
        return Drawn(family, kind, (self._rng.choice(waits_s), verb, arguments))
