"""CPU per call on FreeSWITCH's outbound socket: Callgate with everything included beside genesis,
greenswitch and python-ESL, which decide nothing.

The load connects as FreeSWITCH does, answers ``connect`` with a captured channel, takes one
``multiset`` and ``exit``, answers both and closes, on several connections at once. A peer that
cannot be had here is left out, and why is told.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.measure import HERE, OURS, Server, caller, callgate, compare, free_port
from tests.esl_oracle.oracle import Unavailable, set_up
from tests.fakes.freeswitch import captured, channel_data, encoded

OK = captured("normal.sendmsg-reply")
BYE = captured("normal.exit-reply")
NUMBER = "_the_caller_"
CHANNEL = channel_data(
    "normal",
    {"callgate_direction": "inbound", "socket_resume": "true"},
    headers={"Caller-Caller-ID-Number": NUMBER},
)


class Exchange(asyncio.Protocol):
    """One channel of FreeSWITCH's; ``told`` when the server has let it go."""

    def __init__(self, number: int) -> None:
        self._channel = CHANNEL.replace(NUMBER.encode(), encoded(caller(number)))
        self._half = b""
        self.commands: list[bytes] = []
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *whole, self._half = (self._half + data).split(b"\n\n")
        for command in whole:
            self.commands.append(command)
            if command == b"connect":
                self._transport.write(self._channel)
            elif command == b"exit":
                self._transport.write(BYE)
                self._transport.close()
            else:
                self._transport.write(OK)

    def connection_lost(self, _: Exception | None) -> None:
        self.closed.set_result(None)


async def call(server: str, port: int, number: int) -> None:
    loop = asyncio.get_running_loop()
    _, exchange = await loop.create_connection(lambda: Exchange(number), "127.0.0.1", port)
    await exchange.closed
    words = [command.partition(b"\n")[0] for command in exchange.commands]
    if words != [b"connect", b"sendmsg", b"exit"]:
        sys.exit(f"{server} did something else: {exchange.commands}")


def peers(python: str) -> dict[str, Server]:
    """Those of the three that this machine can have."""
    found = {}
    for name in ("genesis", "greenswitch"):
        if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode:
            print(f"{name} is not measured: {python} cannot import it (requirements.txt says why)")
            continue
        port = free_port()
        found[name] = Server(port, [python, str(HERE / f"peer_{name}.py"), str(port)])
    try:
        port, environment = free_port(), {"PYTHONPATH": str(set_up())}
        command = [sys.executable, str(HERE / "peer_python_esl.py"), str(port)]
        found["python-ESL"] = Server(port, command, environment)
    except Unavailable as why:
        print(f"python-ESL is not measured: {why}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer-python", default=str(HERE / ".venv/bin/python"))
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--entries", type=int, default=100_000)
    options = parser.parse_args()
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        ours = Server(port, callgate(Path(name), "esl", port, options.entries))
        servers = {OURS: ours} | peers(options.peer_python)
        compare(servers, call, calls=options.calls, rounds=options.rounds)


if __name__ == "__main__":
    main()
