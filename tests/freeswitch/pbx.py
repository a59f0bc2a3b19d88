"""One FreeSWITCH of our own: the shipped dialplan, its directories under a temporary one.

The program is the one that the environment variable CALLGATE_FREESWITCH names. Ports are found
free before it starts, and its process is ended by the handle that started it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from string import Template
from typing import BinaryIO

from tests.asterisk.pbx import PATIENCE, SECRET, free_port

HERE = Path(__file__).parent
CONFIG = HERE / "config/freeswitch/freeswitch.xml"
SHIPPED = HERE.parents[1] / "dialplan/freeswitch"
VARIABLE = "CALLGATE_FREESWITCH"
DIRECTORIES = ("conf", "log", "db", "run", "temp", "storage", "recordings", "cache", "scripts")
_is_channel = re.compile(r"[0-9a-f-]{36},").match
UNHURRIED = 10
"""Seconds a call may wait for its verdict, where a test is not about waiting."""


class FreeSwitch:
    """A running FreeSWITCH; its dialplan asks whom ``ask`` names."""

    def __init__(self, program: str, directory: Path, callee_port: int, gateway_port: int) -> None:
        self._program = program
        self._directory = directory
        self.port = free_port(socket.SOCK_DGRAM)
        self.console = free_port()
        self._values = {
            "secret": SECRET,
            "console": self.console,
            "sip_port": self.port,
            "callee_port": callee_port,
            "gateway_port": gateway_port,
            "rtp_start": 10000 + self.port % 8000 // 2 * 2,
            "rtp_end": 12000 + self.port % 8000 // 2 * 2,
        }

    def start(self) -> None:
        for name in (*DIRECTORIES, "certs"):
            (self._directory / name).mkdir()
        self._install()
        options = [f"-{name}={self._directory / name}" for name in (*DIRECTORIES, "certs")]
        pairs = [part for option in options for part in option.split("=", 1)]
        self._output = (self._directory / "console").open("wb")
        self._process = subprocess.Popen(
            [self._program, "-nf", "-nc", "-nonat", "-nonatmap", "-nort", "-np", *pairs],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(self._directory)},
            start_new_session=True,
        )
        self._wait_until_up()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(2 * PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def api(self, command: str) -> str:
        """What an API command answers. Raises OSError."""
        with socket.create_connection(("127.0.0.1", self.console), PATIENCE) as console:
            peer = console.makefile("rb")
            _read(peer)
            console.sendall(f"auth {SECRET}\n\n".encode())
            _read(peer)
            console.sendall(f"api {command}\n\n".encode())
            return _read(peer).decode(errors="replace").strip()

    def ask(self, gateway: str) -> None:
        """Let the calls from now on ask another gateway (host:port)."""
        self.set_global("callgate_address", gateway)

    def set_global(self, name: str, value: str | int) -> None:
        self.api(f"global_setvar {name}={value}")

    @property
    def channels(self) -> list[str]:
        """One line for each; a parked call is one."""
        return [line for line in self.api("show channels").splitlines() if _is_channel(line)]

    def wait_for_channels(self, count: int, state: str) -> None:
        """Until so many are in a state, such as ACTIVE."""
        deadline = time.monotonic() + PATIENCE
        while sum(f",{state}," in line for line in self.channels) != count:
            assert time.monotonic() < deadline, self.channels
            time.sleep(0.05)

    def wait_until_idle(self, but: str = "\n") -> None:
        """Every channel must end by itself, except those whose line holds ``but``."""
        deadline = time.monotonic() + PATIENCE
        while left := [line for line in self.channels if but not in line]:
            assert time.monotonic() < deadline, "left behind: " + "\n".join(left)
            time.sleep(0.05)

    @property
    def log(self) -> str:
        return (self._directory / "log/freeswitch.log").read_text(errors="replace")

    def wait_for_log(self, text: str | re.Pattern[str], since: int) -> str:
        """The first line from offset ``since`` of the log on that holds ``text``."""
        pattern = re.compile(re.escape(text)) if isinstance(text, str) else text
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in self.log[since:].splitlines():
                if pattern.search(line):
                    return line
            time.sleep(0.01)
        raise AssertionError(f"{text!r} did not appear in the log:\n{self.log[since:]}")

    def _install(self) -> None:
        """As docs/freeswitch.md says it, the shipped files unchanged."""
        conf = self._directory / "conf"
        shutil.copy(SHIPPED / "callgate_vars.xml", conf)
        shutil.copytree(SHIPPED / "callgate", conf / "callgate")
        for context in ("public", "default"):
            shutil.copytree(SHIPPED / context, conf / "dialplan" / context)
        (conf / "freeswitch.xml").write_text(Template(CONFIG.read_text()).substitute(self._values))

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + 4 * PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if "RUNNING" in self.api("sofia status"):
                    self.set_global("callgate_deadline", UNHURRIED)
                    return
            except OSError:
                pass
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("FreeSWITCH did not start:\n" + self.log)


def _read(peer: BinaryIO) -> bytes:
    """The body of the next message of the event socket."""
    length = 0
    for line in iter(peer.readline, b"\n"):
        if not line:
            raise ConnectionError("the event socket was closed")
        name, _, value = line.partition(b":")
        length = int(value) if name == b"Content-Length" else length
    return peer.read(length)
