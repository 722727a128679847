"""What an image source comes to: an AMI that exists, and its root device. Read once; the layer's status freezes it."""

import asyncio

from strata.clock import Clock
from strata.cloud.port import Cloud
from strata.engine.runner import SteppingAside
from strata.errors import CloudError
from strata.planner.facts import Known, Unknown
from strata.planner.template import image_key
from strata.resources import reasons
from strata.resources.layer import ResolvedImage
from strata.resources.stack import ImageSource

_KEEP_S = 300.0  # layers that are made within so long of each other share an answer
_KEEP_FAILURE_S = 30.0


class Images:
    """Image sources of one region."""

    def __init__(self, cloud: Cloud, clock: Clock, stepping_aside: SteppingAside) -> None:
        self._cloud = cloud
        self._clock = clock
        self._stepping_aside = stepping_aside
        self._answers: dict[str, tuple[float, Known[ResolvedImage] | Unknown]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def known(self, source: ImageSource) -> Known[ResolvedImage] | Unknown | None:
        """The answer that is kept; None: there is none, or it is old."""
        kept = self._answers.get(image_key(source))
        return kept[1] if kept is not None and self._clock.monotonic_s() < kept[0] else None

    async def resolve(self, source: ImageSource) -> Known[ResolvedImage] | Unknown:
        """The AMI, or why there is none. Never raises."""
        key = image_key(source)
        self._forget_old()
        with self._stepping_aside():
            async with self._locks.setdefault(key, asyncio.Lock()):
                kept = self._answers.get(key)
                now_s = self._clock.monotonic_s()
                if kept is not None and now_s < kept[0]:
                    return kept[1]
                answer = await self._read(source)
                keep_s = _KEEP_S if isinstance(answer, Known) else _KEEP_FAILURE_S
                self._answers[key] = (now_s + keep_s, answer)
                return answer

    def _forget_old(self) -> None:
        now_s = self._clock.monotonic_s()
        self._answers = {key: kept for key, kept in self._answers.items() if now_s < kept[0]}
        # A lock that somebody holds or waits for must stay the one that the next comer finds.
        self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}

    async def _read(self, source: ImageSource) -> Known[ResolvedImage] | Unknown:
        try:
            return await self._look_up(source)
        except CloudError as error:
            return Unknown(error.kind.value, error.message)

    async def _look_up(self, source: ImageSource) -> Known[ResolvedImage] | Unknown:
        image_id = source.id
        if not image_id:
            found = await self._cloud.get_parameters([source.ssm_parameter])
            image_id = found.get(source.ssm_parameter, "")
            if not image_id:
                return Unknown(reasons.IMAGE_NOT_FOUND, f"there is no SSM parameter {source.ssm_parameter}")
        images = await self._cloud.describe_images([image_id])
        image = next((image for image in images if image.image_id == image_id), None)
        if image is None:
            return Unknown(reasons.IMAGE_NOT_FOUND, f"there is no image {image_id}, or it may not be seen")
        if image.state != "available":
            return Unknown(reasons.IMAGE_NOT_FOUND, f"image {image_id} is {image.state}")
        return Known(
            ResolvedImage(
                source=image_key(source),
                id=image.image_id,
                root_device_name=image.root_device_name,
                resolved_at=self._clock.now().replace(microsecond=0),
            )
        )
