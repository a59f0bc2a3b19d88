"""One Asterisk of our own: the shipped dialplan, its directories under a temporary one.

Ports are found free before it starts, and its process is ended by the handle that started it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from string import Template

HERE = Path(__file__).parent
CONFIG = HERE / "config/asterisk"
DIALPLAN = HERE.parents[1] / "dialplan/asterisk"
SETUP = HERE / "setup.sh"
SECRET = "s3cret"
UNAVAILABLE = 69
"""What setup.sh ends with where it cannot work (EX_UNAVAILABLE)."""
PATIENCE = 15.0
"""Seconds after which something that should have happened has not."""

_BRIDGE = 12
"""Where `core show channels concise` has the bridge."""


class Unavailable(Exception):
    """This machine cannot have an Asterisk of ours; the message says why."""


@dataclass(frozen=True)
class Programs:
    """Where setup.sh put things."""

    root: Path

    @property
    def asterisk(self) -> str:
        return str(self.root / "asterisk")

    @property
    def sipp(self) -> str:
        return str(self.root / "sipp")

    def find(self, pattern: str) -> Path:
        return next((self.root / "root").glob(pattern))


def set_up(suite: str = "") -> Programs:
    """Have Asterisk and sipp on this machine. Raises Unavailable."""
    done = subprocess.run([str(SETUP), *suite.split()], capture_output=True, text=True, check=False)
    if done.returncode == UNAVAILABLE:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"setup.sh ended with {done.returncode}: {done.stderr}")
    return Programs(Path(done.stdout.strip()))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


class Pbx:
    """A running Asterisk. ``gateway`` is the host:port that its dialplan asks."""

    def __init__(self, programs: Programs, directory: Path, callee_port: int) -> None:
        self._programs = programs
        self._directory = directory
        self.port = free_port(socket.SOCK_DGRAM)
        self.manager_port = free_port()
        self._values = {
            "etc": directory,
            "var": directory / "var",
            "modules": programs.find("usr/lib/**/asterisk/modules"),
            "data": programs.find("usr/share/asterisk"),
            "dialplan": DIALPLAN,
            "gateway": "127.0.0.1:9",
            "secret": SECRET,
            "sip_port": self.port,
            "manager_port": self.manager_port,
            "callee_port": callee_port,
            "rtp_start": 20000 + self.port % 20000 // 2 * 2,
            "rtp_end": 22000 + self.port % 20000 // 2 * 2,
        }

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def library(self) -> Path:
        """Where AstDB is."""
        return self._directory / "var/lib"

    def sources(self) -> list[Path]:
        """The templates of its configuration."""
        return list(CONFIG.glob("*.conf"))

    def start(self) -> None:
        for name in ("lib", "agi", "spool", "run", "log"):
            (self._directory / "var" / name).mkdir(parents=True, exist_ok=True)
        for source in self.sources():
            text = source.read_text()
            if source.name != "bench.conf":
                text = Template(text).substitute(self._values)
            (self._directory / source.name).write_text(text)
        self._output = (self._directory / "console").open("wb")
        self._process = subprocess.Popen(
            [self._programs.asterisk, "-f", "-C", str(self._directory / "asterisk.conf")],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(self._directory), "TERM": "dumb"},
        )
        self._wait_until_up()

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def command(self, text: str) -> str:
        """What the command line of Asterisk answers."""
        done = subprocess.run(
            [self._programs.asterisk, "-C", str(self._directory / "asterisk.conf"), "-rx", text],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        return done.stdout + done.stderr

    def ask(self, gateway: str) -> None:
        """Let the calls from now on ask another gateway (host:port)."""
        self.set_global("CALLGATE_ADDRESS", gateway)

    def set_global(self, name: str, value: str) -> None:
        self.command(f'dialplan set global {name} "{value}"')

    @property
    def log(self) -> str:
        return (self._directory / "var/log/full").read_text(errors="replace")

    def wait_for_log(self, text: str, since: int) -> str:
        """The first line from offset ``since`` of the log on that holds ``text``."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in self.log[since:].splitlines():
                if text in line:
                    return line
            time.sleep(0.01)
        raise AssertionError(f"{text!r} did not appear in the log:\n{self.log[since:]}")

    def wait_for_bridge(self, channel: str) -> str:
        """Until a channel whose name begins so is in a bridge with another; its whole name."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            lines = self.command("core show channels concise").splitlines()
            cells = [line.split("!") for line in lines if line.count("!") >= _BRIDGE]
            bridges = [cell[_BRIDGE] for cell in cells if cell[_BRIDGE]]
            for cell in cells:
                if cell[0].startswith(channel) and bridges.count(cell[_BRIDGE]) > 1:
                    return cell[0]
            time.sleep(0.02)
        raise AssertionError(f"{channel} is in no bridge:\n" + "\n".join(lines))

    def wait_until_gone(self, channel: str) -> None:
        """Until no channel has a name that begins so."""
        deadline = time.monotonic() + PATIENCE
        while channel in (shown := self.command("core show channels concise")):
            if time.monotonic() > deadline:
                raise AssertionError(f"{channel} is still there:\n{shown}")
            time.sleep(0.02)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if "fully booted" in self.command("core waitfullybooted"):
                return self._check_modules()
            time.sleep(0.05)
        self.stop()
        raise RuntimeError("Asterisk did not start:\n" + (self._directory / "console").read_text())

    def _check_modules(self) -> None:
        failed = [
            line for line in self.log.splitlines() if "loader.c: " in line and "ERROR" in line
        ]
        if failed:
            self.stop()
            raise RuntimeError("Asterisk lacks modules:\n" + "\n".join(failed))
