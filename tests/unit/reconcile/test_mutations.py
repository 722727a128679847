"""Gathered verbs: whoever waits is told, whatever becomes of the call or of the task that makes it."""

import asyncio
from collections.abc import Sequence

from tests.kit.virtual_time import run_virtual

from strata.errors import CloudError, CloudErrorKind
from strata.reconcile.mutations import Coalescer


def test_ids_that_arrive_together_go_out_in_one_call() -> None:
    calls: list[Sequence[str]] = []

    async def call(ids: Sequence[str]) -> None:
        calls.append(ids)

    run_virtual(_submitted(Coalescer(call), "i-1", "i-2", "i-1"))
    assert calls == [("i-1", "i-2")]


def test_one_bad_id_fails_nobody_else() -> None:
    async def call(ids: Sequence[str]) -> None:
        if "i-bad" in ids:
            raise CloudError(CloudErrorKind.NOT_FOUND, "InvalidInstanceID.NotFound", "no such machine")

    good, bad = run_virtual(_submitted(Coalescer(call), "i-1", "i-bad"))
    assert good is None
    assert isinstance(bad, CloudError)


def test_a_call_that_is_cut_short_leaves_nobody_waiting() -> None:
    async def hang(_ids: Sequence[str]) -> None:
        await asyncio.Event().wait()

    async def cut_short() -> BaseException | None:
        verb, loop = Coalescer(hang), asyncio.get_running_loop()
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
