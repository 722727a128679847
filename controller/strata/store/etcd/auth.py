"""The login token. Owns when to log in; never decides whether a call is sent again."""

import asyncio

from grpc import aio

from strata.store.etcd import rpc_pb2
from strata.store.etcd.endpoints import Endpoint
from strata.store.etcd.errors import Failure, Meaning, failure_of
from strata.store.etcd.methods import AUTHENTICATE
from strata.store.etcd.settings import EtcdSettings

Metadata = tuple[tuple[str, str], ...]


class Login:
    """A user's token, fetched when first needed. Without a user, no metadata at all (mTLS names are etcd's matter)."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._user = settings.user
        self._password = settings.password
        self._token: str | None = None
        self._lock = asyncio.Lock()

    @property
    def has_user(self) -> bool:
        return self._user is not None

    async def metadata(self, endpoint: Endpoint, timeout_s: float) -> Metadata:
        """The metadata of a call. Raises Failure if the login fails: then the call was not sent."""
        if self._user is None:
            return ()
        token = self._token
        if token is None:
            try:
                async with asyncio.timeout(timeout_s):  # the wait for others' logins is part of this call's time
                    token = await self._log_in(endpoint, self._user, timeout_s)
            except TimeoutError:
                raise Failure(Meaning.UNSENT, f"{endpoint.url}: no login in {timeout_s:.1f} s") from None
        return _metadata_of(token)

    def forget(self, stale: Metadata) -> None:
        """Log in again at the next call, unless the token of `stale` was replaced meanwhile."""
        if self._token is not None and _metadata_of(self._token) == stale:
            self._token = None

    async def _log_in(self, endpoint: Endpoint, user: str, timeout_s: float) -> str:
        """Log in once, however many calls want it."""
        async with self._lock:
            if self._token is None:
                self._token = await self._authenticate(endpoint, user, timeout_s)
            return self._token

    async def _authenticate(self, endpoint: Endpoint, user: str, timeout_s: float) -> str:
        request = rpc_pb2.AuthenticateRequest(name=user, password=self._password)
        try:
            response: rpc_pb2.AuthenticateResponse = await endpoint.unary(AUTHENTICATE)(request, timeout=timeout_s)
        except aio.AioRpcError as error:
            failure = failure_of(error)
            if failure.meaning is Meaning.AUTH_OFF:
                return ""  # a server without authentication wants no token
            raise failure from None
        return response.token


def _metadata_of(token: str) -> Metadata:
    return (("token", token),) if token else ()
