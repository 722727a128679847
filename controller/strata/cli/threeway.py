"""The three-way merge: what was applied last, what is applied now, what is live -> a JSON merge patch (RFC 7396).

Pure. A field that the file names is set; a field that the file named before and no longer names is removed; a field
that only others set is left alone. Lists are one value, as in every merge patch.
"""

from typing import Any

Json = dict[str, Any]


def three_way(last: Json, wanted: Json, live: Json) -> Json:
    """The merge patch that brings `live` to `wanted`; {} when there is nothing to do.

    A null in `wanted` means what it means in a merge patch: not set.
    """
    patch = _removals(last, wanted, live)
    for key, value in wanted.items():
        if isinstance(value, dict):
            below = _as_object(live.get(key))
            inner = three_way(_as_object(last.get(key)), value, below)
            if inner or not isinstance(live.get(key), dict):
                patch[key] = inner
        elif not same(value, live.get(key)):
            patch[key] = value
    return patch


def _removals(last: Json, wanted: Json, live: Json) -> Json:
    return {key: None for key in last if key not in wanted and live.get(key) is not None}


def _as_object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def same(left: object, right: object) -> bool:
    """Whether two JSON values are equal: 1 equals 1.0, but true does not equal 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(one, other) for one, other in zip(left, right, strict=True))
    return left == right


def merge(target: object, patch: object) -> Any:  # noqa: ANN401 - JSON
    """What a server makes of a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged
