"""A TCP proxy on loopback that makes a fast way slow. Run: python tools/bench/proxy.py PORT
DELAY_MS BYTES_PER_S; it prints the port it listens on.

Each direction of each connection is delayed by DELAY_MS and limited to BYTES_PER_S (0: not at all),
as if every target had a network of its own. What is on its way is bounded by what the rate carries
in the delay, and never more than WINDOW_BYTES."""

from __future__ import annotations

import asyncio
import selectors
import sys
from asyncio import StreamReader, StreamWriter

CHUNK_BYTES = 16 << 10
WINDOW_BYTES = 4 << 20


async def carry(
    reader: StreamReader, writer: StreamWriter, delay_s: float, bytes_per_s: float
) -> None:
    """Bytes leave `delay_s` after they arrived, at the rate's pace."""
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(WINDOW_BYTES // CHUNK_BYTES)

    async def arrive() -> None:
        free_at = loop.time()
        while True:
            chunk = await reader.read(CHUNK_BYTES)
            if bytes_per_s:
                free_at = max(free_at, loop.time()) + len(chunk) / bytes_per_s
                await asyncio.sleep(free_at - loop.time())
            await on_the_way.put((loop.time() + delay_s, chunk))
            if not chunk:
                return

    async def leave() -> None:
        while True:
            due_at, chunk = await on_the_way.get()
            if due_at > loop.time():
                await asyncio.sleep(due_at - loop.time())
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()

    await asyncio.gather(arrive(), leave())


async def serve(port: int, delay_s: float, bytes_per_s: float) -> None:
    async def connected(reader: StreamReader, writer: StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            ways = (reader, inner_writer), (inner_reader, writer)
            await asyncio.gather(
                *(carry(source, sink, delay_s, bytes_per_s) for source, sink in ways)
            )
        except OSError:
            pass  # one side is gone: so is the other
        finally:
            inner_writer.close()
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:  # epoll waits whole milliseconds
        runner.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, float(sys.argv[3])))
