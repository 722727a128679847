"""Reads request bodies: bounded, and JSON of the strict kind, so that what is stored is what was meant.

Python's parser takes doubled keys, NaN and lone surrogates, and dies of deep nesting; here each is a clear 400.
"""

import asyncio
import json
import math
from http import HTTPStatus
from typing import Any, Final, NoReturn

from starlette.requests import Request

from strata.server.failures import Refusal, bad_request, too_large, unsupported_media_type

BODY_LIMIT_BYTES = 1024 * 1024
# Up to here an oversized body is still read, so that its sender hears why it was refused.
_DRAIN_LIMIT_BYTES = 3 * 1024 * 1024
_BODY_TIMEOUT_S = 30
_DEPTH_LIMIT = 64
_INTEGER_LIMIT: Final = 2**63

JSON = "application/json"


def media_type(request: Request) -> str:
    """The body's media type without parameters; JSON where the client says none (some say none)."""
    return request.headers.get("content-type", JSON).split(";")[0].strip().lower() or JSON


async def read_bytes(request: Request) -> bytes:
    """The whole body. Raises Refusal 408 when it does not come, 413 when it is too large."""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return await _read_bounded(request)
    except TimeoutError:
        message = f"the body did not arrive within {_BODY_TIMEOUT_S} s"
        raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "Timeout", message) from None


async def _read_bounded(request: Request) -> bytes:
    chunks: list[bytes] = []
    size_bytes = 0
    async for chunk in request.stream():
        size_bytes += len(chunk)
        if size_bytes > _DRAIN_LIMIT_BYTES:
            break
        if size_bytes <= BODY_LIMIT_BYTES:
            chunks.append(chunk)
    if size_bytes > BODY_LIMIT_BYTES:
        raise too_large(BODY_LIMIT_BYTES)
    return b"".join(chunks)


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object. Raises Refusal 400, 413 or 415."""
    if media_type(request) != JSON:
        raise unsupported_media_type(media_type(request), [JSON])
    value = parse(await read_bytes(request))
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object")
    return value


async def read_optional_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object."""
    data = await read_bytes(request)
    value = parse(data) if data.strip() else {}
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object")
    return value


def parse(data: bytes) -> Any:  # noqa: ANN401 - JSON
    """JSON, strictly. Raises Refusal 400 that says what is wrong and where."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8: byte {error.start}") from None
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique_object,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_bounded_int,
        )
    except json.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise bad_request(f"the body is nested too deeply: more than {_DEPTH_LIMIT} levels") from None
    check_depth_and_text(value)
    return value


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        doubled = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise bad_request(f'strict decoding error: duplicate field "{doubled}"')
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise bad_request(f"the body is not JSON: {text} is not a number of JSON")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise bad_request(f"the number {text[:40]} is out of range")
    return value


def _bounded_int(text: str) -> int:
    if len(text) > len(str(-_INTEGER_LIMIT)) or not -_INTEGER_LIMIT <= int(text) < _INTEGER_LIMIT:
        raise bad_request(f"the number {text[:40]} is out of range")
    return int(text)


def check_depth_and_text(value: Any) -> None:  # noqa: ANN401 - JSON
    """Raise Refusal 400 for what is nested too deeply or is no text. Iterative: it survives what it refuses."""
    level: list[Any] = [value]
    for _ in range(_DEPTH_LIMIT):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            elif isinstance(item, str):
                _check_text(item)
        if not below:
            return
        level = below
    raise bad_request(f"the body is nested too deeply: more than {_DEPTH_LIMIT} levels")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request("the body has half of a surrogate pair in a string: that is no Unicode text") from None
