"""The scenarios of one fleet size, in the order in which one world lives through them, and what each of them cost."""

import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.bench.report import Figure
from tests.bench.rig import NO_BUCKETS, Reading, Rig, Size, now_s, wait_s
from tests.kit.cluster import until

_POLL_S = 5.0
_OFTEN = 5  # times as often
_WINDOW_S = 60.0
_SWEEPS = 4
_SETTLE_S = 20.0
_LATENCY_S = 0.05
_RUN_BUCKET, _RUN_REFILL_S = 5, 0.5  # RunInstances: 5 calls at once, then 2 a second


def run(size: Size, directory: Path) -> Iterator[Figure]:
    """Converge, idle, sweep, heal and scale one fleet; a Figure as each is done."""
    with Rig(directory) as rig:
        yield _converge(rig, size)
        rig.wait_tagged()
        swept = _idle(rig, size, "--sweep-interval", str(_WINDOW_S / _SWEEPS))
        often = _idle(rig, size, "--poll-interval", str(_POLL_S / _OFTEN))
        steady = _idle(rig, size)
        yield _sweep(size, swept, steady)
        yield _cycle(size, often, steady)
        yield _rest(rig, size, steady)
        yield _heal(rig, size, buckets=False)
        yield _scale(rig, size)
        rig.cluster.sim("throttle", {"scale": 1.0})
        rig.cluster.sim("latency", {"seconds": _LATENCY_S})
        rig.restart_daemon("throttled")
        rig.wait_online(size.machines)
        wait_s(2 * _POLL_S)  # and the buckets fill
        yield _heal(rig, size, buckets=True)


def _converge(rig: Rig, size: Size) -> Figure:
    with rig.measured() as reading:
        applied = rig.cluster.strata("apply", "-f", "-", stdin=size.documents(), timeout_s=900)
        assert applied.returncode == 0, applied.stderr
        rig.wait_online(size.machines)
    figure = Figure.of(size, "converge", "strata", reading)
    figure.peak_mib = rig.peak_mib()
    figure.goals = {"cpu_s": 60.0} if size.machines >= 10_000 else {}
    return figure


def _idle(rig: Rig, size: Size, *flags: str) -> Reading:
    """What a settled fleet costs for a while, to a daemon that was started with these flags."""
    rig.restart_daemon(f"idle{len(flags)}{flags[:1]}", *NO_BUCKETS, *flags)
    rig.wait_online(size.machines)
    wait_s(_SETTLE_S)
    with rig.measured() as reading:
        wait_s(_WINDOW_S)
    return reading


def _sweep(size: Size, swept: Reading, steady: Reading) -> Figure:
    """One full sweep: what a while with sweeps costs beyond one without; each takes the turn of a poll."""
    more = swept.calls["DescribeInstances"] - steady.calls["DescribeInstances"]
    reading = Reading(cpu_s=max(0.0, swept.cpu_s - steady.cpu_s) / _SWEEPS)
    reading.calls["DescribeInstances"] = 1 + -(-more // _SWEEPS)
    figure = Figure.of(size, "full sweep", "strata", reading)
    figure.goals = {"calls": size.machines // 1000 + 3}
    return figure


def _cycle(size: Size, often: Reading, steady: Reading) -> Figure:
    """One cycle of the poll over a fleet in which nothing changes: what more of them cost, by the cycle."""
    cycles = _WINDOW_S / _POLL_S
    reading = Reading(cpu_s=max(0.0, often.cpu_s - steady.cpu_s) / (cycles * (_OFTEN - 1)))
    figure = Figure.of(size, "steady cycle", "strata", reading)
    figure.calls = {action: round(count / cycles, 2) for action, count in steady.calls.items()}
    figure.goals = {"calls": 3, "cpu_s": 0.02}
    return figure


def _rest(rig: Rig, size: Size, steady: Reading) -> Figure:
    """All that a settled fleet costs, by the minute."""
    figure = Figure.of(size, "a minute at rest", "strata", steady)
    figure.extra = {
        "core_percent": round(100 * steady.cpu_s / _WINDOW_S, 2),
        "stalls_over_50_ms": rig.stalls_over_50_ms(),
    }
    figure.peak_mib = rig.peak_mib()
    figure.goals = {"cpu_s": 0.03 * _WINDOW_S, "peak_mib": 250}
    return figure


def _heal(rig: Rig, size: Size, *, buckets: bool) -> Figure:
    """One machine in a hundred dies: until the last is asked for anew, and the figures until all are online."""
    live = [life["instanceId"] for life in rig.cluster.live()]
    victims = random.Random(1).sample(live, max(1, size.machines // 100))
    with rig.measured() as reading:
        rig.cluster.sim("terminate", {"ids": victims})
        until(lambda: len(rig.cluster.live()) >= size.machines, within_s=120, what="all are launched anew")
        rig.wait_online(size.machines)
    figure = Figure.of(size, "heal 1 % under buckets" if buckets else "heal 1 %", "strata", reading)
    runs = [call for call in reading.log if call["action"] == "RunInstances"]
    seen = next(call for call in reading.log if call["action"] == "DescribeInstances")
    figure.wall_s = _seconds(seen["at"], runs[-1]["at"])
    floor_s = max(0, size.stacks - _RUN_BUCKET) * _RUN_REFILL_S if buckets else 0.0
    figure.extra = {"floor_s": floor_s}
    figure.goals = {"wall_s": floor_s + 1.0, "throttled": 0}
    return figure


def _scale(rig: Rig, size: Size) -> Figure:
    """One layer gets ten machines more: from the write to the last RunInstances."""
    with rig.measured() as reading:
        before = now_s()
        asked = datetime.now().astimezone()  # noqa: TID251 - compared with the simulator's clock
        rig.patch_always("s0", "l0", size.each + 10)
        written_s = now_s() - before
        rig.wait_online(size.machines + 10)
    figure = Figure.of(size, "scale +10", "strata", reading)
    runs = [call for call in reading.log if call["action"] == "RunInstances"]
    figure.wall_s = _seconds(asked.isoformat(), runs[-1]["at"]) - written_s
    describes = [c for c in reading.log if c["action"] == "DescribeInstances" and c["number"] < runs[0]["number"]]
    figure.extra = {"describes_before": len(describes)}
    figure.goals = {"wall_s": 0.1 + _LATENCY_S}
    rig.patch_always("s0", "l0", size.each)
    until(lambda: len(rig.cluster.live()) == size.machines, within_s=300, what="the layer is as before", every_s=1.0)
    return figure


def _seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
