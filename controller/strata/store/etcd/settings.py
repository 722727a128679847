"""How to reach etcd. Owns no connection; imports no gRPC."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSettings:
    """One etcd cluster. `endpoints` are URLs (`https://10.0.0.1:2379`); `https` ones use the three paths.

    One attempt lasts `attempt_timeout_s` (reads double it each time), a call with all its attempts `budget_s`. A write
    gap after the loss of etcd's leader equals the attempt's timeout, so it is short.
    """

    endpoints: tuple[str, ...]
    ca_path: Path | None = None  # None: the system's authorities
    cert_path: Path | None = None
    key_path: Path | None = None
    tls_name: str | None = None  # the name in the server's certificate, where it is not the endpoint's
    user: str | None = None
    password: str = field(default="", repr=False)
    attempt_timeout_s: float = 1.5
    budget_s: float = 6.0
    progress_interval_s: float = 5.0  # a watch asks for a sign of life this often
    silence_limit_s: float = 20.0  # a watch that heard nothing for so long gives up
    page_size: int = 500  # keys a page of a listing: 1 MB at 2 KB a key
    allow_unsafe_version: bool = False  # only for the embedded development world

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise ValueError("etcd: no endpoint is given")
        for url in self.endpoints:
            _check_endpoint(url)
        if (self.cert_path is None) != (self.key_path is None):
            raise ValueError("etcd: a client certificate needs both its certificate and its key")
        if self.silence_limit_s <= self.progress_interval_s + self.attempt_timeout_s:
            raise ValueError("etcd: the silence limit must be longer than the progress interval and one attempt")


def _check_endpoint(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.port is None:
        raise ValueError(f"etcd: {url!r} is not of the form http://host:port or https://host:port")
