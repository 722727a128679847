"""Keeps one object for each of the few values that EC2 repeats a thousand times: types, zones, tags, times."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# Enough for every type, zone, subnet, image and tag of 10,000 machines. sys.intern would never forget a launch's id.
_MAX_ENTRIES = 65_536


class Interned(Generic[T]):
    """A bounded map from a text to the one value made of it. Safe under threads: the worst is a value made twice."""

    def __init__(self, make: Callable[[str], T]) -> None:
        self._make = make
        self._known: dict[str, T] = {}

    def __call__(self, text: str) -> T:
        """The value of `text`, made now or earlier."""
        known = self._known
        value = known.get(text)
        if value is None:
            if len(known) >= _MAX_ENTRIES:
                # A new map, not clear(): another thread may be between its look-up and its store.
                self._known = known = {}
            value = known.setdefault(text, self._make(text))
        return value
