"""Keeps web pages out: only requests to a loopback name, from no other origin, are let in.

While there are no identities, whoever reaches the port is in charge. A page in a browser on the same machine could
reach it by DNS rebinding (a foreign name that resolves to 127.0.0.1) or by posting across origins.
"""

import ipaddress
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from strata.server.answers import refusal_answer
from strata.server.failures import Refusal


def is_loopback(host: str) -> bool:
    """Whether a host name or address (no port) means this very machine and no other."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LoopbackGuard:
    """An ASGI application that refuses what did not come from this machine's own programs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = _fault(Headers(scope=scope)) if scope["type"] == "http" else ""
        if fault:
            await refusal_answer(Refusal(HTTPStatus.FORBIDDEN, "Forbidden", fault))(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _fault(headers: Headers) -> str:
    host = headers.get("host", "")
    if not is_loopback(_name(f"//{host}")):
        return f"only requests to a loopback name are served, not to {host!r}; use localhost or 127.0.0.1"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        return f"requests of web pages of other origins ({origin!r}) are not served"
    return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
