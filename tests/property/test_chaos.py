"""The laws under everything at once: machines lost, EC2 and the store failing, daemons dying, people editing.

A failure prints a scenario and the command that plays it again. STRATA_EXAMPLES=1000 makes a soak of it, with other
examples each time.
"""

import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from tests.kit.acting import hush
from tests.kit.scenario import Scenario, Step, play
from tests.kit.wishes import MANNERS

EXAMPLES = int(os.environ.get("STRATA_EXAMPLES", "40"))
REPLAY = "STRATA_REPLAY"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if "STRATA_EXAMPLES" in os.environ else 600)]

_machine = st.tuples(st.integers(0, 9))
_daemon = st.integers(0, 1)
_stack = st.integers(0, 1)
_layer = st.integers(0, 1)
_outage_s = st.sampled_from([3.0, 12.0, 20.0, 70.0, 400.0, 1500.0])
_count = st.sampled_from([1, 1, 2, 3, 40])
_poison = st.sampled_from(["{", "[]", '{"metadata": {"name": "x"}, "spec": {"layers": []}}', '{"spec": 7}'])
_mutating = st.sampled_from(
    ["RunInstances", "RunInstances", "TerminateInstances", "StopInstances", "StartInstances", "CreateTags"]
)
_reading = st.sampled_from(["DescribeInstances", "DescribeInstanceStatus", "GetParameters", "DescribeImages"])
_codes = st.sampled_from(
    ["InternalError", "RequestLimitExceeded", "UnauthorizedOperation", "RequestExpired", "InsufficientInstanceCapacity"]
)
_wide_codes = st.sampled_from(["AuthFailure", "RequestExpired", "RequestLimitExceeded", "InternalError"])

VERBS = {
    "terminate": _machine,
    "stop": _machine,
    "impair": _machine,
    "recover": _machine,
    "protect": _machine,
    "boots": st.tuples(st.sampled_from(["terminated", "impaired", "stuck"]), st.integers(1, 3)),
    "capacity": st.tuples(st.sampled_from("abc"), st.integers(0, 1)),
    "limit": st.tuples(st.integers(0, 8)),
    "lag": st.tuples(st.sampled_from([5.0, 40.0, 150.0]), st.booleans()),
    "latency": st.tuples(st.sampled_from([0.2, 3.0])),
    "fault": st.one_of(
        st.tuples(st.just("lose-reply"), st.just(""), _mutating, st.integers(1, 3)),
        st.tuples(st.just("error-after"), st.just("InternalError"), _mutating, st.integers(1, 3)),
        st.tuples(st.just("refuse"), _codes, _mutating, _count),
        st.tuples(st.just("refuse"), _wide_codes, _reading, _count),
        st.tuples(st.just("refuse"), st.just("IdempotentParameterMismatch"), st.just("RunInstances"), st.just(2)),
    ),
    "outage": st.one_of(
        st.tuples(st.just("unreachable"), st.just(""), _outage_s), st.tuples(st.just("refuse"), _wide_codes, _outage_s)
    ),
    "throttle": st.tuples(st.sampled_from([0.02, 0.2])),
    "store_down": st.tuples(_outage_s),
    "compact": st.just(()),
    "lose_write_replies": st.tuples(_daemon, st.integers(1, 4)),
    "lose_writes": st.tuples(_daemon, st.integers(1, 4)),
    "refuse_writes": st.tuples(_daemon, st.integers(1, 4)),
    "full": st.tuples(_daemon, _outage_s),
    "poison": st.tuples(
        st.sampled_from(["instances", "layers", "stacks", "launches", "new"]), st.integers(0, 9), _poison
    ),
    "kill": st.tuples(_daemon, st.sampled_from([1.0, 60.0, 2000.0])),
    "freeze": st.tuples(_daemon, _outage_s),
    "cut_off": st.tuples(_daemon, _outage_s),
    "clock": st.tuples(_daemon, st.sampled_from([-240.0, 0.0, 240.0])),
    "scale": st.tuples(_stack, _layer, st.integers(0, 5)),
    "template": st.tuples(_stack, _layer, st.integers(0, 2)),
    "manners": st.tuples(_stack, _layer, st.integers(0, len(MANNERS) - 1)),
    "hold": st.tuples(_stack, _layer, st.booleans()),
    "restart": st.tuples(_stack, _layer),
    "spot": st.tuples(_stack, _layer, st.sampled_from([0, 50, 100])),
    "interrupt": st.tuples(st.integers(0, 9), st.booleans()),
    "spot_capacity": st.tuples(st.sampled_from("abc"), st.integers(0, 1)),
    "events": st.tuples(st.sampled_from([0.3, 45.0]), st.integers(0, 2)),
    "types": st.tuples(_stack, _layer, st.integers(1, 4)),
    "pause": st.tuples(_stack),
    "resume": st.tuples(_stack),
    "delete_layer": st.tuples(_stack, _layer),
    "delete_stack": st.tuples(_stack),
    "delete_slot": _machine,
    "apply_stack": st.tuples(_stack),
    "hand_made": st.tuples(_stack, st.sampled_from(["running", "stopped"]), st.integers(1, 2)),
    "restore": st.tuples(st.sampled_from([1, 5, 20, 60])),
    "strip": _machine,
}

_waits_s = st.sampled_from([0.0, 0.02, 0.1, 0.6, 2.0, 7.0, 30.0, 130.0, 400.0])


# What goes together finds more than everything at once: a scenario keeps to some verbs of one theme.
THEMES = (
    (
        "scale",
        "fault",
        "outage",
        "kill",
        "freeze",
        "lag",
        "clock",
        "boots",
        "capacity",
        "limit",
        "delete_slot",
        "strip",
    ),
    ("impair", "recover", "stop", "terminate", "outage", "fault", "kill", "lag", "boots", "protect", "throttle"),
    ("hand_made", "stop", "terminate", "lag", "latency", "fault", "outage", "kill", "pause", "resume"),
    ("store_down", "cut_off", "lose_write_replies", "lose_writes", "refuse_writes", "full", "compact", "kill", "scale"),
    ("cut_off", "lose_write_replies", "freeze", "poison", "terminate", "scale", "stop", "fault", "clock"),
    ("scale", "types", "pause", "resume", "delete_layer", "delete_stack", "delete_slot", "strip", "hand_made"),
    ("restore", "scale", "terminate", "kill", "fault", "delete_slot", "delete_layer", "hand_made", "lag"),
    ("scale", "pause", "delete_layer", "delete_stack", "apply_stack", "hand_made", "kill", "fault", "latency", "lag"),
    ("template", "manners", "hold", "restart", "scale", "impair", "terminate", "boots", "kill", "outage", "stop"),
    ("template", "manners", "scale", "capacity", "fault", "freeze", "clock", "lag", "recover", "impair", "hand_made"),
    ("template", "manners", "scale", "store_down", "lose_write_replies", "poison", "delete_slot", "pause", "resume"),
    ("poison", "terminate", "scale", "kill", "store_down", "delete_layer", "delete_stack", "impair", "strip"),
    ("spot", "interrupt", "spot_capacity", "events", "scale", "kill", "outage", "fault", "lag", "boots", "terminate"),
    ("spot", "interrupt", "spot_capacity", "manners", "template", "scale", "hold", "impair", "delete_slot", "freeze"),
    tuple(sorted(VERBS.keys() - {"restore"})),
)


@st.composite
def _steps(draw: st.DrawFn) -> tuple[Step, ...]:
    theme = draw(st.sampled_from(THEMES))
    verbs = draw(st.lists(st.sampled_from(theme), min_size=2, max_size=5, unique=True))
    step = st.sampled_from(verbs).flatmap(lambda verb: st.tuples(_waits_s, st.just(verb), VERBS[verb]))
    return tuple(draw(st.lists(step, min_size=2, max_size=14)))


scenarios = st.builds(
    Scenario,
    seed=st.integers(0, 10_000),
    daemons=st.integers(1, 2),
    healing=st.sampled_from(["replace", "restart"]),
    steps=_steps(),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    hush()
    yield
    structlog.reset_defaults()


@settings(
    max_examples=EXAMPLES,
    derandomize="STRATA_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(scenarios)
def test_the_laws_hold_and_the_world_comes_to_rest_whatever_befalls_it(scenario: Scenario) -> None:
    again = f"{REPLAY}='{scenario.to_text()}' make test ARGS='tests/property/test_chaos.py -k again'"
    note(f"play it again: {again}")
    play(scenario)


def test_a_scenario_is_played_again() -> None:
    """Plays what the variable STRATA_REPLAY holds; without it the shortest scenario there is."""
    text = os.environ.get(REPLAY)
    play(Scenario.from_text(text) if text else Scenario(0, 1, "replace", ((0.0, "terminate", (0,)),)))
