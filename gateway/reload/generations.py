"""Compiled policies on the disk: one child process writes them, the last good one is kept.

``last-good/<number>/`` holds generations and ``last-good/current`` is a link to the one that was
loaded last. The link is replaced atomically, so a crash leaves the old one or the new one.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import sys
from pathlib import Path

import msgspec

import gateway
from gateway.errors import Fault, StoreError
from gateway.files import sync_directory
from gateway.policy.generation import (
    REPORT,
    REPORT_BYTES,
    Generation,
    Report,
    open_generation,
)

TIMEOUT = 600.0
"""Seconds after which a compilation is given up."""
_CURRENT = "current"
_ASIDE = "next-"
_SHOWN = 2000


class Generations:
    """The ``last-good`` directory of one running gateway."""

    def __init__(self, directory: Path, entries: Path) -> None:
        self._directory = directory
        self._entries = entries
        self._serial = itertools.count(1)
        self.aside: Path | None = None
        """Where the generation lies that was compiled last, until it is kept."""
        self.in_force: Path | None = None
        """What must not be removed: whoever joins later opens it."""

    async def compile(
        self, policy: Path, *, force: bool = False, managed: bool = True
    ) -> tuple[Report, Generation | None]:
        """Compile a policy in a child process; no generation when it has faults. Never raises.

        ``force`` accepts lists whose files turn out empty. Without ``managed`` the managed
        entries are left out, because their file cannot be read.
        """
        options = ["--force"] * force + ["--without-managed"] * (not managed)
        try:
            aside = await asyncio.to_thread(self._prepare)
            code, said = await self._run(policy, aside, *options)
            report = await asyncio.to_thread(_report, aside, code, said)
            if report.faults:
                await asyncio.to_thread(self.discard)
                return report, None
            return report, await asyncio.to_thread(open_generation, aside)
        except (OSError, StoreError) as error:
            return Report(faults=(_fault(str(error)),)), None

    @property
    def kept_at(self) -> Path:
        """Where the last good one lies."""
        return (self._directory / _CURRENT).resolve()

    def keep(self) -> None:
        """Make what was compiled last the last good one. OSError when the disk refuses."""
        if self.aside is None:
            raise FileNotFoundError("nothing was compiled")
        number = max((int(path.name) for path in self._kept()), default=0) + 1
        kept = self._directory / str(number)
        self.aside.rename(kept)
        if self.in_force == self.aside:
            self.in_force = kept
        self.aside = None
        link = self._directory / f"{_CURRENT}.new"
        link.unlink(missing_ok=True)
        link.symlink_to(kept.name)
        link.replace(self._directory / _CURRENT)
        sync_directory(self._directory)
        for path in self._kept():
            if path != kept:
                shutil.rmtree(path, ignore_errors=True)

    def discard(self) -> None:
        """Remove what was compiled last, if it was not kept."""
        if self.aside is not None:
            shutil.rmtree(self.aside, ignore_errors=True)
            self.aside = None

    def last_good(self) -> Generation:
        """Open what was kept. StoreError when there is none, or it is damaged."""
        current = self._directory / _CURRENT
        if not current.exists():
            raise StoreError("no last good policy is kept")
        return open_generation(current.resolve(), verify=True)

    def kept(self) -> tuple[Generation | None, str]:
        """What was kept, or why there is nothing."""
        try:
            return self.last_good(), ""
        except StoreError as error:
            return None, str(error)

    def _kept(self) -> list[Path]:
        return [path for path in self._directory.iterdir() if path.name.isdigit()]

    def _prepare(self) -> Path:
        """A name of its own: a child that outlived its parent must not write into ours."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stray in self._directory.glob(f"{_ASIDE}*"):
            if stray != self.in_force:
                shutil.rmtree(stray, ignore_errors=True)
        aside = self._directory / f"{_ASIDE}{os.getpid()}-{next(self._serial)}"
        aside.mkdir(mode=0o700)
        self.aside = aside
        return aside

    async def _run(self, policy: Path, aside: Path, *options: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "gateway.policy.compile"),
            *map(str, (policy, self._entries, aside, *options)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=child_environment(),
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except TimeoutError:
            return -1, f"it took longer than {TIMEOUT:.0f} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, said.decode("utf-8", "replace")


def _report(aside: Path, code: int, said: str) -> Report:
    try:
        with (aside / REPORT).open("rb") as file:
            report = msgspec.json.decode(file.read(REPORT_BYTES), type=Report)
        if code == 0 or report.faults:
            return report
    except (OSError, msgspec.MsgspecError):
        pass
    return Report(faults=(_fault(f"the compiler ended with {code}: {said[-_SHOWN:].strip()}"),))


def child_environment() -> dict[str, str]:
    """This process's environment, with the package it runs from found first by a child."""
    root = str(Path(gateway.__file__).parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _fault(text: str) -> Fault:
    return Fault("", 0, 0, "", text)
