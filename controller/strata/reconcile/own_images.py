"""The images of slots that name one of their own: looked up beside the launcher's turns, which wait for no answer."""

import asyncio
from collections.abc import Callable

from strata.planner.facts import Known, Note, Unknown
from strata.planner.template import image_key
from strata.reconcile.events import EventRecorder
from strata.reconcile.images import Images
from strata.resources import kinds
from strata.resources.instance import Instance
from strata.resources.kinds import ObjectKey
from strata.resources.layer import ResolvedImage
from strata.resources.stack import ImageSource


class OwnImages:
    """Of one region. An image is not frozen, as a layer's is: each launch of the slot takes what its source says."""

    def __init__(self, images: Images, events: EventRecorder) -> None:
        self._images = images
        self._events = events
        self._asked: dict[str, tuple[ImageSource, dict[ObjectKey, str]]] = {}  # who asked for it, and their uids
        self._wake = asyncio.Event()

    def known(self, instance: Instance, source: ImageSource) -> ResolvedImage | None:
        """The image; None: it is being looked up, or there is none, and an event of the Instance says why."""
        answer = self._images.known(source)
        if isinstance(answer, Known):
            return answer.value
        if answer is None:
            key = ObjectKey(kinds.INSTANCE, instance.metadata.name, instance.metadata.namespace)
            _, who = self._asked.setdefault(image_key(source), (source, {}))
            who[key] = instance.metadata.uid
            self._wake.set()
        return None

    async def run(self, poke: Callable[[], None]) -> None:
        """Look up what was asked for, and say so. Never returns."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            asked, self._asked = self._asked, {}
            for source, who in asked.values():
                answer = await self._images.resolve(source)
                if isinstance(answer, Unknown):
                    self._tell(who, Note(answer.reason, answer.message, warning=True))
            poke()

    def _tell(self, who: dict[ObjectKey, str], note: Note) -> None:
        for key, uid in who.items():
            self._events.record(key, uid, note)
