"""What a gateway in a process of its own holds, as it sees it itself, and as the kernel does.

``python -m tests.support.inside SOCKET PROGRAM ARGUMENT…`` is ``callgate ARGUMENT…`` with a thread
that answers every connection to SOCKET with one line of JSON: ``Inside``. PROGRAM is what it starts
its children by.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import socket
import sys
import threading
import weakref
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.reload import Turns, share


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
            *("uordblks", "fordblks", "keepcost"),
        )
    ]


def allocated() -> dict[str, int]:
    """Bytes that C code holds by malloc, and bytes that malloc keeps though they are free."""
    try:
        ask = ctypes.CDLL(None).mallinfo2
    except AttributeError:  # no glibc, or one before 2.33
        return {"malloc": 0, "malloc_free": 0}
    ask.restype = _Mallinfo2
    told = ask()
    return {"malloc": told.uordblks + told.hblkhd, "malloc_free": told.fordblks}


def inside(loop: asyncio.AbstractEventLoop | None) -> dict[str, int]:
    """Tasks of the loop; objects that the collector knows; blocks of Python's allocator, all of
    its objects among them; and what malloc holds.

    The cache of attributes goes first: it keeps up to 4096 names, and fills for days. Weak
    references do not count: a connection of sqlite3 keeps up to 200 of cursors that are gone.
    """
    for _ in range(2):  # what the first look has made known to be no part of a cycle goes
        gc.collect()
    sys._clear_type_cache()
    blocks, every = sys.getallocatedblocks(), gc.get_objects()
    weak = sum(type(each) is weakref.ReferenceType for each in every)
    return {
        "tasks": len(asyncio.all_tasks(loop)) if loop else 0,
        "objects": len(every) - weak + gc.get_freeze_count(),
        "blocks": blocks - weak,
        **allocated(),
    }


def kinds() -> Counter[str]:
    """Objects by type, those that were frozen not among them."""
    return Counter(
        f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects()
    )


def ask(place: Path, what: str = "held") -> dict[str, Any]:
    """What the gateway that listens there tells of itself: what it ``held``, the ``kinds`` of its
    objects, what the ``turns`` of its loop cost from now on, once that is asked: ``turned``.
    """
    with socket.socket(socket.AF_UNIX) as to:
        to.settimeout(60)
        to.connect(str(place))
        to.sendall(what.encode())
        to.shutdown(socket.SHUT_WR)
        said = b"".join(iter(lambda: to.recv(65536), b""))
    told: dict[str, Any] = json.loads(said)
    return told


class Looked:
    """The loop of a gateway, seen by the thread that answers."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self._turns: Turns | None = None

    def answer(self, what: str) -> dict[str, Any]:
        match what:
            case "kinds":
                return kinds()
            case "turns":
                assert self.loop
                self.loop.call_soon_threadsafe(self._start)
                return {}
            case "turned":
                return figures(self._turns.found[:] if self._turns else [])
        return inside(self.loop)

    def _start(self) -> None:
        if self._turns is None:
            self._turns = Turns()
            self._turns.start()
        self._turns.found = []


def figures(found: list[float]) -> dict[str, float]:
    """How many turns with work in them there were, and the milliseconds of CPU that they took."""
    found = found or [0.0]
    shares = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    told = {name: share(found, of) for name, of in shares.items()}
    return {"turns": len(found), **told, "longest": max(found)}


def tree(pid: int) -> list[int]:
    """A process and all that come of it."""
    found = [pid]
    for each in found:
        for path in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(OSError):  # it has ended
                found += map(int, path.read_text().split())
    return found


def outside(pid: int) -> dict[str, int]:
    """KiB of its own and of its share, descriptors, threads, and mapped files of a process."""
    place = Path(f"/proc/{pid}")
    share = (place / "smaps_rollup").read_text()
    maps = [line for line in (place / "maps").read_text().splitlines() if "/" in line]
    return {
        "anon": _kib((place / "status").read_text(), "RssAnon"),
        "pss": _kib(share, "Pss"),
        "files": len(os.listdir(place / "fd")),
        "threads": len(os.listdir(place / "task")),
        "maps": len(maps),
        "indexes": sum("last-good" in line for line in maps),
    }


def _kib(text: str, name: str) -> int:
    return int(text.partition(f"\n{name}:")[2].split()[0])


def _answer(listener: socket.socket, looked: Looked) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(json.dumps(looked.answer(connection.recv(100).decode())).encode())


def main(place: str, program: str, arguments: list[str]) -> None:
    """Run it."""
    import gateway.app as app
    from gateway.cli import main as callgate
    from gateway.loop import loop_factory

    looked = Looked()

    def noted() -> asyncio.AbstractEventLoop:
        looked.loop = loop_factory()()
        return looked.loop

    vars(app)["loop_factory"] = lambda: noted
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen()
    threading.Thread(target=_answer, args=(listener, looked), daemon=True).start()
    sys.executable = program
    callgate(arguments, prog_name="callgate")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
