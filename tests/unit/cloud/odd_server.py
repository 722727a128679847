"""A server on loopback that answers what a test tells it to, byte by byte, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs

Form = dict[str, str]
Answer = Callable[[Form], bytes | None]  # None: hang up without a byte


class OddServer:
    def __init__(self) -> None:
        self.asked: list[Form] = []
        self.answer: Answer = lambda _: None
        self.hold = asyncio.Event()  # answers wait until it is set
        self.hold.set()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            form = {key: values[0] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
            self.asked.append(form)
            await self.hold.wait()
            if (answer := self.answer(form)) is not None:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: that is what some tests are about
        finally:
            writer.close()


@asynccontextmanager
async def odd_server() -> AsyncIterator[OddServer]:
    odd = OddServer()
    server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
    odd.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield odd
    finally:
        server.close()
        await server.wait_closed()


def http(body: str, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """An answer; `length` is what Content-Length claims."""
    content = body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length or len(content)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def refusal(code: str, message: str, status: str, *headers: str) -> bytes:
    """An error as EC2 writes it."""
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    return http(body, status, *headers)


def instance(instance_id: str, token: str = "", stack: str = "s") -> str:
    return (
        f"<item><instanceId>{instance_id}</instanceId><instanceState><name>running</name></instanceState>"
        f"<launchTime>2026-01-01T00:00:00Z</launchTime><clientToken>{token}</clientToken>"
        f"<tagSet><item><key>stack</key><value>{stack}</value></item></tagSet></item>"
    )


def instances(*items: str, token: str = "") -> str:
    return (
        f"<DescribeInstancesResponse><reservationSet><item><instancesSet>{''.join(items)}</instancesSet></item>"
        f"</reservationSet><nextToken>{token}</nextToken></DescribeInstancesResponse>"
    )


def launched(*items: str) -> str:
    return f"<RunInstancesResponse><instancesSet>{''.join(items)}</instancesSet></RunInstancesResponse>"


def _length(head: bytes) -> int:
    lines = head.decode().lower().split("\r\n")
    return int(next(line for line in lines if line.startswith("content-length:")).partition(":")[2])
