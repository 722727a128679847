"""Who this cluster is, and whether its store can be believed.

The cluster id is a random UUID made once in the store. A restored backup has the id but not the latest records; so
the highest revision seen is also kept outside of the store, by the witness of each daemon.
"""

import asyncio
import json
import os
import random
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from strata.clock import Clock
from strata.errors import StoreError, StrataError
from strata.metrics import DaemonMetrics
from strata.resources.cluster import ClusterIdentity
from strata.resources.codec import decode, encode
from strata.resources.kinds import CLUSTER_KEY
from strata.store.port import KeyValue, Store, StoreStatus
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)

_TESTIFY_EVERY_S = 5.0  # what is launched after the last testimony and before a restore is not missed


@dataclass(frozen=True, slots=True)
class Testimony:
    """How far which cluster's store was seen to be. A restored store is further once its incarnation was raised,
    whatever its revision is."""

    cluster_id: str
    incarnation: int
    revision: int

    def is_before(self, other: "Testimony") -> bool:
        return (self.incarnation, self.revision) < (other.incarnation, other.revision)


class Witness(Protocol):
    """A memory outside of the store. Belongs to one process at a time."""

    def recall(self) -> Testimony | None: ...

    def testify(self, testimony: Testimony) -> None:
        """Remember this, durably. Raises OSError."""
        ...


class FileWitness:
    """A small file in the daemon's data directory, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> Testimony | None:
        """The last testimony; None where there is none, or none that can be read (which is logged)."""
        try:
            return Testimony(**json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            log.warning("witness file not readable", path=str(self._path), error=str(error))
            return None

    def testify(self, testimony: Testimony) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(asdict(testimony), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


class Testifying:
    """Keeps one daemon's witness up to date, whoever leads: each may be the next that has to judge the store."""

    def __init__(self, store: Store, witness: Witness, metrics: DaemonMetrics, *, revision: Callable[[], int]) -> None:
        """`revision` is how far the daemon's own view of the store is: while it stands, there is nothing to tell."""
        self._store = store
        self._witness = witness
        self._metrics = metrics
        self._revision = revision

    async def run(self) -> None:
        told = 0
        while True:
            seen = self._revision()
            if seen != told and await self._testify():
                told = seen
            await asyncio.sleep(_TESTIFY_EVERY_S)

    async def _testify(self) -> bool:
        """Remember how far the store is now, unless more is remembered of this cluster. A witness that cannot write
        is a trouble, but none that anything else should end for."""
        try:
            listing = await self._store.list(CLUSTER_KEY)  # the identity, and a revision of the same store
            kv = next((kv for kv in listing.items if kv.key == CLUSTER_KEY), None)
            if kv is not None:
                self._remember(decode(ClusterIdentity, kv.value), listing.revision)
        except (StoreError, OSError, msgspec.MsgspecError) as error:
            log.warning("witness not updated", error=str(error))
            self._metrics.witness_failures.inc()
            return False
        return True

    def _remember(self, identity: ClusterIdentity, revision: int) -> None:
        now = Testimony(identity.id, identity.incarnation, revision)
        before = self._witness.recall()
        if before is None or before.cluster_id != now.cluster_id or before.is_before(now):
            self._witness.testify(now)


class IdentityKeeper:
    """The cluster's identity during one leadership."""

    def __init__(
        self, store: Store, repository: Repository, witness: Witness, *, clock: Clock, rng: random.Random
    ) -> None:
        self._store = store
        self._repository = repository
        self._witness = witness
        self._clock = clock
        self._rng = rng
        self._identity: ClusterIdentity | None = None
        self._changing = asyncio.Lock()  # the regions' tasks all write here

    @property
    def identity(self) -> ClusterIdentity:
        """Raises StrataError before establish()."""
        if self._identity is None:
            raise StrataError("the cluster's identity is not established yet")
        return self._identity

    async def establish(self) -> ClusterIdentity:
        """Read the identity, or make it; raise the incarnation and hold orphans where the store is in doubt."""
        status = await self._store.status()
        stored = await self._store.get(CLUSTER_KEY)
        if stored is None:
            self._identity = await self._write(self._new(status), None)
            return self._identity
        self._identity = decode(ClusterIdentity, stored.value)
        doubt = self._doubt(self._identity, status)
        if doubt:
            await self.hold(doubt, store_id=status.store_id)
        return self._identity

    async def hold(self, because: str, *, store_id: str | None = None) -> None:
        """From now on no orphan is ended without a person. Said aloud."""
        log.error("orphans are held", reason=because)
        seen = self._witness.recall()
        known = seen.incarnation if seen is not None and seen.cluster_id == self.identity.id else 0
        await self._change(
            lambda identity: msgspec.structs.replace(
                _held(identity, because, self._clock.now()),
                incarnation=max(identity.incarnation, known) + 1,
                store_id=store_id or identity.store_id,
            )
        )

    async def release(self) -> None:
        """Every machine is accounted for again."""
        log.warning("orphans are no longer held", reason=self.identity.held_because)
        await self._change(lambda identity: msgspec.structs.replace(identity, held_because="", held_since=None))

    async def expect_account(self, place: str, account: str, *, has_machines: bool) -> str:
        """The account that this place's machines are in: the one that was seen at its first use, or, while no record
        says that a machine may be there, the one that is seen now."""
        known = self.identity.accounts.get(place)
        if account == known or (known is not None and has_machines):
            return known or account
        log.info("account noted", place=place, account=account, before=known)
        await self._change(lambda identity: _used_at(identity, place, account, self._clock.now()))
        return account

    def _doubt(self, identity: ClusterIdentity, status: StoreStatus) -> str:
        seen = self._witness.recall()
        if identity.store_id != status.store_id:
            return "the store is another one than before: a restored backup?"
        now = Testimony(identity.id, identity.incarnation, status.revision)
        if seen is not None and seen.cluster_id == identity.id and now.is_before(seen):
            return f"the store went back from revision {seen.revision} to {status.revision}: a restored backup?"
        return ""

    def _new(self, status: StoreStatus) -> ClusterIdentity:
        seen = self._witness.recall()
        if seen is not None:
            log.error("the store is empty; machines of the former cluster are left alone", former=seen.cluster_id)
        return ClusterIdentity(id=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), store_id=status.store_id)

    async def _change(self, change: Callable[[ClusterIdentity], ClusterIdentity]) -> None:
        """Change what is stored now: the answer to a write before this one may have got lost."""
        async with self._changing:
            stored = await self._store.get(CLUSTER_KEY)
            identity = self.identity if stored is None else decode(ClusterIdentity, stored.value)
            self._identity = await self._write(change(identity), stored)

    async def _write(self, identity: ClusterIdentity, before: KeyValue | None) -> ClusterIdentity:
        await self._repository.commit([Write(CLUSTER_KEY, encode(identity), before.mod_revision if before else 0)])
        return identity


def _held(identity: ClusterIdentity, because: str, now: datetime) -> ClusterIdentity:
    return msgspec.structs.replace(identity, held_because=because, held_since=now)


def _used_at(identity: ClusterIdentity, place: str, account: str, now: datetime) -> ClusterIdentity:
    """A place that a restored store has never heard of may have machines whose records came after the backup."""
    is_new = place not in identity.accounts
    identity = msgspec.structs.replace(identity, accounts={**identity.accounts, place: account})
    if is_new and identity.incarnation > 1 and not identity.held_because:
        return _held(identity, f"the store that was restored does not know {place}", now)
    return identity
