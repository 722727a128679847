"""What a schema cannot say: rules over several fields, and over an object and what it was before. All of them.

Each rule yields a Cause a wrong field. Values of wrong type are the schema's business and are skipped here.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from strata.errors import Cause
from strata.resources.duration import parse_duration
from strata.resources.kinds import INSTANCE, LAYER, LAYER_REVISION, STACK
from strata.resources.schema.causes import show
from strata.resources.schema.load_rules import judge_load
from strata.resources.schema.schedule_rules import schedule_windows

Document = Mapping[str, Any]

USER_DATA_LIMIT_BYTES = 12 * 1024  # EC2 takes 16 KiB; the rest is for what the daemon puts in front
_DURATION_LIMITS = (timedelta(seconds=1), timedelta(days=30))
_MAX_AGE_LIMITS = (timedelta(minutes=10), timedelta(days=3650))
_SHUTDOWN_LIMITS = (timedelta(0), timedelta(days=1))
_NOTHING = (0, "0%", "00%")
_VOLUME_LIMIT_GIB = {"gp2": 16384, "standard": 1024}  # the schema has gp3's


def judge_rules(plural: str, document: Document, old: Document | None) -> Iterator[Cause]:
    """Every broken rule of this kind. `old` is the object as it was; None for a new one."""
    for rule in (*_EVERY_KIND, *_BY_PLURAL[plural]):
        yield from rule(document, old)


def _one_image_source(document: Document, _old: Document | None) -> Iterator[Cause]:
    image = _at(document, "spec", "instance", "image")
    if not isinstance(image, dict):
        return
    said = [name for name in ("id", "ssmParameter") if image.get(name)]
    if len(said) == 2:  # noqa: PLR2004 - both
        yield _invalid("spec.instance.image", image, "must have id or ssmParameter, not both; set the other to null")
    elif not said:
        yield Cause("spec.instance.image", "FieldValueRequired", "Required value: say either id or ssmParameter")


def _user_data_size(document: Document, _old: Document | None) -> Iterator[Cause]:
    user_data = _at(document, "spec", "instance", "userData")
    size_bytes = len(user_data.encode()) if isinstance(user_data, str) else 0
    # What is longer in characters as well is found by the schema.
    if size_bytes > USER_DATA_LIMIT_BYTES >= len(user_data):
        message = f"Too long: must have at most {USER_DATA_LIMIT_BYTES} bytes, has {size_bytes}"
        yield Cause("spec.instance.userData", "FieldValueTooLong", message)


def _root_volume_size(document: Document, _old: Document | None) -> Iterator[Cause]:
    size_gib, type_ = (_at(document, "spec", "instance", "rootVolume", name) for name in ("sizeGiB", "type"))
    limit_gib = _VOLUME_LIMIT_GIB.get(type_) if isinstance(type_, str) else None
    if limit_gib is not None and isinstance(size_gib, int) and size_gib > limit_gib:
        must = f"must be at most {limit_gib} for a volume of type {type_}"
        yield _invalid("spec.instance.rootVolume.sizeGiB", size_gib, must)


def _some_subnet(document: Document, _old: Document | None) -> Iterator[Cause]:
    if _at(document, "spec", "subnets") == []:
        yield Cause("spec.subnets", "FieldValueRequired", "Required value: name at least one subnet")


def _place_is_fixed(document: Document, old: Document | None) -> Iterator[Cause]:
    if old is None:
        return
    for name in ("region", "endpoint", "vpcId"):
        before, now = _at(old, "spec", name), _at(document, "spec", name)
        if before != now:
            fix = "make another stack there instead"
            yield _invalid(f"spec.{name}", now, f"never changes, and was {show(before)}; {fix}")


def _min_below_max(document: Document, _old: Document | None) -> Iterator[Cause]:
    low, high = _at(document, "spec", "capacity", "min"), _at(document, "spec", "capacity", "max")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield _invalid("spec.capacity.min", low, f"must not be above spec.capacity.max, which is {high}")


def _durations(document: Document, _old: Document | None) -> Iterator[Cause]:
    for name in ("impairedAfter", "startDeadline"):
        text = _at(document, "spec", "healing", name)
        if isinstance(text, str) and not _fits(text, _DURATION_LIMITS):
            yield _invalid(f"spec.healing.{name}", text, "must be a duration from 1s to 30d, such as 90s, 5m or 1h30m")


def _update_durations(document: Document, _old: Document | None) -> Iterator[Cause]:
    age, timeout = _at(document, "spec", "update", "maxAge"), _at(document, "spec", "shutdown", "timeout")
    if isinstance(age, str) and not _fits(age, _MAX_AGE_LIMITS):
        yield _invalid("spec.update.maxAge", age, "must be a duration from 10m to 3650d, such as 12h or 30d")
    if isinstance(timeout, str) and not _fits(timeout, _SHUTDOWN_LIMITS):
        yield _invalid("spec.shutdown.timeout", timeout, "must be a duration of at most 1d, such as 0s, 90s or 10m")


def _room_to_update(document: Document, _old: Document | None) -> Iterator[Cause]:
    surge, missing = (_at(document, "spec", "update", name) for name in ("maxSurge", "maxUnavailable"))
    if surge in _NOTHING and missing in _NOTHING:
        must = "may not be 0 when spec.update.maxSurge is 0: no machine could ever be renewed"
        yield _invalid("spec.update.maxUnavailable", missing, must)


def _fits(text: str, limits: tuple[timedelta, timedelta]) -> bool:
    shortest, longest = limits
    try:
        return shortest <= parse_duration(text) <= longest
    except OverflowError:
        return False
    except ValueError:
        return True  # the schema's pattern says so already


def _made_by_hand(document: Document, old: Document | None) -> Iterator[Cause]:
    availability = _at(document, "spec", "availability")
    before = "manual" if old is None else _at(old, "spec", "availability")
    if availability == before or availability not in ("layer", "manual"):
        return
    if old is None:
        message = "only the controller makes instances for a layer; leave it out, or raise the layer's capacity"
        yield Cause("spec.availability", "FieldValueForbidden", f"Forbidden: {message}")
    else:
        yield _invalid("spec.availability", availability, f"never changes, and was {show(before)}")


def _only_its_layer_decides(document: Document, old: Document | None) -> Iterator[Cause]:
    """The slots of a layer are its own: a person's wish would be undone by the next pass, or worse, be obeyed."""
    if old is None or _at(old, "spec", "availability") != "layer":
        return
    for name in ("power", "layers", "market"):
        before, now = _at(old, "spec", name), _at(document, "spec", name)
        if before is not None and before != now:
            message = f"it is {show(before)}, and only the controller changes it; change the layer, or delete this one"
            yield Cause(f"spec.{name}", "FieldValueForbidden", f"Forbidden: {message}")


def _at(document: Document, *path: str) -> Any:  # noqa: ANN401 - JSON
    value: Any = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _invalid(field: str, value: Any, must: str) -> Cause:  # noqa: ANN401 - JSON
    return Cause(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {must}")


Rule = Callable[[Document, Document | None], Iterator[Cause]]

_EVERY_KIND: tuple[Rule, ...] = (_one_image_source, _user_data_size, _root_volume_size)
_BY_PLURAL: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        STACK.plural: (_some_subnet, _place_is_fixed),
        LAYER.plural: (_min_below_max, schedule_windows, judge_load, _durations, _update_durations, _room_to_update),
        INSTANCE.plural: (_made_by_hand, _only_its_layer_decides),
        LAYER_REVISION.plural: (),
    }
)
