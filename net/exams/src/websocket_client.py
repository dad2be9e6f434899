"""Clients of an echo server, all at once: python3 websocket_client.py URL CONNECTIONS MESSAGES LARGE"""

import asyncio
import sys

import websockets

url = sys.argv[1]
connections, messages, large = map(int, sys.argv[2:])


async def client(nth, all_are_open):
    came_back = 0
    async with websockets.connect(url, max_size=2 * large) as socket:
        await all_are_open(nth)
        for n in range(messages):
            message = f"{nth}: " + "ä" * n if n % 2 == 0 else bytes([nth % 256]) * (n * n)
            await socket.send(message)
            assert await socket.recv() == message
            came_back += 1
        # In pieces: a frame each.
        await socket.send([bytes([nth % 256]) * (large // 4)] * 4)
        assert await socket.recv() == bytes([nth % 256]) * large
        came_back += 1
        await (await socket.ping(b"there?"))
        await socket.close(1000, "done")
    assert (socket.close_code, socket.close_reason) == (1000, "done"), socket.close_code
    return came_back


async def main():
    waiting = set(range(connections))
    open_event = asyncio.Event()

    async def all_are_open(nth):
        waiting.discard(nth)
        if not waiting:
            open_event.set()
        await open_event.wait()

    came_back = await asyncio.gather(*(client(nth, all_are_open) for nth in range(connections)))
    print(f"{sum(came_back)} messages came back")


asyncio.run(main())
