"""CPU per screened call: Callgate with everything included beside panoramisk deciding nothing.

The load connects as Asterisk does, sends the environment of a call, answers the one command and
waits for the close, on several connections at once. The server's CPU is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from bench.measure import HERE, OURS, Server, caller, callgate, compare, free_port
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment

PATHS = {"panoramisk": "screen"}
"""panoramisk matches whole paths; ours names the call."""


async def call(server: str, port: int, number: int) -> None:
    calling = caller(number)
    path = PATHS.get(server) or screen_path("inbound", "", "", calling, "+33140000000")
    channel = Channel(caller=calling, unique_id=f"1795362711.{number}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(environment(f"agi://127.0.0.1:{port}/{path}", channel))
    if await reader.readline():
        writer.write(b"200 result=0\n")
        await reader.read()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", default=str(HERE / ".venv/bin/python"))
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    port, other = free_port(), free_port()
    peer = [options.peer_python, str(HERE / "peer_panoramisk.py"), str(other)]
    with tempfile.TemporaryDirectory() as name:
        servers = {
            OURS: Server(port, callgate(Path(name), "agi", port, options.entries)),
            "panoramisk": Server(other, peer),
        }
        compare(servers, call, calls=options.calls, rounds=options.rounds)


if __name__ == "__main__":
    main()
