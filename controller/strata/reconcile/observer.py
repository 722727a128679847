"""What EC2 says of our machines in one region: one shared, small set of reads for all passes.

    poll    every few seconds: what left, what is not settled (by id), what is impaired
    sweep   all machines with our cluster's tag: after a start, now and then, and to prove absence

A fact is Known while polls complete, Absent by the proof of the design, else Unknown. Never writes to EC2.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from strata.clock import Clock
from strata.cloud.port import MAX_FILTER_VALUES, Cloud, Filter
from strata.errors import CloudError, CloudErrorKind
from strata.metrics import DaemonMetrics
from strata.planner.facts import Absent, Known, MachineFact, Observed, Unknown
from strata.planner.launch import Sweeps
from strata.reconcile.notices import Notices
from strata.resources import reasons, tags
from strata.resources.machine import LIVE_STATES, CheckState, Machine, MachineHealth, MachineState
from strata.settings import ControllerSettings

log = structlog.get_logger(__name__)

# What a machine that ran does next, unless it runs on. `stopped` is in it so that a fast stop is not missed.
_LEAVING: Filter = ("instance-state-name", ("shutting-down", "terminated", "stopping", "stopped"))
_IN_ORDER: tuple[MachineState, ...] = ("pending", "running", "stopping", "stopped", "shutting-down", "terminated")
_SWEEP_INSTEAD = 2 * MAX_FILTER_VALUES  # more ids than this: one sweep is fewer calls
_SLOWER_POLLS = 3  # doublings of the interval while polls fail
_STALE_POLLS = 6  # after so many missed polls, what was known is Unknown
_STALE_AT_LEAST_S = 30.0  # but one slow read is no outage, however short the interval
_FEW_MISSING = 3  # so many, or this share of a region's machines, may vanish without a word of EC2's
_FEW_MISSING_SHARE = 0.3


class _Track:
    """One machine. Times are monotonic seconds."""

    __slots__ = ("checks", "impaired_s", "machine", "missing_s", "missing_sweeps", "started_s", "swept_missing_s")

    def __init__(self, machine: Machine | None, now_s: float) -> None:
        self.machine = machine
        self.started_s = now_s
        self.checks: CheckState | None = None
        self.impaired_s: float | None = None
        self.missing_s: float | None = None  # since when no complete read shows it
        self.missing_sweeps = 0
        self.swept_missing_s = 0.0


class Listener(Protocol):
    """Whom the observer asks what matters, and tells what it saw."""

    def expected(self) -> Iterable[str]:
        """The ids of all machines that our objects have in this region."""
        ...

    def unsettled(self) -> Iterable[str]:
        """Those of them that are not online, or stopped as wanted."""
        ...

    def changed(self, instance_ids: set[str]) -> None:
        """These machines are not as they were."""
        ...

    def reachability_changed(self) -> None:
        """The region can be read again, or no more."""
        ...

    def swept(self) -> None:
        """A complete sweep has just ended."""
        ...


class RegionObserver:
    """The shared view of one region at one endpoint."""

    def __init__(
        self,
        *,
        region: str,
        cloud: Cloud,
        cluster_id: str,
        clock: Clock,
        settings: ControllerSettings,
        metrics: DaemonMetrics,
        listener: Listener,
    ) -> None:
        self.region = region
        self._cloud = cloud
        self._cluster: Filter = (f"tag:{tags.CLUSTER}", (cluster_id,))
        self._cluster_id = cluster_id
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._listener = listener
        self._tracks: dict[str, _Track] = {}
        self._notices = Notices(cloud, self._cluster, clock, region=region)
        self._sweeps: deque[tuple[datetime, float]] = deque(maxlen=16)  # when each began, by both clocks
        self._sweep_due_s = 0.0
        self._complete_s: float | None = None
        self._complete_at: datetime | None = None
        self._failure = Unknown(reasons.CLOUD_UNPOLLED, "not polled yet")
        self._impaired_due_s = 0.0
        self._failures = 0
        self._news: set[str] = set()  # machines that are not as the listener was told
        self._many_missing = 0  # how many are missing, where that is more than can be believed at once
        self._shows_ours = False  # the last sweep showed a live machine of ours: we look where ours are
        self._probe = ""  # the one of many that is taken as gone all the same, for its successor to be seen
        self._probe_due_s = 0.0
        self._wake = asyncio.Event()

    # -- what passes ask -------------------------------------------------------------------------------------

    def fact(self, instance_id: str, *, unwanted: bool = False) -> MachineFact:
        """What is known of this machine now. Of an unwanted one absence is believed even if many are missing: were it
        there after all, the audit would end it."""
        now_s = self._clock.monotonic_s()
        track = self._tracks.get(instance_id)
        if self._complete_s is None or now_s - self._complete_s > self._stale_after_s():
            return self._failure  # also of what a part of a read showed: one part alone may be no whole truth
        if track is None:
            return Unknown(reasons.UNKNOWN, f"{instance_id} was in no answer yet")
        if track.missing_s is not None or track.machine is None:
            return self._missing_fact(instance_id, track, unwanted=unwanted)
        return Known(self._observed(track, track.machine, now_s))

    def poll_state(self) -> Known[datetime] | Unknown:
        """When the region was last read completely, or why it is not."""
        fresh = self._complete_s is not None and (self._clock.monotonic_s() - self._complete_s <= self._stale_after_s())
        return Known(self._complete_at) if fresh and self._complete_at is not None else self._failure

    def sweeps_for(self, launch_id: str) -> Sweeps:
        """The complete sweeps, and the machines that carry this launch's tag or token."""
        machines = tuple(
            track.machine
            for track in self._tracks.values()
            if track.machine is not None
            and track.missing_s is None
            and launch_id in {track.machine.tags.get(tags.LAUNCH), track.machine.client_token}
        )
        return Sweeps(tuple(at for at, _ in self._sweeps), machines)

    def lost_launch(self, launch_id: str) -> Absent | Unknown:
        """What is known of a launch whose record is lost: absent once sweeps far enough apart show nothing of it."""
        sweeps = self.sweeps_for(launch_id)
        apart_s = self._sweeps[-1][1] - self._sweeps[0][1] if self._sweeps else 0.0  # a stepped clock proves nothing
        if sweeps.machines or apart_s < max(self._settings.absence_age_s, self._settings.launch_sweep_after_s):
            return Unknown(reasons.UNKNOWN, f"the record of launch {launch_id} is lost")
        return Absent(sweeps.began_at[0], len(sweeps.began_at))

    def machines(self) -> list[Machine]:
        """All machines that a complete read showed and none has missed since."""
        return [t.machine for t in self._tracks.values() if t.machine is not None and t.missing_s is None]

    def checks_of(self, instance_id: str) -> CheckState | None:
        """Its status checks as they were last read; None: not read since this daemon leads."""
        track = self._tracks.get(instance_id)
        return track.checks if track is not None else None

    def many_missing(self) -> int:
        """How many machines are missing, where they are too many at once to be taken as gone; else 0."""
        return self._many_missing

    def learn(self, machines: Sequence[Machine]) -> None:
        """Take in machines from another complete answer, such as RunInstances'."""
        self._listener.changed(self._merge(machines))

    async def look_at(self, instance_ids: Iterable[str]) -> None:
        """Read these machines now, between two polls. Raises CloudError: a poll will see the same, later."""
        self.learn(await self._read_by_id(list(instance_ids)))

    async def look_for_notices(self) -> None:
        """Ask now which machines EC2 takes back."""
        await self._read_notices()
        self._tell_news()

    def recommend(self, instance_id: str) -> None:
        """EC2 recommended to replace this machine."""
        track = self._tracks.get(instance_id)
        if track is not None and track.machine is not None and self._notices.recommend(track.machine):
            self._listener.changed({instance_id})

    def knows(self, instance_id: str, state: str = "") -> bool:
        """Whether the machine is ours and, if a state is named, was seen in it, or gone."""
        track = self._tracks.get(instance_id)
        machine = track.machine if track is not None else None
        return machine is not None and (not state or machine.state in {state, "terminated"})

    def request_sweep(self, *, in_s: float = 0.0) -> None:
        """Sweep soon; the earliest wish wins."""
        self._sweep_due_s = min(self._sweep_due_s, self._clock.monotonic_s() + in_s)
        self._wake.set()

    # -- the loop --------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Poll for ever. A failed read is reported and tried again at the next turn."""
        while True:
            began_s = self._clock.monotonic_s()
            try:
                await (self.sweep() if began_s >= self._sweep_due_s else self.poll())
            except CloudError as error:
                self._note_failure(error)
            self._export_age()
            self._wake.clear()
            spent_s = self._clock.monotonic_s() - began_s
            await self._sleep(max(0.1, self._interval_s() - spent_s))

    async def poll(self) -> None:
        """One steady cycle. Raises CloudError when any part of it failed: it was then no complete poll."""
        leaving = await self._cloud.describe_instances([self._cluster, _LEAVING])
        self._news |= self._merge(leaving)
        left = {machine.instance_id for machine in leaving}
        open_ids = [instance_id for instance_id in self._open_ids() if instance_id not in left]
        if len(open_ids) > _SWEEP_INSTEAD:
            await self.sweep()
            return
        unsettled = await self._read_by_id(open_ids)
        self._news |= self._merge(unsettled)
        await self._read_checks(open_ids)
        await self._read_notices()
        self._completed()

    async def sweep(self) -> None:
        """Read all machines of ours. Raises CloudError when any page failed: it was then no sweep."""
        began_at, began_s = self._clock.now(), self._clock.monotonic_s()
        is_proof = await self._account_is_right()
        machines = await self._cloud.describe_instances([self._cluster])
        self._news |= self._merge(machines)
        self._shows_ours = any(machine.live for machine in machines)
        missing = await self._note_missing({machine.instance_id for machine in machines}, began_s, is_proof=is_proof)
        self._news |= missing
        await self._read_checks(self._open_ids())
        await self._read_notices()
        if is_proof:
            self._sweeps.append((began_at, began_s))
        again_s = self._settings.absence_gap_s if self._any_missing() else self._settings.sweep_interval_s
        self._sweep_due_s = began_s + again_s
        self._completed()
        self._listener.swept()

    # -- parts -----------------------------------------------------------------------------------------------

    def _merge(self, machines: Iterable[Machine]) -> set[str]:
        """Take in what a reply showed; the ids that changed. What does not carry our tag is not ours."""
        now_s = self._clock.monotonic_s()
        changed: set[str] = set()
        for machine in machines:
            if machine.tags.get(tags.CLUSTER) != self._cluster_id:
                continue
            track = self._tracks.get(machine.instance_id)
            if track is None:
                track = self._tracks[machine.instance_id] = _Track(None, now_s)
            newest = machine if track.machine is None or not _is_older(machine, track.machine) else track.machine
            if track.machine != newest or track.missing_s is not None:
                changed.add(machine.instance_id)
                _take(track, newest, now_s)
        return changed

    def _open_ids(self) -> list[str]:
        """Machines to be read by id: not settled, and not known to be gone."""
        ids = []
        for instance_id in self._listener.unsettled():
            track = self._tracks.get(instance_id)
            if track is None or track.machine is None or track.machine.state != "terminated":
                ids.append(instance_id)
        return ids

    async def _read_by_id(self, ids: Sequence[str]) -> list[Machine]:
        """Those of these machines that EC2 knows: by a filter, for one unknown id would fail a call by parameter."""
        machines: list[Machine] = []
        for start in range(0, len(ids), MAX_FILTER_VALUES):
            wanted = ("instance-id", tuple(ids[start : start + MAX_FILTER_VALUES]))
            machines += await self._cloud.describe_instances([self._cluster, wanted])
        return machines

    async def _read_notices(self) -> None:
        self._news |= await self._notices.read(track.machine for track in self._tracks.values())

    async def _read_checks(self, open_ids: Sequence[str]) -> None:
        """Status checks: of what runs and is not settled by id, of all others by asking what is impaired."""
        running = [i for i in open_ids if (t := self._tracks.get(i)) and t.machine and t.machine.state == "running"]
        read = {health.instance_id: health for health in await self._cloud.describe_health(running)} if running else {}
        self._news |= {i for i, health in read.items() if self._set_checks(i, health)}
        if self._clock.monotonic_s() < self._impaired_due_s:
            return
        impaired = {health.instance_id: health for health in await self._cloud.describe_impaired()}
        self._impaired_due_s = self._clock.monotonic_s() + self._settings.impaired_interval_s
        self._news |= {i for i, health in impaired.items() if self._set_checks(i, health)}
        for instance_id, track in self._tracks.items():
            if track.checks == "impaired" and instance_id not in impaired and instance_id not in read:
                _clear_checks(track)
                self._news.add(instance_id)

    def _set_checks(self, instance_id: str, health: MachineHealth) -> bool:
        track = self._tracks.get(instance_id)
        if track is None or track.checks == health.checks:
            return False
        track.checks = health.checks
        track.impaired_s = self._clock.monotonic_s() if health.checks == "impaired" else None
        return True

    async def _account_is_right(self) -> bool:
        """False: nobody could say whose credentials these are. Raises CloudError where they are another account's: its
        answers would be complete, and show none of ours."""
        try:
            await self._cloud.account()
        except CloudError as error:
            if error.kind is CloudErrorKind.WRONG_ACCOUNT:
                raise
            log.info("account not known: what is missing counts as no proof", region=self.region, error=str(error))
            return False
        return True

    async def _note_missing(self, seen: set[str], began_s: float, *, is_proof: bool) -> set[str]:
        """After a complete sweep: what it did not show. A terminated machine that left EC2's lists is forgotten
        unless an object still needs it as its proof."""
        expected = set(self._listener.expected())
        gone = [i for i, t in self._tracks.items() if i not in seen and i not in expected]
        for instance_id in gone:
            del self._tracks[instance_id]
        unseen = [i for i in expected if i not in seen and not self._known_gone(i)]
        found = await self._read_by_id(unseen)
        changed = self._merge(found)
        missing = set(unseen) - {machine.instance_id for machine in found}
        for instance_id in missing:
            track = self._tracks.setdefault(instance_id, _Track(None, began_s))
            if self._count_missing(track, began_s, is_proof=is_proof):
                changed.add(instance_id)
        self._weigh_missing(missing, len(expected))
        return changed

    def _weigh_missing(self, missing: set[str], expected_count: int) -> None:
        """Whether so many are missing at once that they are rather not shown than gone. See docs/designs/004."""
        is_many = len(missing) > max(_FEW_MISSING, _FEW_MISSING_SHARE * expected_count)
        if is_many and not self._many_missing:
            log.error("many machines are missing at once", region=self.region, missing=len(missing), of=expected_count)
        self._many_missing = len(missing) if is_many else 0
        now_s, age_s = self._clock.monotonic_s(), self._settings.many_absent_age_s
        long_missing = [i for i in missing if now_s - (self._tracks[i].missing_s or now_s) >= age_s]
        if is_many and long_missing and not self._shows_ours and now_s >= self._probe_due_s:
            self._probe, self._probe_due_s = min(long_missing), now_s + age_s
            log.warning("one of the missing machines is taken as gone", region=self.region, machine=self._probe)

    def _known_gone(self, instance_id: str) -> bool:
        track = self._tracks.get(instance_id)
        return track is not None and track.machine is not None and track.machine.state == "terminated"

    def _count_missing(self, track: _Track, began_s: float, *, is_proof: bool) -> bool:
        """Count a sweep that missed the machine, if it is far enough from the last one counted."""
        if track.missing_s is None:
            track.missing_s = track.swept_missing_s = began_s
            track.missing_sweeps = int(is_proof)
            return True
        if not is_proof or began_s - track.swept_missing_s < self._settings.absence_gap_s:
            return False
        track.swept_missing_s = began_s
        track.missing_sweeps += 1
        return True

    def _any_missing(self) -> bool:
        return any(track.missing_s is not None for track in self._tracks.values())

    def _missing_fact(self, instance_id: str, track: _Track, *, unwanted: bool) -> Absent | Unknown:
        """Absent = missing in two complete sweeps and by id, long enough after the launch, and not one of many."""
        now_s = self._clock.monotonic_s()
        missing_s = track.missing_s if track.missing_s is not None else now_s
        old_enough = now_s - (track.started_s if track.machine else missing_s) >= self._settings.absence_age_s
        if track.missing_sweeps < 2 or not old_enough:  # noqa: PLR2004 - the design's two sweeps
            return Unknown(reasons.UNKNOWN, f"{instance_id} is in no answer of EC2's; not proved absent yet")
        if self._many_missing and not unwanted and not self._is_gone_among_many(instance_id, now_s - missing_s):
            message = f"{instance_id} is in no answer of EC2's, like too many others at once, and no end was reported"
            return Unknown(reasons.MANY_MISSING, f"{message}: not taken as gone yet")
        return Absent(self._clock.now() - timedelta(seconds=now_s - missing_s), track.missing_sweeps)

    def _is_gone_among_many(self, instance_id: str, missing_for_s: float) -> bool:
        """Missing for longer than EC2 shows what was terminated, while it shows others of ours; or the probe."""
        long_enough = missing_for_s >= self._settings.many_absent_age_s
        return (long_enough and self._shows_ours) or instance_id == self._probe

    def _observed(self, track: _Track, machine: Machine, now_s: float) -> Observed:
        now = self._clock.now()
        impaired = None if track.impaired_s is None else now - timedelta(seconds=now_s - track.impaired_s)
        starting = now - timedelta(seconds=now_s - track.started_s)
        notice = self._notices.of(machine.instance_id, now)
        return Observed(machine, starting, track.checks, impaired, notice)

    def _completed(self) -> None:
        was_known = isinstance(self.poll_state(), Known)
        self._failures = 0
        self._complete_s = self._clock.monotonic_s()
        self._complete_at = self._clock.now()
        self._failure = Unknown(reasons.UNKNOWN, "no complete poll for too long")
        if not was_known:
            self._news |= set(self._listener.expected())
        self._tell_news()
        if not was_known:
            self._listener.reachability_changed()

    def _note_failure(self, error: CloudError) -> None:
        failure = Unknown(error.kind.value, error.message)
        if failure != self._failure:  # the first of a row of equal ones is said
            log.warning("region not read", region=self.region, reason=error.kind.value, error=str(error))
        self._failure = failure
        self._failures += 1
        self._tell_news()  # what the parts before the failed one showed, no later part will show as new
        if not isinstance(self.poll_state(), Known):
            self._listener.reachability_changed()

    def _tell_news(self) -> None:
        news, self._news = self._news, set()
        if news:
            self._listener.changed(news)

    def _interval_s(self) -> float:
        """Polls that fail come further apart, but not so far that an end of the trouble is missed for long."""
        slower = 2.0 ** min(self._failures, _SLOWER_POLLS)
        return self._settings.poll_interval_s * slower

    def _stale_after_s(self) -> float:
        return max(_STALE_AT_LEAST_S, _STALE_POLLS * self._settings.poll_interval_s)

    def _export_age(self) -> None:
        if self._complete_s is not None:
            age_s = self._clock.monotonic_s() - self._complete_s
            self._metrics.poll_age.labels(region=self.region).set(age_s)

    async def _sleep(self, delay_s: float) -> None:
        try:
            async with asyncio.timeout(delay_s):
                await self._wake.wait()
        except TimeoutError:
            pass


def _is_older(reply: Machine, known: Machine) -> bool:
    """Whether a reply shows what was before that which is known: EC2 may answer from an older copy. Between two starts
    (which move LaunchTime) a machine goes through its states in one direction only."""
    if reply.launched_at != known.launched_at:
        return reply.launched_at < known.launched_at
    return _IN_ORDER.index(reply.state) < _IN_ORDER.index(known.state)


def _take(track: _Track, machine: Machine, now_s: float) -> None:
    """Take in a machine's new state. A (re)start begins its time to come online, and its checks anew."""
    before = track.machine
    track.machine = machine
    track.missing_s, track.missing_sweeps = None, 0
    starts = machine.state in {"pending", "running"}
    if before is None or (starts and before.state not in {"pending", "running"}):
        track.started_s = now_s
    if machine.state != "running" and machine.state in LIVE_STATES:
        _clear_checks(track)


def _clear_checks(track: _Track) -> None:
    track.checks = None
    track.impaired_s = None
