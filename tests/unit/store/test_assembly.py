"""From watch responses to whole revisions: fragments, repetitions, and which progress may be believed."""

import pytest

from strata.store.etcd import rpc_pb2
from strata.store.etcd.assembly import Assembly
from strata.store.port import WatchBatch


def response(*revisions: int, fragment: bool = False, header: int = 0, watch_id: int = 0) -> rpc_pb2.WatchResponse:
    return rpc_pb2.WatchResponse(
        header=rpc_pb2.ResponseHeader(revision=header or max(revisions, default=0)),
        watch_id=watch_id,
        fragment=fragment,
        events=[
            rpc_pb2.Event(kv=rpc_pb2.KeyValue(key=b"/%d" % n, create_revision=revision, mod_revision=revision))
            for n, revision in enumerate(revisions)
        ],
    )


def revisions(batch: WatchBatch | None) -> list[int]:
    return [] if batch is None else [event.mod_revision for event in batch.events]


def test_the_resume_point_follows_the_events_and_not_the_stores_revision() -> None:
    """A backlog comes by 1000 revisions under a header of the store's newest: to resume from there loses the rest."""
    assembly = Assembly(2)
    batch = assembly.take(response(2, 3, header=5000), trust_manual_progress=True)
    assert (revisions(batch), assembly.next_revision) == ([2, 3], 4)
    assert batch is not None
    assert batch.revision == 3


def test_what_was_delivered_before_a_reconnect_is_dropped() -> None:
    assembly = Assembly(5)
    assert revisions(assembly.take(response(3, 4, 5, 6), trust_manual_progress=True)) == [5, 6]
    assembly.new_stream()
    assert assembly.take(response(5, 6), trust_manual_progress=True) is None
    assert assembly.next_revision == 7


def test_a_revision_cut_by_fragments_is_delivered_once_and_whole() -> None:
    assembly = Assembly(1)
    taken = [
        revisions(assembly.take(part, trust_manual_progress=True))
        for part in (response(2, 3, 3, fragment=True), response(3, 3, fragment=True), response(3, 4))
    ]
    assert taken == [[2], [], [3, 3, 3, 3, 3, 4]]


def test_half_a_revision_is_forgotten_with_its_stream() -> None:
    assembly = Assembly(1)
    assert revisions(assembly.take(response(2, 3, fragment=True), trust_manual_progress=True)) == [2]
    assembly.new_stream()
    assert assembly.next_revision == 3
    assert revisions(assembly.take(response(3, 3), trust_manual_progress=True)) == [3, 3]


def test_progress_between_two_fragments_promises_nothing() -> None:
    assembly = Assembly(1)
    assembly.take(response(2, 3, fragment=True), trust_manual_progress=True)
    progress = assembly.take(response(header=9, watch_id=-1), trust_manual_progress=True)
    assert progress == WatchBatch((), 2)
    assert revisions(assembly.take(response(3), trust_manual_progress=True)) == [3, 3]


@pytest.mark.parametrize(
    ("watch_id", "is_trusted", "promised"),
    [
        (-1, True, 40),  # asked for, from a server that sends it behind the events
        (-1, False, 4),  # asked for, from one that may send it before them
        (0, True, 40),  # etcd's own timer: through the watch's queue
        (0, False, 40),
    ],
)
def test_progress_is_believed_only_where_no_event_can_follow_it(
    *, watch_id: int, is_trusted: bool, promised: int
) -> None:
    assembly = Assembly(5)
    batch = assembly.take(response(header=40, watch_id=watch_id), trust_manual_progress=is_trusted)
    assert batch == WatchBatch((), promised)
    assert assembly.next_revision == promised + 1


def test_progress_never_goes_back() -> None:
    assembly = Assembly(50)
    assert assembly.take(response(header=40), trust_manual_progress=True) == WatchBatch((), 49)


def test_a_deletion_has_no_value_and_the_revision_of_the_deletion() -> None:
    deletion = rpc_pb2.Event(
        type=rpc_pb2.Event.DELETE,
        kv=rpc_pb2.KeyValue(key=b"/a", mod_revision=7),
        prev_kv=rpc_pb2.KeyValue(key=b"/a", value=b"old", create_revision=2, mod_revision=3),
    )
    batch = Assembly(5).take(rpc_pb2.WatchResponse(events=[deletion]), trust_manual_progress=True)
    assert batch is not None
    (event,) = batch.events
    assert (event.key, event.kv, event.mod_revision) == ("/a", None, 7)
    assert event.previous is not None
    assert event.previous.value == b"old"
