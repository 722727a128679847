"""Reading objects as JSON: fields that may not be there yet, conditions, and what stands in them."""

from typing import Any

Json = dict[str, Any]


def dig(document: Json, *steps: str) -> Any:  # noqa: ANN401 - JSON
    """The value at this path; None where any of it is missing."""
    value: Any = document
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def conditions(document: Json) -> list[Json]:
    found: list[Json] = dig(document, "status", "conditions") or []
    return found


def find_condition(document: Json, type_: str) -> Json | None:
    """The condition of this type, in any case; None if it is not there."""
    return next((one for one in conditions(document) if str(one.get("type")).lower() == type_.lower()), None)


def is_stale(document: Json, condition: Json) -> bool:
    """Whether a condition speaks of an older generation than the one that people wrote last."""
    generation = dig(document, "metadata", "generation") or 0
    observed = condition.get("observedGeneration") or dig(document, "status", "observedGeneration")
    return observed is not None and observed < generation


def counts(phases: Json | None) -> str:
    """`5 online, 1 booting`."""
    return ", ".join(f"{count} {phase}" for phase, count in (phases or {}).items() if count) or "none"
