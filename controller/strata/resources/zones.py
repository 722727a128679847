"""Time zones by their IANA names. The host's zone data first, which is updated with the host; then what is packaged
with us."""

from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

# Names that mean something else on each host, or that count leap seconds.
_NO_ZONES = ("localtime", "posixrules", "Factory", "posix/", "right/")


@lru_cache(maxsize=1024)  # there are some 600 zones
def find_zone(name: str) -> ZoneInfo | None:
    """The zone of this name; None if there is none."""
    if name.startswith(_NO_ZONES):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def zone_names() -> frozenset[str]:
    """The names that `find_zone` knows. Reads directories: for error messages only."""
    return frozenset(name for name in available_timezones() if not name.startswith(_NO_ZONES))
