"""CPU per screened call on FastAGI: Callgate with everything included beside servers that decide
nothing, a bare epoll server in C and panoramisk on either loop.

The load connects as Asterisk does, sends the environment of a call, answers the one command and
waits for the close, on several connections at once; every verdict of ours is compared.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.build import HERE, binary
from bench.corpus import corpus
from bench.measure import (
    CONCURRENCY,
    OURS,
    Load,
    Server,
    arguments,
    callgate,
    compare,
    free_port,
    parsed,
    written,
)
from bench.result import Result
from gateway.pbx.asterisk import screen_path
from gateway.protocols.agi_client import Channel, environment

FLOOR, PANORAMISK, UVLOOP = "C floor", "panoramisk", "panoramisk on uvloop"


def request(path: str) -> Path:
    """The environment of a call that asks for that path, for ``load``."""
    channel = Channel(caller="+@N@", unique_id="1795362711.@C@")
    name = f"agi-{path.partition('/')[0]}-{len(path)}.txt"
    return written(name, environment(f"agi://127.0.0.1:4573/{path}", channel))


def load_for(server: str, entries: int) -> Load:
    """panoramisk matches whole paths; ours names the call, and tells a verdict."""
    ours = screen_path("inbound", "", "", "+000", "+33140000000").replace("000", "@N@", 1)
    told = {
        "request": request(ours if server in (OURS, FLOOR) else "screen"),
        "callers": corpus(entries) / "callers.txt",
        "expect": "SET VARIABLE VERDICT ",
    }
    if server == OURS:
        told |= {
            "expect": 'EXEC MSet "CALLGATE_VERDICT=',
            "allow": "CALLGATE_VERDICT=allow",
            "block": "CALLGATE_VERDICT=block",
        }
    return Load("agi", told)


def peers(python: str) -> dict[str, Server]:
    floor, plain, fast = free_port(), free_port(), free_port()
    script = str(HERE / "peer_panoramisk.py")
    return {
        FLOOR: Server(floor, [str(binary("agi_floor")), str(floor)]),
        PANORAMISK: Server(plain, [python, "-P", script, str(plain)]),
        UVLOOP: Server(fast, [python, "-P", script, str(fast), "uvloop"]),
    }


def main() -> None:
    options = parsed(arguments(__doc__, calls=20_000, rounds=7))
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        ours = Server(port, callgate(Path(name), "agi", port, options.entries))
        servers = {OURS: ours} | peers(options.peer_python)
        loads = {name: load_for(name, options.entries) for name in servers}
        runs, memory = compare(servers, loads, calls=options.calls, rounds=options.rounds)
    result = Result(
        "fastagi",
        f"{options.entries:,} entries, {CONCURRENCY} connections, {options.rounds} rounds of "
        f"{options.calls:,} calls on each server",
        quick=options.quick,
    )
    result.compare(runs, memory, OURS)
    result.finish()


if __name__ == "__main__":
    main()
