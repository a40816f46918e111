"""A TCP proxy on loopback that stands between two of the programs and makes the network bad."""

import asyncio
import threading

CHUNK = 65536


class TcpProxy:
    """To 127.0.0.1:`target`. What is set counts for bytes and connections from then on; stop() ends it.

    delay: seconds that every answer takes longer. silent: bytes of both sides are swallowed, connections stay open.
    tls: an ssl.SSLContext by which the proxy is spoken to; what it speaks to hears plain bytes.
    """

    def __init__(self, target, tls=None):
        self.target = target
        self.delay = 0
        self.silent = False
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls))
        self.port = self._server.sockets[0].getsockname()[1]

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader, writer):
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, there_writer}
        await asyncio.gather(
            self._carry(reader, there_writer, late=False), self._carry(there_reader, writer, late=True))
        self._writers -= {writer, there_writer}

    async def _carry(self, reader, writer, late):
        try:
            while data := await reader.read(CHUNK):
                if late and self.delay:
                    await asyncio.sleep(self.delay)
                if not self.silent:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        """Ends every connection there is."""
        async def close_all():
            for writer in self._writers:
                writer.close()
        self._call(close_all())

    def stop(self):
        async def close():
            self._server.close()
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for writer in self._writers:
                writer.close()
        self._call(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
