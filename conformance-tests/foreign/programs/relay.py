"""A TCP relay to the server, so that a test can cut the connections of a program."""

import asyncio


class Relay:
    """Use `await Relay().to(host, port)`; `port` is where it listens on 127.0.0.1."""

    async def to(self, host: str, port: int) -> "Relay":
        self._target = (host, port)
        self._writers: set = set()
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _connection(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(*self._target)
        both = {writer, up_writer}
        self._writers |= both
        await asyncio.wait(
            [asyncio.create_task(self._copy(reader, up_writer)),
             asyncio.create_task(self._copy(up_reader, writer))],
            return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.close()
        self._writers -= both

    @staticmethod
    async def _copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass

    def cut(self):
        """Drops every connection there is; new ones are relayed again."""
        for writer in list(self._writers):
            writer.transport.abort()

    def close(self):
        self._server.close()
        self.cut()
