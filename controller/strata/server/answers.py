"""Answers: bytes with a status, and the headers that all of them carry."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from strata.server.failures import Refusal
from strata.server.formats import JSON_TYPE, encode

_WARNING_CHARACTERS = 400


def answer(
    content: bytes, *, code: int = HTTPStatus.OK, content_type: str = JSON_TYPE, warnings: Sequence[str] = ()
) -> Response:
    """Encoded content as an answer; `warnings` become Warning headers, which clients print."""
    response = Response(content, code, media_type=content_type)
    response.headers["cache-control"] = "no-store"
    for text in warnings:
        response.headers.append("warning", f'299 - "{_quotable(text)}"')
    return response


def json_answer(value: Mapping[str, Any], *, code: int = HTTPStatus.OK) -> Response:
    """A JSON object as an answer."""
    return answer(encode(value), code=code)


def refusal_answer(refusal: Refusal) -> Response:
    """A Status as an answer."""
    response = json_answer(refusal.status(), code=refusal.code)
    if refusal.retry_after_s:
        response.headers["retry-after"] = str(refusal.retry_after_s)
    return response


def _quotable(text: str) -> str:
    # A header's value is one line of printable ASCII; quotes and backslashes are escaped in a quoted string.
    printable = "".join(c if " " <= c <= "~" else "?" for c in text[:_WARNING_CHARACTERS])
    return printable.replace("\\", "\\\\").replace('"', '\\"')
