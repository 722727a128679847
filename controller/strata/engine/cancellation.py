"""Tells a task's own cancellation from one that only came along with what it awaited.

The first must be obeyed, whatever the awaited work made of it: a task that goes on ends no scope. The second is a
failure of that work like any other; taken for the first, it would silently cost us a worker.
"""

import asyncio


def being_cancelled() -> bool:
    """Whether somebody asked the running task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def obey_cancellation() -> None:
    """Raise CancelledError if somebody asked the running task to end and the work it awaited ended otherwise."""
    if being_cancelled():
        raise asyncio.CancelledError
