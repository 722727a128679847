"""Durations as people write them: `90s`, `5m`, `1h30m`, `2d`."""

import re
from datetime import timedelta
from functools import lru_cache

DURATION_PATTERN = r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"
_PARTS = re.compile(r"(\d+)([dhms])")
_UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


@lru_cache(maxsize=1024)  # the same few texts are judged again and again
def parse_duration(text: str) -> timedelta:
    """Turn `1h30m` into a timedelta. Raises ValueError for anything that DURATION_PATTERN does not match."""
    if not re.match(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration such as 90s, 5m or 1h30m")
    return timedelta(seconds=sum(int(count) * _UNIT_S[unit] for count, unit in _PARTS.findall(text)))
