"""Who this cluster is, and whether its store can be believed.

The cluster id is a random UUID made once in the store. A restored backup has the id but not the latest records; so
the store's own id and the highest revision seen are also kept outside of it, by the witness.
"""

import json
import os
import random
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from strata.clock import Clock
from strata.errors import StrataError
from strata.resources.cluster import ClusterIdentity
from strata.resources.codec import decode, encode
from strata.resources.kinds import CLUSTER_KEY
from strata.store.port import KeyValue, Store, StoreStatus
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Testimony:
    """What was seen of the store: which cluster, which store, and how far it was."""

    cluster_id: str
    store_id: str
    revision: int


class Witness(Protocol):
    """A memory outside of the store."""

    def recall(self) -> Testimony | None: ...

    def testify(self, testimony: Testimony) -> None:
        """Remember this, durably."""
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
        except (ValueError, TypeError) as error:
            log.warning("witness file not readable", path=str(self._path), error=str(error))
            return None

    def testify(self, testimony: Testimony) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(
                {
                    "cluster_id": testimony.cluster_id,
                    "store_id": testimony.store_id,
                    "revision": testimony.revision,
                },
                file,
            )
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


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
        self._stored: KeyValue | None = None
        self._identity: ClusterIdentity | None = None

    @property
    def identity(self) -> ClusterIdentity:
        """Raises StrataError before establish()."""
        if self._identity is None:
            raise StrataError("the cluster's identity is not established yet")
        return self._identity

    async def establish(self) -> ClusterIdentity:
        """Read the identity, or make it; raise the incarnation and hold orphans where the store is in doubt."""
        status = await self._store.status()
        self._stored = await self._store.get(CLUSTER_KEY)
        if self._stored is None:
            return await self._write(self._new(status))
        identity = decode(ClusterIdentity, self._stored.value)
        self._identity = identity
        doubt = self._doubt(identity, status)
        if doubt:
            await self.hold(doubt, store_id=status.store_id)
        return self.identity

    async def hold(self, because: str, *, store_id: str | None = None) -> None:
        """From now on no orphan is ended without a person. Said aloud."""
        log.error("orphans are held", reason=because)
        await self._write(
            msgspec.structs.replace(
                self.identity,
                incarnation=self.identity.incarnation + 1,
                store_id=store_id or self.identity.store_id,
                held_because=because,
                held_since=self._clock.now(),
            )
        )

    async def release(self) -> None:
        """Every machine is accounted for again."""
        log.warning("orphans are no longer held", reason=self.identity.held_because)
        await self._write(msgspec.structs.replace(self.identity, held_because="", held_since=None))

    async def testify(self) -> None:
        """Remember outside of the store how far it is now. The revision read is one that surely was."""
        status = await self._store.status()
        self._witness.testify(Testimony(self.identity.id, status.store_id, status.revision))

    def _doubt(self, identity: ClusterIdentity, status: StoreStatus) -> str:
        seen = self._witness.recall()
        if identity.store_id != status.store_id:
            return "the store is another one than before: a restored backup?"
        if seen is not None and seen.cluster_id == identity.id and status.revision < seen.revision:
            return f"the store went back from revision {seen.revision} to {status.revision}: a restored backup?"
        return ""

    def _new(self, status: StoreStatus) -> ClusterIdentity:
        seen = self._witness.recall()
        if seen is not None:
            log.error("the store is empty; machines of the former cluster are left alone", former=seen.cluster_id)
        return ClusterIdentity(id=str(uuid.UUID(int=self._rng.getrandbits(128), version=4)), store_id=status.store_id)

    async def _write(self, identity: ClusterIdentity) -> ClusterIdentity:
        value = encode(identity)
        revision = await self._repository.commit(
            [Write(CLUSTER_KEY, value, self._stored.mod_revision if self._stored else 0)]
        )
        created = self._stored.create_revision if self._stored else revision
        self._stored = KeyValue(CLUSTER_KEY, value, created, revision)
        self._identity = identity
        return identity
