"""--sort-by: numbers by value, everything else as text, what is missing first."""

from typing import Any

from strata.cli.jsonpath import Query

Json = dict[str, Any]


def sorted_by(path: str, items: list[Json], holders: list[Json]) -> list[Json]:
    """`items` in the order of what `path` finds in the holder (the object) of each."""
    query = Query(path)
    keyed = [
        (_key(query.values(holder)), at, item) for at, (item, holder) in enumerate(zip(items, holders, strict=True))
    ]
    return [item for _, _, item in sorted(keyed, key=lambda entry: entry[:2])]


def _key(found: list[Any]) -> tuple[int, float, str]:
    value = found[0] if found else None
    if value is None:
        return 0, 0.0, ""
    if isinstance(value, int | float):
        return 1, float(value), ""
    return 2, 0.0, str(value)
