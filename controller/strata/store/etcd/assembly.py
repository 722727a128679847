"""From etcd's watch responses to whole revisions, each once. Pure; owns where a watch resumes."""

from dataclasses import dataclass, field

from strata.store.etcd import rpc_pb2
from strata.store.etcd.kv import key_event
from strata.store.port import WatchBatch

_MANUAL_PROGRESS_ID = -1


@dataclass(slots=True)
class Assembly:
    """`next_revision` is the first one not delivered yet: where the next stream begins."""

    next_revision: int
    _held: list[rpc_pb2.Event] = field(default_factory=list)

    def new_stream(self) -> None:
        """Forget half a revision: the next stream sends it again, from its beginning."""
        self._held.clear()

    def sign_of_life(self) -> WatchBatch:
        return WatchBatch((), self.next_revision - 1)

    def take(self, response: rpc_pb2.WatchResponse, *, trust_manual_progress: bool) -> WatchBatch | None:
        """Add one response; return what can be delivered now. None: a fragment in the middle of a revision."""
        if response.events:
            return self._take_events(response)
        if not self._held and (trust_manual_progress or response.watch_id != _MANUAL_PROGRESS_ID):
            # A progress answer moves the resume point of a quiet prefix past compactions. It may do so only if no
            # event up to its revision can still come. etcd answers its own timer (the watch's id) through the
            # watch's queue and only when that has caught up: safe. Our request is answered with the id -1: before
            # 3.4.25 and 3.5.8 from another queue and without a look at the watch, so that it overtakes events;
            # there it is a sign of life and no more.
            self.next_revision = max(self.next_revision, response.header.revision + 1)
        return self.sign_of_life()

    def _take_events(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        # After a reconnect, and on a revision of the future before 3.5.22, etcd may send what was delivered already.
        events = self._held + [event for event in response.events if event.kv.mod_revision >= self.next_revision]
        self._held = []
        if response.fragment and events:
            # The next fragment may go on with the last revision: hold that one back, deliver those before it.
            last_revision = events[-1].kv.mod_revision
            self._held = [event for event in events if event.kv.mod_revision == last_revision]
            events = events[: len(events) - len(self._held)]
        if not events:
            return None
        revision = events[-1].kv.mod_revision
        self.next_revision = revision + 1
        return WatchBatch(tuple(key_event(event) for event in events), revision)
