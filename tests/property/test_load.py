"""The load decides by what it surely knows, and never back and forth: held against arbitrary signals."""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strata.planner.facts import Alarm, Known, Series, SignalFact, Unknown
from strata.planner.load import LoadDecision, LoadSnapshot, decide, history_of
from strata.reconcile.history import History
from strata.resources.load import DownRule, Load, LoadStatus, PrometheusQuery, Signal, Target, UpRule
from strata.resources.signal import AlarmState, AlarmValue, Point

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
QUERY = PrometheusQuery(source="main", query="sum(jobs)")


def series(
    values: list[float], *, until: datetime = START, period_s: int = 60, members: int = 0, late_s: int = 60
) -> Known[Series]:
    """Points of equal distance, the last one at `until`."""
    period = timedelta(seconds=period_s)
    points = tuple(Point(until - period * (len(values) - 1 - n), value) for n, value in enumerate(values))
    return Known(Series(period_s, points, members, late_s))


def queue_load(**rules: object) -> Load:
    """One signal, `queue`, from 30 to 80, and what is said of the two rules."""
    signal = Signal(name="queue", prometheus=QUERY, up=80, down=30)
    return msgspec.convert({"signals": [msgspec.to_builtins(signal)], **rules}, Load)


def ask(
    load: Load,
    signals: dict[str, SignalFact],
    *,
    status: LoadStatus | None = None,
    base: int = 2,
    low: int = 0,
    high: int = 10,
    now: datetime = START,
) -> LoadDecision:
    return decide(
        LoadSnapshot(now=now, load=load, status=status or LoadStatus(), base=base, min=low, max=high, signals=signals)
    )


# -- a layer that lives: minute by minute ------------------------------------------------------------------------


@dataclass
class Source:
    """Keeps its own history, as sources do. A number may come late; what there is, everybody is told alike."""

    points: list[tuple[datetime, Point]] = field(default_factory=list)  # since when it can be read, and the point

    def read(self, begin_at: datetime, now: datetime) -> list[Point]:
        return sorted(point for known_at, point in self.points if known_at <= now and begin_at < point.at <= now)


@dataclass
class Daemon:
    """What one process knows of the source, as the collectors keep it."""

    source: Source
    history: History = field(default_factory=lambda: History(60, 60))

    def read(self, load: Load, now: datetime) -> SignalFact:
        self.history.need(history_of(load))
        begin_at = self.history.begin_at(now)
        self.history.take(self.source.read(begin_at, now), begin_at, now)
        return Known(Series(60, tuple(self.history.points)))


@dataclass
class Life:
    """A layer whose load is decided once a minute. Between two minutes nothing is kept but what is stored."""

    load: Load
    base: int = 2
    low: int = 0
    high: int = 10
    status: LoadStatus = field(default_factory=LoadStatus)
    source: Source = field(default_factory=Source)
    daemon: Daemon = field(init=False)

    def __post_init__(self) -> None:
        self.daemon = Daemon(self.source)

    def minute(self, now: datetime, value: float | None, late_m: int = 0) -> LoadDecision:
        if value is not None:
            self.source.points.append((now + late_m * MINUTE, Point(now, value)))
        decision = ask(
            self.load,
            {"queue": self.daemon.read(self.load, now)},
            status=self.status,
            base=self.base,
            low=self.low,
            high=self.high,
            now=now,
        )
        self.status = msgspec.json.decode(msgspec.json.encode(decision.status), type=LoadStatus)
        return decision

    def known(self, now: datetime) -> list[Point]:
        return self.source.read(START - 24 * 60 * MINUTE, now)


noise = st.one_of(
    st.floats(0, 120),
    st.sampled_from([29.9, 30.0, 30.1, 79.9, 80.0, 80.1]),
    st.none(),  # the source has no number of this minute
)


def stretches() -> st.SearchStrategy[list[float | None]]:
    """Hours of values that dwell around the thresholds, for windows to be filled now and then."""
    stretch = st.tuples(noise, st.integers(1, 15)).map(lambda one: [one[0]] * one[1])
    return st.lists(stretch, min_size=5, max_size=25).map(lambda parts: [value for part in parts for value in part])


@given(stretches(), st.integers(1, 8), st.integers(1, 12), st.integers(1, 6), st.integers(1, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_never_flaps(values: list[float | None], up_m: int, down_m: int, up_cool: int, down_cool: int) -> None:
    """Every action has a whole window of numbers behind it, each beyond the threshold, all of the time after the last
    action; and the cooldown of its direction lies between."""
    life = Life(
        queue_load(
            up={"for": f"{up_m}m", "cooldown": f"{up_cool}m"}, down={"for": f"{down_m}m", "cooldown": f"{down_cool}m"}
        )
    )
    last: datetime | None = None
    for n, value in enumerate(values):
        now = START + n * MINUTE
        change = life.minute(now, value).change
        if not change:
            continue
        span, cooldown = (up_m, up_cool) if change > 0 else (down_m, down_cool)
        known = life.known(now)
        window = [point for point in known if point.at > known[-1].at - max(span, 2) * MINUTE]
        assert len(window) == max(span, 2)
        assert all(point.value >= 80 if change > 0 else point.value <= 30 for point in window)
        if last is not None:
            assert window[0].at - MINUTE >= last
            assert now - last >= cooldown * MINUTE
        last = now


@given(st.lists(st.floats(30.1, 79.9), min_size=20, max_size=120))
@settings(max_examples=50, deadline=None)
def test_noise_between_the_thresholds_never_acts(values: list[float]) -> None:
    life = Life(queue_load(), status=LoadStatus(extra=3))
    changes = [life.minute(START + n * MINUTE, value).change for n, value in enumerate(values)]
    assert set(changes) == {0}
    assert life.status.extra == 3


@given(stretches())
@settings(max_examples=40, deadline=None)
def test_extra_never_winds_up(values: list[float | None]) -> None:
    life = Life(queue_load(up={"for": "1m", "cooldown": "1m", "step": 4}), base=3, low=5, high=9)
    for n, value in enumerate(values):
        life.base = 3 + n % 7  # windows open and close
        life.minute(START + n * MINUTE, value)
        assert 0 <= life.status.extra <= max(0, 9 - life.base)


@given(stretches(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_failover_in_the_middle_changes_nothing(values: list[float | None], data: st.DataObject) -> None:
    """Another daemon reads the source's history anew, also where it came late; before it has, it decides nothing."""
    one, other = Life(queue_load()), Life(queue_load())
    fails_at = data.draw(st.integers(0, len(values)))
    for n, value in enumerate(values):
        now, late_m = START + n * MINUTE, data.draw(st.integers(0, 5)) if n % 4 == 0 else 0
        if n == fails_at:
            other.daemon = Daemon(other.source)
            unread: dict[str, SignalFact] = {"queue": Unknown("NotReadYet")}
            nothing = ask(other.load, unread, status=other.status, now=now)
            assert (nothing.change, nothing.status) == (0, other.status)
            assert [verdict.status for verdict in nothing.verdicts] == [None]
        assert one.minute(now, value, late_m) == other.minute(now, value, late_m)


@given(st.lists(st.one_of(st.none(), st.floats(0, 200)), min_size=2, max_size=40), st.integers(0, 60))
@settings(max_examples=100, deadline=None)
def test_nothing_is_decided_on_what_is_missing_or_old(values: list[float | None], age_m: int) -> None:
    points = tuple(Point(START + n * MINUTE, value) for n, value in enumerate(values) if value is not None)
    now = START + (len(values) - 1 + age_m) * MINUTE
    decision = ask(queue_load(up={"for": "2m"}, down={"for": "2m"}), {"queue": Known(Series(60, points))}, now=now)
    newest = points[-1].at if points else None
    if newest is None or now - newest > timedelta(minutes=3):
        assert decision.change == 0
        assert [verdict.status for verdict in decision.verdicts] == ["Unknown"]
    if decision.change:
        assert newest is not None
        assert {newest, newest - MINUTE} <= {point.at for point in points}


@given(
    st.lists(st.sampled_from(["up", "down", "calm", "unknown"]), min_size=1, max_size=4), st.booleans(), st.booleans()
)
@settings(max_examples=100, deadline=None)
def test_any_and_all(states: list[str], up_any: bool, down_any: bool) -> None:  # noqa: FBT001 - drawn
    """The whole table: who breaches, who is unknown, and what either match makes of it."""
    known: dict[str, float] = {"up": 90.0, "down": 10.0, "calm": 50.0}
    load = Load(
        up=UpRule(match="any" if up_any else "all"),
        down=DownRule(match="any" if down_any else "all"),
        signals=tuple(Signal(name=f"s{n}", prometheus=QUERY, up=80, down=30) for n in range(len(states))),
    )
    facts: dict[str, SignalFact] = {
        f"s{n}": Unknown("Unreachable", "no answer") if state == "unknown" else series([known[state]] * 20)
        for n, state in enumerate(states)
    }
    decision = ask(load, facts, status=LoadStatus(extra=2))
    match = {True: any, False: all}
    adds = match[up_any](state == "up" for state in states)
    removes = match[down_any](state == "down" for state in states)
    assert decision.change == (1 if adds else -1 if removes else 0)
    (verdict,) = decision.verdicts
    assert (verdict.status == "Unknown") == ("unknown" in states)
    assert all(f"s{n}" in verdict.message for n, state in enumerate(states) if state == "unknown")


# -- tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "change"),
    [
        ([90.0] * 5, 1),
        ([90.0] * 4, 0),  # the window is not full
        ([80.0] * 5, 1),  # at the threshold is beyond it
        ([90.0] * 4 + [79.9], 0),
        ([79.9] + [90.0] * 5, 1),  # before the window
        ([90.0, 79.9, 90.0, 90.0, 90.0], 0),
        ([20.0] * 10, -1),
        ([20.0] * 9, 0),
        ([30.0] * 10, -1),
        ([20.0] * 9 + [31.0], 0),
    ],
)
def test_every_number_of_the_window_is_beyond_the_threshold(values: list[float], change: int) -> None:
    decision = ask(queue_load(), {"queue": series(values)}, status=LoadStatus(extra=1))
    assert decision.change == change


def test_a_window_spans_two_periods_at_least() -> None:
    load = queue_load(up={"for": "5m"})
    assert ask(load, {"queue": series([90.0], period_s=300)}).change == 0
    assert ask(load, {"queue": series([90.0] * 2, period_s=300)}).change == 1


@pytest.mark.parametrize("missing", range(5))
def test_a_window_lacks_none_of_its_points(missing: int) -> None:
    known = series([90.0] * 5)
    points = tuple(point for n, point in enumerate(known.value.points) if n != missing)
    assert ask(queue_load(), {"queue": Known(Series(60, points))}).change == 0


@pytest.mark.parametrize(("ago_m", "change"), [(4, 0), (5, 1), (6, 1)])
@pytest.mark.parametrize("last", ["last_up_at", "last_down_at"])
def test_a_window_begins_after_the_last_action_of_either_direction(ago_m: int, change: int, last: str) -> None:
    status = msgspec.structs.replace(LoadStatus(extra=2), **{last: START - ago_m * MINUTE})
    assert ask(queue_load(up={"cooldown": "1m"}), {"queue": series([90.0] * 30)}, status=status).change == change


@pytest.mark.parametrize(("ago_m", "change"), [(19, 0), (20, 1)])
def test_a_cooldown_is_kept_to_the_minute_and_says_when_it_ends(ago_m: int, change: int) -> None:
    status = LoadStatus(extra=2, last_down_at=START - ago_m * MINUTE)
    decision = ask(queue_load(up={"cooldown": "20m"}), {"queue": series([90.0] * 60)}, status=status)
    assert decision.change == change
    assert decision.again_at == (None if change else START + MINUTE)


@pytest.mark.parametrize(
    ("extra", "base", "low", "high", "step", "up", "after"),
    [
        (0, 2, 0, 10, 1, True, 1),
        (0, 2, 0, 10, 3, True, 3),
        (7, 2, 0, 10, 3, True, 8),  # max cuts the step
        (8, 2, 0, 10, 3, True, 8),
        (0, 1, 3, 10, 1, True, 3),  # min had made up for two: the step has an effect
        (5, 2, 0, 10, 2, False, 3),
        (1, 2, 0, 10, 3, False, 0),  # the clock's and always's instances stay
        (3, 1, 3, 10, 1, False, 2),
        (2, 1, 3, 10, 1, False, 2),  # min holds
        (9, 6, 0, 10, 1, True, 4),  # windows took its room
    ],
)
def test_a_step_changes_the_number_between_min_and_max(
    extra: int,
    base: int,
    low: int,
    high: int,
    step: int,
    up: bool,  # noqa: FBT001
    after: int,
) -> None:
    load = queue_load(up={"step": step}, down={"step": step})
    fact = series([90.0 if up else 10.0] * 20)
    decision = ask(load, {"queue": fact}, status=LoadStatus(extra=extra), base=base, low=low, high=high)
    assert decision.status.extra == after


@pytest.mark.parametrize(
    ("value", "members", "extra", "change"),
    [
        (25.0, 4, 2, -1),  # 25 x 4 / 3 = 33
        (29.0, 2, 1, 0),  # 29 x 2 / 1 = 58, at the up threshold of 50
        (24.0, 2, 1, -1),
        (20.0, 1, 1, 0),  # none left: nothing would ever add one
    ],
)
def test_a_scale_in_that_would_soon_be_undone_is_held(value: float, members: int, extra: int, change: int) -> None:
    load = Load(up=UpRule(cpu_percent=50), down=DownRule(cpu_percent=30))
    facts: dict[str, SignalFact] = {"cpuPercent": series([value] * 20, members=members)}
    decision = ask(load, facts, status=LoadStatus(extra=extra), base=members - extra)
    assert decision.change == change


@pytest.mark.parametrize(
    ("state", "scales", "since_m", "change"),
    [
        ("ALARM", "up", 5, 1),
        ("ALARM", "up", 4, 0),
        ("OK", "up", 10, -1),
        ("OK", "up", 9, 0),
        ("INSUFFICIENT_DATA", "up", 60, 0),
        ("ALARM", "down", 10, -1),
        ("OK", "down", 60, 0),  # all is well is no reason for more
    ],
)
def test_an_alarm_asks_by_its_state(state: AlarmValue, scales: str, since_m: int, change: int) -> None:
    signal = msgspec.convert({"name": "backlog", "cloudwatchAlarm": "web-backlog", "scales": scales}, Signal)
    fact = Known(Alarm(AlarmState(state, START - since_m * MINUTE), START))
    decision = ask(Load(signals=(signal,)), {"backlog": fact}, status=LoadStatus(extra=2))
    assert decision.change == change


def test_an_alarm_that_is_early_says_when_it_decides() -> None:
    signal = Signal(name="backlog", cloudwatch_alarm="web-backlog")
    fact = Known(Alarm(AlarmState("ALARM", START - 4 * MINUTE), START))
    assert ask(Load(signals=(signal,)), {"backlog": fact}).again_at == START + MINUTE


@pytest.mark.parametrize(
    ("values", "per_instance", "extra", "after"),
    [
        ([900.0] * 5, True, 0, 7),  # 9 machines for 100 each
        ([900.0, 900.0, 400.0, 900.0, 900.0], True, 0, 2),  # out by the smallest
        ([430.0] * 5, True, 2, 2),  # within a tenth of what 4 are good for
        ([441.0] * 5, True, 2, 3),
        ([100.0] * 10, True, 6, 0),
        ([100.0] * 9 + [600.0], True, 6, 4),  # in by the largest
        ([100.0] * 9 + [790.0], True, 6, 6),
        ([0.0] * 10, True, 6, 0),
        ([5000.0] * 5, True, 0, 8),  # max
        ([1.7e308] * 5, True, 0, 8),  # as a query says that means "without bound"
        ([1.7e308] * 5, False, 0, 8),  # times the machines, no float holds it
        ([-1.7e308] * 10, False, 6, 0),
    ],
)
def test_a_target_for_each_instance(values: list[float], per_instance: bool, extra: int, after: int) -> None:  # noqa: FBT001
    load = Load(
        signals=(Signal(name="queue", prometheus=QUERY),),
        target=Target(signal="queue", value=100, per_instance=per_instance),
    )
    decision = ask(load, {"queue": series(values)}, status=LoadStatus(extra=extra))
    assert decision.status.extra == after


@pytest.mark.parametrize(
    ("cpu", "members", "after"),
    [(90.0, 4, 4), (65.0, 4, 2), (66.1, 4, 3), (30.0, 4, 0), (55.0, 4, 2), (30.0, 3, 0), (120.0, 2, 2)],
)
def test_a_target_of_an_average(cpu: float, members: int, after: int) -> None:
    """Of 60; the layer has four, two of them by load. With 2 of 4 online 120 asks for no more than those that boot."""
    load = Load(target=Target(signal="cpuPercent", value=60))
    decision = ask(load, {"cpuPercent": series([cpu] * 20, members=members)}, status=LoadStatus(extra=2))
    assert decision.status.extra == after


@given(st.floats(0, 1000), st.integers(0, 8))
@settings(deadline=None)
def test_a_target_that_was_reached_is_left_alone(value: float, extra: int) -> None:
    """What a target made of the number it does not make another of a window later."""
    load = Load(
        up=UpRule(cooldown="1m"),
        down=DownRule(cooldown="1m"),
        signals=(Signal(name="queue", prometheus=QUERY),),
        target=Target(signal="queue", value=100, per_instance=True),
    )
    first = ask(load, {"queue": series([value] * 20)}, status=LoadStatus(extra=extra))
    later = START + 30 * MINUTE
    second = ask(load, {"queue": series([value] * 20, until=later)}, status=first.status, now=later)
    assert second.change == 0
    assert math.ceil(value / 110 - 1e-6) <= 2 + second.status.extra or second.status.extra == 8


def test_a_decision_names_its_sample() -> None:
    load = Load(up=UpRule(cpu_percent=80))
    (note,) = ask(load, {"cpuPercent": series([84.2] * 5, members=2)}).notes
    assert (note.reason, note.message) == ("LoadHigh", "cpuPercent 84.2 >= 80 for 5m: adds 1")
    decision = ask(queue_load(), {"queue": series([5.0] * 10)}, status=LoadStatus(extra=1))
    assert decision.notes[0].message == "queue 5 <= 30 for 10m: removes 1"
    assert decision.status.sample is not None
    assert decision.status.sample.at == START
    assert decision.status.last_down_at == START


def test_a_load_that_asks_for_more_than_max_is_limited() -> None:
    (verdict,) = ask(queue_load(), {"queue": series([90.0] * 5)}, status=LoadStatus(extra=8)).verdicts
    assert (verdict.status, verdict.reason) == ("True", "ScalingLimited")


@pytest.mark.parametrize(
    ("period_s", "late_s", "age_s", "known"),
    [(60, 60, 180, True), (60, 60, 181, False), (60, 180, 300, True), (300, 300, 900, True), (300, 300, 901, False)],
)
def test_numbers_are_stale_after_two_periods_and_what_the_source_may_be_late(
    period_s: int,
    late_s: int,
    age_s: int,
    known: bool,  # noqa: FBT001 - a table's column
) -> None:
    fact = series([50.0] * 20, period_s=period_s, late_s=late_s)
    (verdict,) = ask(queue_load(), {"queue": fact}, now=START + timedelta(seconds=age_s)).verdicts
    assert (verdict.status == "True") is known


def test_a_last_action_from_the_future_does_not_end_all_decisions() -> None:
    status = LoadStatus(extra=1, last_up_at=START + timedelta(days=300))
    assert ask(queue_load(), {"queue": series([90.0] * 5)}, status=status).change == 1
