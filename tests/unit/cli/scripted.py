"""An HTTP server that plays a script: for each request the next answer, with streams that break where they are told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]


@dataclass
class Answer:
    """One answer. `lines` make it a stream; `cut` ends it as a broken connection does, after `tail`, which is no
    whole line. `wait_s` passes before it, and `drip_s` after each of its bytes."""

    body: Json | None = None
    code: int = 200
    lines: list[Json] | None = None
    tail: bytes = b""
    cut: bool = False
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0
    drip_s: float = 0


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Json | None
    port: int


@dataclass
class Script:
    """The answers to give, in order, and what was asked. After the last answer every connection is dropped."""

    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""


@contextmanager
def playing(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Script]:
    script = Script(list(answers))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    script.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _write(to: BufferedIOBase, data: bytes, drip_s: float) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # who asked lost patience
        for piece in [bytes([byte]) for byte in data] if drip_s else [data]:
            to.write(piece)
            threading.Event().wait(drip_s)


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

        def _play(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            url = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(url.query).items()}
            script.asked.append(Asked(self.command, url.path, query, dict(self.headers), body, self.client_address[1]))
            if not script.answers:
                self.close_connection = True
                return
            self._answer(script.answers.pop(0))

        def _answer(self, answer: Answer) -> None:
            threading.Event().wait(answer.wait_s)
            self.send_response_only(answer.code)  # no Date but what the test says
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.lines is None:
                data = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                _write(self.wfile, data, answer.drip_s)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for data in [json.dumps(line).encode() + b"\n" for line in answer.lines] + [answer.tail]:
                if data:
                    self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            if answer.cut:
                self.close_connection = True
            else:
                self.wfile.write(b"0\r\n\r\n")

        do_GET = do_POST = do_PATCH = do_DELETE = _play  # noqa: N815 - the base's names

    return Handler
