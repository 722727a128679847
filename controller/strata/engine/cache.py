"""What an informer knows: entries by key, in key order, and filed under the values of indexes. No I/O, no time."""

import bisect
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """One key as the cache has it. `error` says why `obj` is None: the value cannot be decoded or indexed.

    Such an entry is listed with all others: who counts objects must not take it for one that is not there.
    """

    key: str
    value: bytes
    obj: T | None
    mod_revision: int
    error: str | None = None


class Cache(Generic[T]):
    """Entries by key. Values of an index are whatever its function gives for an entry."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry[T]] = {}
        self._keys: list[str] = []  # sorted: a prefix is a slice
        self._poisoned: set[str] = set()
        self._indexes: dict[str, _Index[T]] = {}

    def get(self, key: str) -> Entry[T] | None:
        return self._entries.get(key)

    def keys(self) -> set[str]:
        return set(self._entries)

    def entries(self, prefix: str) -> list[Entry[T]]:
        """All entries whose key starts with `prefix`, in key order."""
        start = bisect.bisect_left(self._keys, prefix)
        end = bisect.bisect_left(self._keys, prefix + "\U0010ffff", start) if prefix else len(self._keys)
        return [self._entries[key] for key in self._keys[start:end]]

    def poisoned(self) -> list[Entry[T]]:
        """All entries with an error, in key order."""
        return [self._entries[key] for key in sorted(self._poisoned)]

    def by_index(self, name: str, value: Hashable) -> list[Entry[T]]:
        """All entries filed under `value`, in key order. Raises KeyError for an index that was never added."""
        return [self._entries[key] for key in sorted(self._indexes[name].keys.get(value, ()))]

    def add_index(self, name: str, values_of: Callable[[Entry[T]], Iterable[Hashable]]) -> None:
        """File all entries, present and future, under what `values_of` gives. Raises ValueError for a name twice."""
        if name in self._indexes:
            raise ValueError(f"an index named {name} is there already")
        self._indexes[name] = _Index(values_of)
        for entry in self.entries(""):
            self.put(entry)

    def put(self, entry: Entry[T]) -> Entry[T]:
        """Set the entry of its key. Returns it as it was filed: poisoned if an index could not file it."""
        key = entry.key
        if key not in self._entries:
            bisect.insort(self._keys, key)
        for name, index in self._indexes.items():
            index.drop(key)
            try:
                index.file(entry)
            except Exception as error:  # noqa: BLE001 - an index function's trouble with one object concerns no other
                entry = replace(entry, obj=None, error=f"index {name}: {type(error).__name__}: {error}")
        if entry.error is None:
            self._poisoned.discard(key)
        else:
            self._poisoned.add(key)
        self._entries[key] = entry
        return entry

    def remove(self, key: str) -> None:
        """Forget the key. Raises KeyError if it is not there."""
        del self._entries[key]
        del self._keys[bisect.bisect_left(self._keys, key)]
        self._poisoned.discard(key)
        for index in self._indexes.values():
            index.drop(key)


class _Index(Generic[T]):
    def __init__(self, values_of: Callable[[Entry[T]], Iterable[Hashable]]) -> None:
        self.keys: dict[Hashable, set[str]] = {}
        self._values_of = values_of
        self._values: dict[str, tuple[Hashable, ...]] = {}

    def file(self, entry: Entry[T]) -> None:
        """File an entry that is not filed. Raises what the function raises; then nothing is filed."""
        values = tuple(set(self._values_of(entry)))
        self._values[entry.key] = values
        for value in values:
            self.keys.setdefault(value, set()).add(entry.key)

    def drop(self, key: str) -> None:
        for value in self._values.pop(key, ()):
            filed = self.keys[value]
            filed.discard(key)
            if not filed:
                del self.keys[value]
