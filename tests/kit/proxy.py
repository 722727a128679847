"""A TCP proxy on loopback that loses replies: the request arrives, the answer never comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TIME_TO_APPLY_S = 0.3


class LossyProxy:
    """Forwards until `lose_next_reply`; then it passes one more piece of a request on and cuts every connection."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._loses = False
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.cut_count = 0

    def lose_next_reply(self) -> None:
        self._loses = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LossyProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._cut()
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers |= {writer, up_writer}
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(reader, up_writer))
                tasks.create_task(self._replies(up_reader, writer))
        writer.close()

    async def _requests(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                up.write(data)
                if self._loses:
                    await asyncio.sleep(_TIME_TO_APPLY_S)
                    self._loses = False
                    self.cut_count += 1
                    self._cut()
        up.close()

    async def _replies(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await up.read(65536):
                if not self._loses:
                    writer.write(data)
        writer.close()

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
