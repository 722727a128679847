"""The law of a token bucket: in any window of t seconds it gives at most its size and rate x t."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from strata.cloud.buckets import Rate, TokenBucket

DUST = 1e-3

RATES = st.builds(Rate, st.floats(1, 1000), st.floats(0.5, 50))
GAPS_S = st.floats(0, 120)
COUNTS = st.integers(1, 1000)


@given(rate=RATES, asks=st.lists(st.tuples(GAPS_S, COUNTS, st.sampled_from(["take", "empty", "halve"])), max_size=40))
def test_no_window_gives_more_than_size_and_refill(rate: Rate, asks: list[tuple[float, int, str]]) -> None:
    bucket, now_s = TokenBucket(rate, 0.0), 0.0
    given_out: list[tuple[float, float]] = []
    for gap_s, count, what in asks:
        now_s += gap_s
        if what == "empty":
            bucket.empty(now_s)
        elif what == "halve":
            bucket.halve(now_s)
        elif bucket.take(count, now_s):
            given_out.append((now_s, min(count, rate.size)))
    for first, last in itertools.combinations_with_replacement(range(len(given_out)), 2):
        window_s = given_out[last][0] - given_out[first][0]
        taken = sum(count for _, count in given_out[first : last + 1])
        assert taken <= rate.size + rate.refill_per_s * window_s + DUST * len(given_out)


@given(rate=RATES, throttles_s=st.lists(GAPS_S, max_size=6), count=COUNTS, spend=COUNTS)
def test_after_the_wait_it_told_the_tokens_are_there_and_not_much_sooner(
    rate: Rate, throttles_s: list[float], count: int, spend: int
) -> None:
    bucket, now_s = TokenBucket(rate, 0.0), 0.0
    for gap_s in throttles_s:
        now_s += gap_s
        bucket.empty(now_s)
    if bucket.take(spend, now_s):
        bucket.settle(spend, now_s)
    wait_s = bucket.wait_s(count, now_s)
    if wait_s > 1:
        assert not bucket.take(count, now_s + 0.99 * wait_s)
    assert bucket.take(count, now_s + wait_s + DUST)


def test_it_starts_full_and_refills_at_its_rate() -> None:
    bucket = TokenBucket(Rate(5, 2), 0.0)
    assert [bucket.take(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.wait_s(1, 0.0) == 0.5
    bucket.settle(5, 0.0)
    assert bucket.wait_s(5, 10.0) == 0


@given(
    rate=st.builds(Rate, st.integers(1, 8), st.floats(0.5, 5)),
    calls=st.lists(st.tuples(st.floats(0, 2), st.floats(0, 3), st.floats(0, 1)), max_size=40),
)
@example(
    rate=Rate(5, 2), calls=[(0, 0.3, 0.01)] * 5 + [(0.5, 0, 0.01)]
)  # the last must wait for the first ones' answer
def test_a_server_that_counts_at_the_arrival_never_throttles(
    rate: Rate, calls: list[tuple[float, float, float]]
) -> None:
    """Each call is let through when our bucket says so, arrives later, and is answered later still."""
    ours, now_s, moments = TokenBucket(rate, 0.0), 0.0, list[tuple[float, str]]()
    for gap_s, travel_s, answer_s in calls:
        now_s += gap_s
        for at_s, what in sorted(moment for moment in moments if moment[1] == "answer" and moment[0] <= now_s):
            ours.settle(1, at_s)
            moments.remove((at_s, what))
        if ours.take(1, now_s):
            moments += [(now_s + travel_s, "arrival"), (now_s + travel_s + answer_s, "answer")]
    theirs = TokenBucket(rate, 0.0)
    for at_s in sorted(at_s for at_s, what in moments if what == "arrival"):
        assert theirs.wait_s(1, at_s) <= DUST
        theirs.take(1, at_s)
        theirs.settle(1, at_s)


def test_more_than_it_holds_counts_as_all_it_holds() -> None:
    bucket = TokenBucket(Rate(1000, 2), 0.0)
    assert bucket.take(1500, 0.0)
    assert bucket.wait_s(1500, 0.0) == 500


def test_a_throttle_empties_it_and_its_pace_comes_back_gradually() -> None:
    bucket = TokenBucket(Rate(100, 10), 0.0)
    bucket.empty(0.0)
    assert not bucket.take(1, 0.0)
    first_s = bucket.wait_s(1, 0.0)
    assert 0.19 < first_s < 0.2  # half the pace, a little more by then
    bucket.take(100, 60.0)
    assert bucket.wait_s(1, 60.0) == pytest.approx(0.1)  # all of it again


def test_calls_throttled_together_slow_it_down_once() -> None:
    alone, together = (TokenBucket(Rate(100, 10), 0.0) for _ in range(2))
    alone.empty(0.0)
    for _ in range(10):
        together.empty(0.0)
    assert together.wait_s(50, 0.0) == alone.wait_s(50, 0.0)


def test_throttles_that_go_on_slow_it_down_further_but_never_stop_it() -> None:
    bucket = TokenBucket(Rate(100, 10), 0.0)
    for now_s in range(0, 40, 2):
        bucket.empty(float(now_s))
    assert bucket.wait_s(1, 38.0) <= 0.8
