"""What is said of windows of time, in the same words wherever it is said."""

from collections.abc import Mapping
from typing import Any


def next_change(change: Mapping[str, Any]) -> str:
    """`2 from 2026-11-24T01:00:00Z on (schedule/office-hours)`, of a status.nextChange as JSON."""
    return f"{change['desired']} from {change['at']} on ({change['rule']})"
