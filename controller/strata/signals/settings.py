"""How to reach a Prometheus. Owns no connection."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

_SCHEMES = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """One Prometheus, or what answers as one (Thanos, Mimir, VictoriaMetrics). `url` is what comes before `/api/v1`.

    The files are read again for each call, so that a token or password that somebody renews needs no restart.
    """

    url: str
    ca_path: Path | None = None  # None: the system's authorities
    token_path: Path | None = None  # a bearer token
    user: str | None = None
    password_path: Path | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"prometheus: {self.url!r} is not of the form http://host:port or https://host/path")
        if parts.username or parts.password:
            raise ValueError("prometheus: no credentials in the URL, which everybody sees: they stand in files")
        if (self.user is None) != (self.password_path is None):
            raise ValueError("prometheus: basic authentication needs both a user and a password file")
        if self.user is not None and self.token_path is not None:
            raise ValueError("prometheus: either a token or a user, not both")
