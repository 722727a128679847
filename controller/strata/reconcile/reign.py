"""One leadership: everything that may act, made when it begins and gone when it ends."""

import asyncio
import functools
import random
from collections.abc import Callable, Iterable

import structlog

from strata.clock import Clock
from strata.cloud.bound import BoundCloud
from strata.cloud.event_queue import EventQueue
from strata.cloud.port import Cloud
from strata.engine.clock_watch import ClockWatch
from strata.engine.informer import Informer
from strata.engine.leadership import Leadership
from strata.engine.queue import Priority, WorkQueue
from strata.engine.resync import Resync
from strata.engine.runner import Runner
from strata.engine.supervisor import Supervisor
from strata.errors import CloudError, CloudErrorKind, NotLeader, StoreError
from strata.metrics import DaemonMetrics
from strata.planner.facts import Note, Unknown
from strata.planner.policy import Policy
from strata.reconcile.accounting import has_machines
from strata.reconcile.adoption import Adoption
from strata.reconcile.cloud_signals import CloudSignals
from strata.reconcile.event_reader import EventReader
from strata.reconcile.events import EventRecorder
from strata.reconcile.gate import Gate
from strata.reconcile.identity import IdentityKeeper
from strata.reconcile.images import Images
from strata.reconcile.instance_pass import InstancePass
from strata.reconcile.launch_audit import Audit
from strata.reconcile.launch_intake import Intake
from strata.reconcile.launch_sending import Sending
from strata.reconcile.launcher import Launcher
from strata.reconcile.layer_metrics import LayerCollector, LayerTally
from strata.reconcile.layer_pass import LayerPass
from strata.reconcile.mutations import Mutations
from strata.reconcile.objects import Objects, Stored
from strata.reconcile.observer import RegionObserver
from strata.reconcile.orphan_decisions import Decisions
from strata.reconcile.orphan_records import OrphanRecords, read_all
from strata.reconcile.own_images import OwnImages
from strata.reconcile.reaper import Reaper
from strata.reconcile.refusals import Refusals
from strata.reconcile.region_metrics import RegionCollector
from strata.reconcile.regions import Region, Regions, StackListener, Where, name_of, place_of
from strata.reconcile.revisions import RevisionPass
from strata.reconcile.routing import Routing
from strata.reconcile.signals import Signals, SignalSources
from strata.reconcile.stack_pass import StackPass
from strata.reconcile.subnets import Subnets
from strata.resources import kinds, reasons
from strata.resources.kinds import ObjectKey
from strata.resources.meta import Record
from strata.resources.stack import Stack
from strata.settings import ControllerSettings
from strata.store.port import Store
from strata.store.repository import Repository

log = structlog.get_logger(__name__)

_MIND_EVERY_S = 1.0
_CRASH_CHARACTERS = 200  # of a fault's text, in an event


class Reign:
    """The reconcilers of one leadership. run() ends only by being cancelled or by NotLeader."""

    def __init__(
        self,
        *,
        leadership: Leadership,
        store: Store,
        repository: Repository,
        keeper: IdentityKeeper,
        clouds: Callable[[str, str | None], Cloud],
        queues: Callable[[str, str | None], EventQueue | None],
        sources: SignalSources,
        informer: Informer[Record],
        objects: Objects,
        clock: Clock,
        rng: random.Random,
        settings: ControllerSettings,
        metrics: DaemonMetrics,
    ) -> None:
        self._leadership = leadership
        self._store = store
        self._repository = repository
        self._keeper = keeper
        self._clouds = clouds
        self._queues = queues
        self._sources = sources
        self._informer = informer
        self._regressed = informer.regressed  # the store going back since then is news
        self._objects = objects
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._metrics = metrics
        self._policy = policy_of(settings, keeper.identity.id)
        self._queue: WorkQueue[ObjectKey] = WorkQueue("objects", metrics=metrics, rng=rng)
        self._supervisor = Supervisor(clock=clock, rng=rng)
        self._tally = LayerTally(clock)
        self._events = EventRecorder(store, clock, metrics, component="strata")
        self._adoption = Adoption(objects, repository, revision=lambda: informer.revision, clock=clock, rng=rng)
        self._runner = Runner(
            self._queue,
            self._reconcile,
            workers=settings.workers,
            metrics=metrics,
            clock=clock,
            kind_of=lambda key: key.kind.kind,
        )
        self.regions = Regions(self._make_region, self._supervisor)
        self._routing = Routing(self._queue, objects, self.regions, self._tally)
        self._signals = Signals(
            sources,
            objects,
            self._cloud_signals,
            queue=self._queue.add,
            every_s=settings.signals_interval_s,
            clock=clock,
            rng=rng,
        )
        self._instances = InstancePass(
            objects, self.regions, repository, self._events, self._tally, clock=clock, policy=self._policy
        )
        self._layers = LayerPass(
            objects,
            self.regions,
            self._signals,
            repository,
            self._events,
            self._tally,
            clock=clock,
            rng=rng,
            policy=self._policy,
        )
        self._revisions = RevisionPass(objects, repository)
        self._stacks = StackPass(objects, self.regions, repository, self._events, clock=clock, policy=self._policy)

    def unhealthy(self) -> list[tuple[str, str]]:
        """(task, reason) of what does not run as it should."""
        return self._supervisor.unhealthy()

    async def run(self) -> None:
        collectors = (LayerCollector(self._objects, self._tally, self._signals.facts), RegionCollector(self.regions))
        for stack in self._objects.stacks():
            self.regions.of(stack)
        for launch in self._objects.launches():  # machines may be left of a stack that is no more
            self.regions.of(None, launch)
        for place in await self._places_of_orphans():
            self.regions.ensure(place)
        resync = Resync(self._queue, self._keys, interval_s=self._settings.resync_s, rng=self._rng)
        self._supervisor.add("runner", self._runner.run)
        self._supervisor.add("resync", resync.run)
        self._supervisor.add("events", self._events.run)
        self._supervisor.add("signals", self._signals.prometheus.run)
        self._supervisor.add("store", self._mind_the_store)
        self._supervisor.add("wall clock", ClockWatch(self._clock, self._on_clock_step).run)
        for collector in collectors:
            self._metrics.registry.register(collector)
        try:
            async with self._informer.subscribed(self._routing.on_change):
                await self._supervisor.run()
        finally:
            for collector in collectors:
                self._metrics.registry.unregister(collector)
            self._queue.close()

    async def _reconcile(self, key: ObjectKey) -> float | None:
        fault = self._objects.fault(key)
        if fault is not None:
            self._events.record(key, "", Note(reasons.UNREADABLE, fault, warning=True))
            return None
        if self._repository.wrote_after(key.store_key, self._objects.mod_revision_at(key.store_key)):
            return None  # what we wrote is on its way, and queues the key when it comes
        try:
            return await self._pass(key)
        except (StoreError, CloudError, NotLeader):
            raise
        except Exception as error:
            self._tell_crash(key, error)
            raise

    async def _pass(self, key: ObjectKey) -> float | None:
        if key.kind is kinds.STACK:
            return await self._stacks.reconcile(key)
        if key.kind is kinds.LAYER:
            return await self._reconcile_layer(key)
        if key.kind is kinds.LAYER_REVISION:
            await self._revisions.reconcile(key)
            return None
        return await self._instances.reconcile(key)

    async def _reconcile_layer(self, key: ObjectKey) -> float | None:
        self._tally.begins(key.namespace, key.name)
        again_s = await self._layers.reconcile(key)
        if self._objects.layer(key.namespace, key.name) is None:
            self._tally.forget(key.namespace, key.name)
        else:
            self._tally.reconciled(key.namespace, key.name)  # only now: the age of one that fails must grow
        return again_s

    def _tell_crash(self, key: ObjectKey, error: Exception) -> None:
        """Tell those who look at the object, and not at our log, that nothing is done for it."""
        text = f"{type(error).__name__}: {error}"
        note = Note(reasons.CRASHED, f"nothing is done for it: {text[:_CRASH_CHARACTERS]}", warning=True)
        self._events.record(key, self._objects.uid(key), note)

    def _keys(self) -> Iterable[ObjectKey]:
        entries = self._informer.entries(kinds.OBJECTS)
        keys = (kinds.parse_store_key(entry.key) for entry in entries)
        return [key for key in keys if key is not None and key.kind is not kinds.LAUNCH]

    def _on_clock_step(self) -> None:
        """Windows may have opened or closed, cooldowns ended: all timers were set by another time."""
        for key in self._keys():
            self._queue.add(key, Priority.LOW)

    async def _mind_the_store(self) -> None:
        """End this leadership when the store goes back: what is remembered here is of a future that is no more. The
        next one begins with what the store says now, and with its orphans held."""
        while True:
            doubt = self._store_doubt()
            if doubt:
                raise NotLeader(doubt)
            await asyncio.sleep(_MIND_EVERY_S)

    def _store_doubt(self) -> str:
        went_back = self._informer.regressed is not self._regressed
        return f"the store went back: {self._informer.regressed}" if went_back else ""

    async def _places_of_orphans(self) -> set[Where]:
        """Where a person decides on orphans, or, while the store is in doubt, where there may be any: also without a
        Stack or a Launch that would say so."""
        listing = await self._store.list(kinds.ORPHANS)
        places = {(held.orphan.region, held.orphan.endpoint) for held in read_all(listing.items)}
        identity = self._keeper.identity
        return places | {place_of(name) for name in identity.accounts} if identity.held_because else places

    def _make_region(self, place: Where) -> Region:
        """Everything that acts on one region. Raises CloudError for an endpoint that the settings do not name."""
        region, endpoint = place
        cloud = BoundCloud(self._clouds(region, endpoint), functools.partial(self._expect_account, place))
        listener = StackListener(
            place,
            self._objects,
            on_changed=self._routing.on_machines,
            on_reachability=self._routing.on_reachability,
            on_swept=self._routing.on_swept,
        )
        observer = RegionObserver(
            region=region,
            cloud=cloud,
            cluster_id=self._policy.cluster_id,
            clock=self._clock,
            settings=self._settings,
            metrics=self._metrics,
            listener=listener,
        )
        aside = self._runner.stepping_aside
        mutations = Mutations(cloud, self._leadership, aside, act_margin_s=self._settings.act_margin_s)
        images = Images(cloud, self._clock, aside)
        launcher = self._make_launcher(place, cloud, observer, mutations, listener, images)
        return Region(
            where=place,
            cloud=cloud,
            observer=observer,
            mutations=mutations,
            launcher=launcher,
            reaper=self._make_reaper(place, observer, mutations),
            images=images,
            subnets=Subnets(cloud, self._clock, aside),
            signals=CloudSignals(
                self._sources.cloudwatch(region, endpoint),
                self._objects,
                stacks=listener.stacks,
                judge=self._signals.judge,
                every_s=self._settings.signals_interval_s,
                clock=self._clock,
                rng=self._rng,
            ),
            reader=self._make_reader(place, observer),
        )

    def _make_reader(self, place: Where, observer: RegionObserver) -> EventReader | None:
        queue, name = self._queues(*place), name_of(place)
        if queue is None:
            return None
        return EventReader(queue, observer, region=place[0], name=name, clock=self._clock, metrics=self._metrics)

    def _make_reaper(self, place: Where, observer: RegionObserver, mutations: Mutations) -> Reaper:
        records = OrphanRecords(self._store, self._repository, place)
        decisions = Decisions(
            records,
            observer=observer,
            mutations=mutations,
            objects=self._objects,
            adoption=self._adoption,
            events=self._events,
        )
        return Reaper(
            place=place,
            records=records,
            decisions=decisions,
            observer=observer,
            mutations=mutations,
            objects=self._objects,
            unreadable=lambda: (entry.value for entry in self._informer.poisoned()),
            store=self._store,
            keeper=self._keeper,
            events=self._events,
            clock=self._clock,
            policy=self._policy,
            store_doubt=self._store_doubt,
            all_clear_since=lambda since: all(region.reaper.clear_since(since) for region in self.regions.all()),
            on_held=lambda stack: self._queue.add(ObjectKey(kinds.STACK, stack)),
        )

    async def _expect_account(self, place: Where, account: str) -> str:
        """The account that the machines there are in. Raises CloudError if the store does not say."""
        bound = has_machines(place, self._objects)
        try:
            return await self._keeper.expect_account(name_of(place), account, has_machines=bound)
        except StoreError as error:
            raise CloudError(CloudErrorKind.UNREACHABLE, "StoreFailed", str(error), action="account") from error

    def _cloud_signals(self, stack: Stored[Stack]) -> CloudSignals | Unknown:
        region = self.regions.of(stack)
        return region if isinstance(region, Unknown) else region.signals

    def _make_launcher(
        self,
        place: Where,
        cloud: Cloud,
        observer: RegionObserver,
        mutations: Mutations,
        listener: StackListener,
        images: Images,
    ) -> Launcher:
        clock, rng, metrics = self._clock, self._rng, self._metrics
        own_images = OwnImages(images, self._events)
        refusals, gate = Refusals(self._clock, keep_s=self._settings.refusal_memory_s), Gate(self._clock)
        intake = Intake(
            self._objects,
            self._repository,
            refusals,
            own_images,
            clock=clock,
            rng=rng,
            metrics=metrics,
            policy=self._policy,
        )
        sending = Sending(
            cloud=cloud,
            observer=observer,
            objects=self._objects,
            repository=self._repository,
            leadership=self._leadership,
            events=self._events,
            tally=self._tally,
            refusals=refusals,
            gate=gate,
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
            policy=self._policy,
        )
        audit = Audit(
            place=place,
            observer=observer,
            mutations=mutations,
            objects=self._objects,
            repository=self._repository,
            clock=clock,
            metrics=metrics,
            policy=self._policy,
        )
        return Launcher(
            place=place,
            intake=intake,
            sending=sending,
            audit=audit,
            gate=gate,
            objects=self._objects,
            stacks=listener.stacks,
            own_images=own_images,
            clock=clock,
            rng=rng,
            metrics=metrics,
            window_s=self._settings.launch_window_s,
        )


def policy_of(settings: ControllerSettings, cluster_id: str) -> Policy:
    return Policy(
        cluster_id=cluster_id,
        backoff_base_s=settings.backoff_base_s,
        backoff_cap_s=settings.backoff_cap_s,
        stable_after_s=settings.stable_after_s,
        fallback_retry_s=settings.fallback_retry_s,
        launch_unanswered_s=settings.launch_unanswered_s,
        launch_sweep_after_s=settings.launch_sweep_after_s,
        launch_expiry_s=settings.launch_expiry_s,
        launch_keep_s=settings.launch_keep_s,
        orphan_grace_s=settings.orphan_grace_s,
    )
