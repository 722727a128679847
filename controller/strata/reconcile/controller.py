"""The controller of one process: campaigns, and while it leads, keeps every stack as it is written.

    store -> informer -> keys -> queue -> runner -> Stack, Layer and Instance passes
    EC2   -> observers ----^                          |-> launchers, mutations (by region)

Only here is anything of reconcile/ put together.
"""

import random
from collections.abc import Callable

import structlog

from strata.clock import Clock
from strata.cloud.event_queue import EventQueue
from strata.cloud.port import Cloud
from strata.engine.informer import Informer, InformerTiming
from strata.engine.leadership import Election, Leadership
from strata.engine.supervisor import Supervisor
from strata.errors import Regressed
from strata.metrics import DaemonMetrics
from strata.reconcile.identity import IdentityKeeper, Testifying, Witness
from strata.reconcile.objects import Objects, decode_entry
from strata.reconcile.reign import Reign
from strata.reconcile.signals import SignalSources
from strata.resources import kinds
from strata.resources.meta import Record
from strata.settings import ControllerSettings
from strata.store.port import Store
from strata.store.repository import Repository

log = structlog.get_logger(__name__)

CloudSource = Callable[[str, str | None], Cloud]  # (region, endpoint's name) -> Cloud; raises CloudError
QueueSource = Callable[[str, str | None], EventQueue | None]  # None: no queue of events there


class Controller:
    """One a process. `address` is where this daemon can be reached, for those that find another leading."""

    def __init__(
        self,
        *,
        identity: str,
        address: str,
        store: Store,
        clouds: CloudSource,
        queues: QueueSource,
        sources: SignalSources,
        clock: Clock,
        rng: random.Random,
        settings: ControllerSettings,
        metrics: DaemonMetrics,
        witness: Witness,
    ) -> None:
        self._store = store
        self._clouds = clouds
        self._queues = queues
        self._sources = sources
        self._clock = clock
        self._rng = rng
        self._settings = settings
        self._metrics = metrics
        self._witness = witness
        self.informer: Informer[Record] = Informer(
            store, kinds.OBJECTS, decode_entry, clock=clock, rng=rng, timing=InformerTiming()
        )
        self.objects = Objects(self.informer)
        self.election = Election(
            store,
            kinds.LEADER_KEY,
            identity,
            address=address,
            ttl_s=settings.lease_ttl_s,
            clock=clock,
            rng=rng,
            metrics=metrics,
        )
        self.reign: Reign | None = None  # while we lead
        self._testifying = Testifying(store, witness, metrics, revision=lambda: self.informer.revision)
        self._doubted: Regressed | None = None  # the last time that the store went back, and orphans were held for it
        metrics.watch_age.set_function(self.informer.age_s)

    async def run(self) -> None:
        """Run until cancelled."""
        supervisor = Supervisor(clock=self._clock, rng=self._rng)
        supervisor.add("informer", self.informer.run)
        supervisor.add("witness", self._testifying.run)
        supervisor.add("election", lambda: self.election.run(self._lead))
        await supervisor.run()

    async def _lead(self, leadership: Leadership) -> None:
        """Act, until the leadership ends and this scope with it."""
        repository = Repository(self._store, leadership.fence)
        keeper = IdentityKeeper(self._store, repository, self._witness, clock=self._clock, rng=self._rng)
        identity = await keeper.establish()
        await self.informer.wait_synced()
        await self._doubt(keeper)
        log.info("leading", cluster=identity.id, incarnation=identity.incarnation)
        self.reign = Reign(
            leadership=leadership,
            store=self._store,
            repository=repository,
            keeper=keeper,
            clouds=self._clouds,
            queues=self._queues,
            sources=self._sources,
            informer=self.informer,
            objects=self.objects,
            clock=self._clock,
            rng=self._rng,
            settings=self._settings,
            metrics=self._metrics,
        )
        try:
            await self.reign.run()
        finally:
            self.reign = None

    async def _doubt(self, keeper: IdentityKeeper) -> None:
        """Hold orphans once for each time that the store went back under our watch."""
        regressed = self.informer.regressed
        if regressed is not self._doubted and not keeper.identity.held_because:
            await keeper.hold(f"the store went back under the watch: {regressed}")
        self._doubted = regressed
