"""A compiler of policies that is forked, not started: its imports are paid for once.

Rule: the gateway does all that it ever does: it starts a program with the compiler's arguments,
reads its error output, waits for it and opens what it left. Only what that program does is another:
it hands its arguments to a process that has imported the compiler and forks itself.
``python -m tests.support.compiling SOCKET`` is that process, until its input ends.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONG = 60
_STARTED = """\
#!/bin/sh
case "$*" in
  "-P -m gateway.policy.compile "*) exec {python} -I -S -c {code} {socket} "$@" ;;
esac
exec {python} "$@"
"""
_CODE = """\
import socket, sys
with socket.socket(socket.AF_UNIX) as to:
    to.connect(sys.argv[1])
    socket.send_fds(to, ["\\0".join(sys.argv[5:]).encode()], [2])
    to.shutdown(socket.SHUT_WR)
    code = to.recv(1)
sys.exit(code[0] if code else 70)
"""


@asynccontextmanager
async def forked_compiler(folder: Path) -> AsyncIterator[Path]:
    """A program to take ``sys.executable``'s place in a gateway, good while the block runs."""
    place, program = folder / "compiler.sock", folder / "python"
    program.write_text(
        _STARTED.format(
            python=shlex.quote(sys.executable),
            code=shlex.quote(_CODE),
            socket=shlex.quote(str(place)),
        )
    )
    program.chmod(0o755)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.compiling", str(place)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(LONG):
            assert await process.stdout.readline() == b"ready\n"
        yield program
    finally:
        process.stdin.close()
        async with asyncio.timeout(LONG):
            await process.wait()


def _serve(listener: socket.socket) -> None:
    """One at a time, as a gateway asks."""
    import select

    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        with connection:
            said, files, _, _ = socket.recv_fds(connection, 1 << 16, 1)
            child = os.fork()
            if not child:
                _compile(said, files[0])
            os.close(files[0])
            _, status = os.waitpid(child, 0)
            connection.send(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))


def _compile(said: bytes, error: int) -> None:
    """Does not return."""
    from gateway.policy.compile import main

    os.dup2(error, 2)
    code = 71
    try:
        code = main(said.decode().split("\0"))
    finally:
        os._exit(code)


if __name__ == "__main__":
    import gateway.policy.compile  # noqa: F401 - what every child has then

    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(sys.argv[1])
        unix.listen()
        _serve(unix)
