"""Sleeping, in the one way that Ctrl-C wakes."""

import threading


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)
