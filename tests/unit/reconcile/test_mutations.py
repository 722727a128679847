"""Gathered verbs: whoever waits is told, whatever becomes of the call or of the task that makes it."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext

from tests.kit.virtual_time import run_virtual

from strata.errors import CloudError, CloudErrorKind
from strata.reconcile.dividing import Call
from strata.reconcile.mutations import Coalescer


def test_ids_that_arrive_together_go_out_in_one_call() -> None:
    calls: list[Sequence[str]] = []

    async def call(ids: Sequence[str]) -> None:
        calls.append(ids)

    run_virtual(_submitted(Coalescer(call, nullcontext), "i-1", "i-2", "i-1"))
    assert calls == [("i-1", "i-2")]


def test_one_bad_id_fails_nobody_else() -> None:
    async def call(ids: Sequence[str]) -> None:
        if "i-bad" in ids:
            raise CloudError(CloudErrorKind.NOT_FOUND, "InvalidInstanceID.NotFound", "no such machine")

    good, bad = run_virtual(_submitted(Coalescer(call, nullcontext), "i-1", "i-bad"))
    assert good is None
    assert isinstance(bad, CloudError)


class Refusing:
    """A verb that refuses some ids, and with them every call that they are in."""

    def __init__(self, *bad: str) -> None:
        self.bad = set(bad)
        self.calls: list[Sequence[str]] = []

    async def __call__(self, ids: Sequence[str]) -> None:
        self.calls.append(ids)
        if self.bad.intersection(ids):
            raise CloudError(CloudErrorKind.TERMINATION_PROTECTED, "OperationNotPermitted", "protected")


def test_one_bad_id_of_a_thousand_costs_a_few_calls_and_is_then_left_out_of_the_others_way() -> None:
    refusing = Refusing("i-500")
    many = [f"i-{number}" for number in range(1000)]

    async def twice() -> tuple[list[BaseException | None], int]:
        verb = Coalescer(refusing, nullcontext)
        first = await _submitted(verb, *many)
        calls_before = len(refusing.calls)
        await _submitted(verb, *many)
        return first, calls_before

    results, calls_before = run_virtual(twice())
    assert [one for one, error in zip(many, results, strict=True) if error is not None] == ["i-500"]
    assert calls_before <= 2 + 2 * 10
    assert [len(ids) for ids in refusing.calls[calls_before:]] == [500, 499, 1]


def test_a_suspect_that_is_let_through_is_none_any_more() -> None:
    refusing = Refusing("i-2")

    async def day() -> None:
        verb = Coalescer(refusing, nullcontext)
        await _submitted(verb, "i-1", "i-2", "i-3")
        refusing.bad.clear()
        await _submitted(verb, "i-1", "i-2", "i-3")
        refusing.calls.clear()
        await _submitted(verb, "i-1", "i-2", "i-3")

    run_virtual(day())
    assert refusing.calls == [("i-1", "i-2", "i-3")]


def test_a_refusal_of_all_costs_a_bounded_number_of_calls_and_tells_everybody() -> None:
    many = [f"i-{number}" for number in range(500)]
    refusing = Refusing(*many)
    results = run_virtual(_submitted(Coalescer(refusing, nullcontext), *many))
    assert all(isinstance(error, CloudError) for error in results)
    assert len(refusing.calls) < 100


def test_many_suspects_hold_up_nobody_else() -> None:
    bad = [f"i-bad-{number}" for number in range(40)]
    refusing = Refusing(*bad)

    async def day() -> float:
        verb, loop = Coalescer(_slowly(refusing), nullcontext), asyncio.get_running_loop()
        for _ in range(10):  # all are found in the end
            await _submitted(verb, *bad, "i-good")
        running = loop.create_task(verb.run())
        waiting = [loop.create_task(verb.submit(one)) for one in bad]
        await asyncio.sleep(0.5)
        began_s = loop.time()
        await verb.submit("i-good")
        took_s = loop.time() - began_s
        for task in (running, *waiting):
            task.cancel()
        await asyncio.gather(running, *waiting, return_exceptions=True)
        return took_s

    assert run_virtual(day()) < 12


def _slowly(call: Call) -> Call:
    async def slow(ids: Sequence[str]) -> None:
        await asyncio.sleep(1)
        await call(ids)

    return slow


def test_a_call_that_is_cut_short_leaves_nobody_waiting() -> None:
    async def hang(_ids: Sequence[str]) -> None:
        await asyncio.Event().wait()

    async def cut_short() -> BaseException | None:
        verb, loop = Coalescer(hang, nullcontext), asyncio.get_running_loop()
        running, waiting = loop.create_task(verb.run()), loop.create_task(verb.submit("i-1"))
        await asyncio.sleep(1)
        running.cancel()
        await asyncio.wait({running, waiting}, timeout=10)
        return waiting.exception()

    error = run_virtual(cut_short())
    assert isinstance(error, CloudError)
    assert error.kind is CloudErrorKind.UNKNOWN_RESULT


async def _submitted(verb: Coalescer, *ids: str) -> list[BaseException | None]:
    running = asyncio.get_running_loop().create_task(verb.run())
    results = await asyncio.gather(*(verb.submit(one) for one in ids), return_exceptions=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return results
