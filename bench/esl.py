"""CPU per call on FreeSWITCH's outbound socket: Callgate with everything included beside genesis,
greenswitch and python-ESL, which decide nothing.

The load connects as FreeSWITCH does, answers ``connect`` with a captured channel, takes one
``multiset`` and ``exit``, answers both and closes, on several connections at once. A peer that
cannot be had here is left out, and why is told.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from bench.build import HERE
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
from tests.esl_oracle.oracle import Unavailable, set_up
from tests.fakes.freeswitch import captured, channel_data

CALLER = "_the_caller_"


def channel() -> bytes:
    """A captured channel that is called by whoever ``load`` puts in."""
    data = channel_data(
        "normal",
        {"callgate_direction": "inbound", "socket_resume": "true"},
        headers={"Caller-Caller-ID-Number": CALLER},
    )
    return data.replace(CALLER.encode(), b"%2B@N@")


def load_for(server: str, entries: int) -> Load:
    told = {
        "request": written("esl-channel.txt", channel()),
        "ok": written("esl-ok.txt", captured("normal.sendmsg-reply")),
        "bye": written("esl-bye.txt", captured("normal.exit-reply")),
        "callers": corpus(entries) / "callers.txt",
        "expect": "sendmsg\n",
    }
    if server == OURS:
        told |= {"allow": "CALLGATE_VERDICT=allow", "block": "CALLGATE_VERDICT=block"}
    return Load("esl", told)


def peers(python: str, result: Result) -> dict[str, Server]:
    """Those of the three that this machine can have."""
    found = {}
    for name in ("genesis", "greenswitch"):
        if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode:
            result.note(f"{name} is not measured: it cannot be imported (requirements.txt)")
            continue
        port = free_port()
        command = [python, "-P", str(HERE / f"peer_{name}.py"), str(port)]
        found[name] = Server(port, command, share=0.25 if name == "greenswitch" else 1)
    try:
        port, environment = free_port(), {"PYTHONPATH": str(set_up())}
        command = [sys.executable, "-P", str(HERE / "peer_python_esl.py"), str(port)]
        found["python-ESL"] = Server(port, command, environment)
    except Unavailable as why:
        result.note(f"python-ESL is not measured: {why}")
    return found


def main() -> None:
    options = parsed(arguments(__doc__, calls=4_000, rounds=5))
    result = Result("esl", quick=options.quick)
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        ours = Server(port, callgate(Path(name), "esl", port, options.entries))
        servers = {OURS: ours} | peers(options.peer_python, result)
        loads = {name: load_for(name, options.entries) for name in servers}
        runs, memory = compare(servers, loads, calls=options.calls, rounds=options.rounds)
    result.setting = (
        f"{options.entries:,} entries, {CONCURRENCY} connections, a channel of "
        f"{len(channel()):,} bytes, {options.rounds} rounds of "
        f"{options.calls:,} calls on each server"
    )
    result.compare(runs, memory, OURS)
    result.finish()


if __name__ == "__main__":
    main()
