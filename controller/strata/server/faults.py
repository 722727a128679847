"""The last barrier: an error that nobody foresaw is logged once, and is a Status to its client."""

from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from strata.server.answers import refusal_answer
from strata.server.failures import Refusal

_log = structlog.get_logger(__name__)


class FaultBarrier:
    """An ASGI application around another that may fail."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note_and_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_and_send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, others' requests go on
            _log.error("a request failed", method=scope["method"], path=scope["path"], exc_info=error)
            if not started:
                message = "the server failed; its log says why"
                refusal = Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError", message)
                await refusal_answer(refusal)(scope, receive, send)
