"""The ring against a plain list: a reader gets every event after its revision, in order, or is told that it cannot."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strata.server import ring
from strata.server.ring import Ring
from strata.store.port import KeyEvent, KeyValue

_LIMIT = 8


@dataclass
class _Reader:
    revision: int
    position: int
    seen: list[int]


def _event(revision: int) -> KeyEvent:
    return KeyEvent("/k", KeyValue("/k", b"x", revision, revision), revision)


# Each step: how far the revision moves on, or 0 for a reset; whether a reader joins at how many revisions back; and
# which readers read how much.
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.none() | st.integers(0, 15),
        st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), max_size=3),
    ),
    max_size=60,
)


@given(steps=_STEPS)
def test_a_reader_gets_all_or_is_told(steps: list[tuple[int, int | None, list[tuple[int, int]]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "EVENTS_LIMIT", _LIMIT)
        _run(steps)


def _run(steps: list[tuple[int, int | None, list[tuple[int, int]]]]) -> None:
    tested, now, missed_up_to = Ring(), 0, 0
    history: list[int] = []
    readers: list[_Reader] = []
    for advance, join_back, reads in steps:
        now += max(advance, 1)
        if advance:
            history.append(now)
            tested.append(_event(now))
        else:
            missed_up_to = now
            tested.reset(now)
        if join_back is not None:
            _join(tested, readers, max(now - join_back, 0), history, missed_up_to)
        for index, limit in reads:
            if index < len(readers):
                _read(tested, readers[index], limit, history, missed_up_to)


def _join(tested: Ring, readers: list[_Reader], revision: int, history: list[int], missed_up_to: int) -> None:
    position = tested.position(revision)
    later = [event for event in history if event > revision]
    can = revision >= missed_up_to and len(later) <= _LIMIT
    assert (position is not None) == can
    if position is not None:
        readers.append(_Reader(revision, position, []))


def _read(tested: Ring, reader: _Reader, limit: int, history: list[int], missed_up_to: int) -> None:
    last = reader.seen[-1] if reader.seen else reader.revision
    wanted = [event for event in history if event > last]
    events = tested.read(reader.position, limit)
    if events is None:
        assert len(wanted) > _LIMIT or reader.revision < missed_up_to
        return
    assert reader.revision >= missed_up_to
    reader.position += len(events)
    reader.seen += [event.revision for event in events]
    assert [event.revision for event in events] == wanted[:limit]


def test_a_ring_that_is_full_keeps_the_newest_and_gives_memory_back() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "EVENTS_LIMIT", 100)
        tested = Ring()
        for revision in range(1, 10_001):
            tested.append(_event(revision))
    assert tested.floor == 9_900
    position = tested.position(9_900)
    assert position is not None
    assert [event.revision for event in tested.read(position, 1_000) or []] == list(range(9_901, 10_001))
    assert len(tested._events) <= 2 * 101  # noqa: SLF001 - what is given back shows nowhere else
