"""Intake: finds the slots that are due for a machine, groups equal ones, and seals their Launch records."""

import random
import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from strata.clock import Clock
from strata.errors import Conflict, StoreError
from strata.metrics import DaemonMetrics
from strata.planner import launch as protocol
from strata.planner.backoff import retry_at
from strata.planner.instance_status import sealed_status
from strata.planner.market import Purchase, purchase
from strata.planner.policy import Policy
from strata.planner.template import effective, launch_tags, missing_fields, run_parameters, template_digest
from strata.reconcile.objects import Objects, Stored, wished
from strata.reconcile.own_images import OwnImages
from strata.reconcile.refusals import Refusals
from strata.reconcile.resting import Resting
from strata.resources import kinds, tags
from strata.resources.codec import encode, with_status
from strata.resources.instance import Instance
from strata.resources.launch import Launch, LaunchSpec, LaunchStatus, Member
from strata.resources.layer import Layer, ResolvedImage
from strata.resources.meta import API_VERSION, ObjectMeta
from strata.resources.stack import InstanceTemplate, Stack
from strata.store.repository import Repository, Write

log = structlog.get_logger(__name__)

_RETRY_S = 0.2  # a seal that lost a race is tried again, on a newer cache
_SEALS_A_TURN = 20
_NO_LAUNCH = "-"  # stands for the launch id in the parameters that are compared
_Made = dict[tuple[Any, ...], tuple[dict[str, Any], bytes]]  # what equal slots share, within one turn


class Intake:
    """Seals launches for one region and leadership."""

    def __init__(
        self,
        objects: Objects,
        repository: Repository,
        refusals: Refusals,
        own_images: OwnImages,
        *,
        clock: Clock,
        rng: random.Random,
        metrics: DaemonMetrics,
        policy: Policy,
    ) -> None:
        self._own_images = own_images
        self._metrics = metrics
        self._resting: Resting[str] = Resting(clock, rng)  # slots, by store key
        self._objects = objects
        self._repository = repository
        self._refusals = refusals
        self._clock = clock
        self._rng = rng
        self._policy = policy

    async def seal_due(self, stack: Stored[Stack]) -> tuple[list[Stored[Launch]], float | None]:
        """Seal what is due; the new records, and in how many seconds more may be due (None: on news alone)."""
        behind = self._repository.wrote_after  # such as a slot that was sealed a moment ago
        wanting = [s for s in self._objects.wanting(stack.object.metadata.name) if not behind(s.key, s.mod_revision)]
        waits_s = {stored.key: self._waits_s(stored) for stored in wanting}
        due = [stored for stored in wanting if waits_s[stored.key] <= 0]
        due.sort(key=lambda stored: stored.object.status.attempt == 0)  # who lost a machine goes first
        later = [wait_s for wait_s in waits_s.values() if wait_s > 0]
        wants = self._wants(stack.object, due)
        refused_s = self._refusals.next_end_in_s()
        if len(wants) < len(due) and refused_s is not None:
            later.append(refused_s)
        sealed, again_s = await self._seal_all(stack, wants, {slot.object.metadata.uid: slot for slot in due})
        return sealed, min((*later, *again_s), default=None)

    def _waits_s(self, slot: Stored[Instance]) -> float:
        due = retry_at(slot.object.status.failures, self._policy)
        backoff_s = 0.0 if due is None else (due - self._clock.now()).total_seconds()
        return max(backoff_s, self._resting.left_s(slot.key))

    async def _seal_all(
        self, stack: Stored[Stack], wants: list[protocol.Want], by_uid: Mapping[str, Stored[Instance]]
    ) -> tuple[list[Stored[Launch]], list[float]]:
        """Seal some of them; the records, and when to come again for what is left: soon, so that a stack of thousands
        lets others have their turn."""
        policy = self._policy
        groups = protocol.group(
            wants, members_per_launch=policy.members_per_launch, bytes_per_launch=policy.bytes_per_launch
        )
        sealed, again_s = [], []
        for members in groups[:_SEALS_A_TURN]:
            result = await self._seal(stack, members, by_uid)
            if isinstance(result, Stored):
                sealed.append(result)
            else:
                again_s.append(result)
        for members in groups[_SEALS_A_TURN:]:
            self._not_asked(members)
            again_s.append(0.0)
        return sealed, again_s

    # -- what a slot asks for --------------------------------------------------------------------------------

    def _wants(self, stack: Stack, due: list[Stored[Instance]]) -> list[protocol.Want]:
        """What the slots ask for. One that nobody can make sense of rests, and holds no other up."""
        made: _Made = {}
        wants = []
        for slot in due:
            try:
                want = self._want(stack, slot, made)
            except Exception:  # whatever is odd about a slot concerns it alone
                rest_s = self._resting.failed(slot.key)
                self._metrics.crashes.labels("Launch").inc()
                log.exception("slot cannot be launched", slot=slot.key, retry_s=round(rest_s, 3))
            else:
                wants += [want] if want is not None else []
        return wants

    def _want(self, stack: Stack, slot: Stored[Instance], made: _Made) -> protocol.Want | None:
        """What the slot asks for; None while its template is not whole, its image is not known, or no place has
        capacity."""
        instance = slot.object
        namespace = instance.metadata.namespace
        layer = self._objects.layer(namespace, instance.spec.layers[0])
        if layer is None:
            return None
        own = instance.spec.instance.image
        image = layer.object.status.image if own is None else self._own_images.known(instance, own)
        if image is None:
            return None
        template = effective(stack, layer.object, instance)
        if missing_fields(template):
            return None
        subnets, zone = stack.spec.subnets, instance.spec.zone
        bought = purchase(instance.spec.market, template.types or (), subnets, zone, self._refusals.closed)
        if bought is None:
            return None
        self._refusals.probe(bought.type, bought.subnet.zone, bought.market)
        shared = (layer.key, encode(instance.spec.instance), image.id, bought.type, bought.subnet.id, bought.market)
        if shared not in made:
            made[shared] = self._parameters(stack, template, image, bought)
        parameters, fingerprint = made[shared]
        return protocol.Want(
            member=_member(instance, layer.object, bought),
            stack=namespace,
            region=stack.spec.region,
            endpoint=stack.spec.endpoint,
            type=bought.type,
            zone=bought.subnet.zone,
            market=bought.market,
            template=template_digest(template, image),
            parameters=parameters,
            fingerprint=fingerprint,
            size_bytes=len(slot.value),
        )

    def _parameters(
        self, stack: Stack, template: InstanceTemplate, image: ResolvedImage, bought: Purchase
    ) -> tuple[dict[str, Any], bytes]:
        wanted_tags = launch_tags(
            cluster_id=self._policy.cluster_id,
            stack=stack.metadata.name,
            launch_id=_NO_LAUNCH,
            template=template_digest(template, image),
        )
        parameters = run_parameters(
            template, image, type_=bought.type, subnet=bought.subnet, market=bought.market, launch_tags=wanted_tags
        )
        return parameters, protocol.fingerprint(parameters)

    # -- sealing ---------------------------------------------------------------------------------------------

    async def _seal(
        self, stack: Stored[Stack], members: list[protocol.Want], by_uid: Mapping[str, Stored[Instance]]
    ) -> Stored[Launch] | float:
        """Write the record and its members' status.launch in one transaction, or nothing: then in how many seconds to
        try again."""
        launch = self._record(members)
        launch_id, namespace = launch.metadata.name, launch.metadata.namespace
        slots = [by_uid[want.member.uid] for want in members]
        writes = [slot.write(with_status(slot.value, sealed_status(slot.object.status, launch_id))) for slot in slots]
        key, value = kinds.LAUNCH.key(launch_id, namespace), encode(launch)
        try:
            # Within: a pause, or another template, that came after our read must stop this launch.
            revision = await self._repository.commit([*writes, Write(key, value, 0)], within=wished(stack))
        except Conflict as error:  # a slot changed, and the cache will have it in a moment
            log.info("launch not sealed", stack=namespace, members=len(members), error=str(error))
            self._not_asked(members)
            return _RETRY_S
        except StoreError as error:
            # Ambiguous too: if it was written, the watch brings the record, and it is driven as an inherited one.
            self._not_asked(members)
            rest_s = max(self._resting.failed(slot.key) for slot in slots)
            log.warning("launch not sealed", stack=namespace, members=len(members), error=str(error), retry_s=rest_s)
            return rest_s
        for slot in slots:
            self._resting.recovered(slot.key)
        return Stored(key, value, revision, launch)

    def _not_asked(self, members: list[protocol.Want]) -> None:
        """They do not go out now: if they were to try a doubted pool, somebody else may."""
        first = members[0]
        self._refusals.undecided(first.type, first.zone, first.market)

    def _record(self, members: list[protocol.Want]) -> Launch:
        first = members[0]
        launch_id = uuid.UUID(int=self._rng.getrandbits(128), version=4).hex
        now = self._clock.now()
        return Launch(
            api_version=API_VERSION,
            kind="Launch",
            metadata=ObjectMeta(
                name=launch_id,
                namespace=first.stack,
                uid=launch_id,
                generation=1,
                creation_timestamp=now.replace(microsecond=0),
            ),
            spec=LaunchSpec(
                region=first.region,
                endpoint=first.endpoint,
                type=first.type,
                zone=first.zone,
                market=first.market,
                template=first.template,
                parameters=_with_launch_id(first.parameters, launch_id),
                members=tuple(want.member for want in members),
            ),
            status=LaunchStatus(sent_at=now),
        )


def _member(instance: Instance, layer: Layer, bought: Purchase) -> Member:
    return Member(
        name=instance.metadata.name,
        uid=instance.metadata.uid,
        attempt=instance.status.attempt + 1,
        layer=layer.metadata.name,
        fallback=instance.spec.market != bought.market,
    )


def _with_launch_id(parameters: Mapping[str, Any], launch_id: str) -> dict[str, Any]:
    """The parameters with the launch's own tag filled in."""
    filled = dict(parameters)
    filled["TagSpecifications"] = [
        spec | {"Tags": [tag | {"Value": launch_id} if tag["Key"] == tags.LAUNCH else tag for tag in spec["Tags"]]}
        for spec in parameters["TagSpecifications"]
    ]
    return filled
