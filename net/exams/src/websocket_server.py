"""An echo server: python3 websocket_server.py PORT CONNECTIONS MESSAGES LARGE"""

import asyncio
import sys

import websockets

port, connections, messages, large = map(int, sys.argv[1:])


async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)


async def main():
    async with websockets.serve(echo, "127.0.0.1", port, max_size=2 * large, backlog=connections):
        await asyncio.Future()


asyncio.run(main())
