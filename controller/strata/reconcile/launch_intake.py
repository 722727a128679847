"""Intake: finds the slots that are due for a machine, groups equal ones, and seals their Launch records."""

import random
import uuid
from collections.abc import Mapping
from typing import Any

import structlog

from strata.clock import Clock
from strata.errors import StoreError
from strata.planner import launch as protocol
from strata.planner.backoff import retry_at
from strata.planner.instance_status import sealed_status
from strata.planner.market import Purchase, purchase
from strata.planner.policy import Policy
from strata.planner.template import effective, launch_tags, missing_fields, run_parameters, template_digest
from strata.reconcile.objects import Objects, Stored, wished
from strata.reconcile.refusals import Refusals
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
_NO_LAUNCH = "-"  # stands for the launch id in the parameters that are compared
_Made = dict[tuple[Any, ...], tuple[dict[str, Any], bytes]]  # what equal slots share, within one turn


class Intake:
    """Seals launches for one region and leadership."""

    def __init__(
        self,
        objects: Objects,
        repository: Repository,
        refusals: Refusals,
        *,
        clock: Clock,
        rng: random.Random,
        policy: Policy,
    ) -> None:
        self._objects = objects
        self._repository = repository
        self._refusals = refusals
        self._clock = clock
        self._rng = rng
        self._policy = policy
        self._sealed_from: dict[str, int] = {}  # store key -> the revision that the slot was sealed from

    async def seal_due(self, stack: Stored[Stack]) -> tuple[list[Stored[Launch]], float | None]:
        """Seal what is due; the new records, and in how many seconds more may be due (None: on news alone)."""
        self._forget_sealed()
        wanting = [s for s in self._objects.wanting(stack.object.metadata.name) if not self._sealed_already(s)]
        waits_s = {stored.key: self._waits_s(stored.object) for stored in wanting}
        due = [stored for stored in wanting if waits_s[stored.key] <= 0]
        made: _Made = {}
        wants = [want for stored in due if (want := self._want(stack.object, stored.object, made))]
        by_uid = {stored.object.metadata.uid: stored for stored in due}
        sealed = []
        for members in protocol.group(wants, members_per_launch=self._policy.members_per_launch):
            launch = await self._seal(stack, members, by_uid)
            if launch is not None:
                sealed.append(launch)
        later = [wait_s for wait_s in waits_s.values() if wait_s > 0]
        refused_s = self._refusals.next_end_in_s()
        if len(wants) < len(due) and refused_s is not None:
            later.append(refused_s)
        if sum(len(launch.object.spec.members) for launch in sealed) < len(wants):
            later.append(_RETRY_S)
        return sealed, min(later, default=None)

    def _waits_s(self, instance: Instance) -> float:
        due = retry_at(instance.status.failures, self._policy)
        return 0.0 if due is None else (due - self._clock.now()).total_seconds()

    # -- what a slot asks for --------------------------------------------------------------------------------

    def _want(self, stack: Stack, instance: Instance, made: _Made) -> protocol.Want | None:
        """What the slot asks for; None while its template is not whole, or no place has capacity."""
        namespace = instance.metadata.namespace
        layer = self._objects.layer(namespace, instance.spec.layers[0])
        image = layer.object.status.image if layer is not None else None
        if layer is None or image is None:
            return None
        template = effective(stack, layer.object, instance)
        if missing_fields(template):
            return None
        subnets, zone = stack.spec.subnets, instance.spec.zone
        bought = purchase(instance.spec.market, template.types or (), subnets, zone, self._refusals.refused)
        if bought is None:
            return None
        shared = (layer.key, encode(instance.spec.instance), bought.type, bought.subnet.id, bought.market)
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
    ) -> Stored[Launch] | None:
        """Write the record and its members' status.launch in one transaction, or nothing (None: tried again)."""
        launch = self._record(members)
        launch_id, namespace = launch.metadata.name, launch.metadata.namespace
        slots = [by_uid[want.member.uid] for want in members]
        writes = [slot.write(with_status(slot.value, sealed_status(slot.object.status, launch_id))) for slot in slots]
        key, value = kinds.LAUNCH.key(launch_id, namespace), encode(launch)
        try:
            # Within: a pause, or another template, that came after our read must stop this launch.
            revision = await self._repository.commit([*writes, Write(key, value, 0)], within=wished(stack))
        except StoreError as error:
            # Ambiguous too: if it was written, the watch brings the record, and it is driven as an inherited one.
            log.info("launch not sealed", stack=namespace, members=len(members), error=str(error))
            return None
        self._sealed_from.update((slot.key, slot.mod_revision) for slot in slots)
        return Stored(key, value, revision, launch)

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

    def _sealed_already(self, slot: Stored[Instance]) -> bool:
        """Whether the cache still shows the slot as it was when it was sealed a moment ago."""
        return self._sealed_from.get(slot.key) == slot.mod_revision

    def _forget_sealed(self) -> None:
        for key, revision in list(self._sealed_from.items()):
            parsed = kinds.parse_store_key(key)
            slot = self._objects.instance(parsed.namespace, parsed.name) if parsed else None
            if slot is None or slot.mod_revision != revision:
                del self._sealed_from[key]


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
