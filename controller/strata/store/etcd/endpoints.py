"""One channel an endpoint, one endpoint in use. Owns the channels; decides nothing about retries.

A channel each, and not gRPC's own balancing over all of them: so that DNS names and each host's TLS name keep
working, and the one that failed is known.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import grpc
from grpc import aio

from strata.store.etcd.errors import Failure, Meaning
from strata.store.etcd.methods import Method, RequestT, ResponseT
from strata.store.etcd.settings import EtcdSettings

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", -1),  # a batch of a watch may be any size
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),  # gRPC's own is 120 s
    ("grpc.use_local_subchannel_pool", 1),  # else a new channel inherits the back-off of an old one
    ("grpc.enable_http_proxy", 0),  # the store is never behind the proxy that the environment names
)

_READY = grpc.ChannelConnectivity.READY
_FAILED = (grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN)


def _serialize(request: Any) -> bytes:  # noqa: ANN401 - gRPC's stub types are not generic
    data: bytes = request.SerializeToString()
    return data


class Endpoint:
    """One member of the cluster and the channel to it."""

    def __init__(self, url: str, channel: aio.Channel) -> None:
        self.url = url
        self._channel = channel
        self._unary: dict[str, Callable[..., Any]] = {}

    def unary(self, method: Method[RequestT, ResponseT]) -> Callable[..., Any]:
        """The callable of a unary method, made once: making it costs as much as calling it."""
        callable_ = self._unary.get(method.path)
        if callable_ is None:
            callable_ = self._channel.unary_unary(method.path, _serialize, method.response.FromString)
            self._unary[method.path] = callable_
        return callable_

    def server_stream(self, method: Method[RequestT, ResponseT]) -> Callable[..., Any]:
        return self._channel.unary_stream(method.path, _serialize, method.response.FromString)

    def stream(self, method: Method[RequestT, ResponseT]) -> Callable[..., Any]:
        return self._channel.stream_stream(method.path, _serialize, method.response.FromString)

    @property
    def is_connected(self) -> bool:
        return self._channel.get_state() is _READY

    async def connect(self, timeout_s: float) -> None:
        """Return once the connection stands. Raises Failure UNSENT: a call not begun was surely not sent."""
        try:
            async with asyncio.timeout(timeout_s):
                while (state := self._channel.get_state(try_to_connect=True)) is not _READY:
                    if state in _FAILED:
                        raise Failure(Meaning.UNSENT, f"{self.url}: cannot connect")
                    await self._channel.wait_for_state_change(state)
        except TimeoutError:
            raise Failure(Meaning.UNSENT, f"{self.url}: no connection in {timeout_s:.1f} s") from None

    async def close(self) -> None:
        await self._channel.close()


class Endpoints:
    """The endpoints, and which of them is in use: the same one until it fails."""

    def __init__(self, settings: EtcdSettings) -> None:
        self._all = tuple(Endpoint(url, _channel(url, settings)) for url in settings.endpoints)
        self._index = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def every(self) -> tuple[Endpoint, ...]:
        return self._all

    @property
    def current(self) -> Endpoint:
        return self._all[self._index]

    def leave(self, failed: Endpoint) -> None:
        """Use the next endpoint, unless somebody left `failed` already: many calls fail at once."""
        if self.current is failed:
            self._index = (self._index + 1) % len(self._all)

    async def close(self) -> None:
        for endpoint in self._all:
            await endpoint.close()


def _channel(url: str, settings: EtcdSettings) -> aio.Channel:
    parts = urlsplit(url)
    if parts.scheme == "http":
        return aio.insecure_channel(parts.netloc, options=_OPTIONS)
    options: tuple[tuple[str, int | str], ...] = _OPTIONS
    if settings.tls_name is not None:
        options = (*options, ("grpc.ssl_target_name_override", settings.tls_name))
    return aio.secure_channel(parts.netloc, _credentials(settings), options=options)


def _credentials(settings: EtcdSettings) -> grpc.ChannelCredentials:
    paths = (settings.ca_path, settings.key_path, settings.cert_path)
    ca, key, cert = (None if path is None else path.read_bytes() for path in paths)
    return grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)
