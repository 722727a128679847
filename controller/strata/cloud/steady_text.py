"""What of EC2's words is the same each time: a text that varies from call to call would make a condition that varies,
and a status that is written at every try."""

import re
from typing import Final

_MOST: Final = 1000  # characters; a proxy may answer with a whole page
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"

# What varies, and what stands for it. Applied in order.
_VARYING: Final = (
    (re.compile(r"\s*Encoded authorization failure message:\s*[^\s.,;]+"), ""),
    (
        re.compile(
            rf"\s*[(\[]?\brequest[ _-]?id\b\s*[:=]?\s*['\"]?(?:{_UUID}|[0-9A-Z]{{12,}})\b['\"]?[)\]]?", re.IGNORECASE
        ),
        "",
    ),
    (re.compile(r" object at 0x[0-9a-fA-F]+"), " object"),
    (re.compile(r"\b\d{4}-?\d{2}-?\d{2}T\d{2}:?\d{2}:?\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:?\d{2})?"), "(a time)"),
    (re.compile(r"[A-Za-z0-9_+=-]{100,}"), "(...)"),  # no name is so long: a blob
)


def steady(text: str) -> str:
    """The text without what varies from call to call, and not longer than people read."""
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    text = text.strip()
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."
