"""File systems of their own for tests that cut the power, fill a disk or make it read-only.

Rule: where they cannot be had (no root, no loop devices, a container) the test skips and says why.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

FS_IOC_SHUTDOWN = 0x8004587D
"""linux/fs.h and fs/ext4/ioctl.c: the file system takes nothing more."""
NOLOGFLUSH = 2
"""… and what is not on the disk yet never comes there, its own log included."""
LONG = 60.0


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=LONG
    )
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")


class Disk:
    """An ext4 in a file, mounted by loop: its power can be cut, and it can be made read-only."""

    def __init__(self, root: Path, name: str = "disk", size: int = 64 * 2**20) -> None:
        self.path = root / name
        self._image = root / f"{name}.img"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size)
        _run("mkfs.ext4", "-q", "-F", self._image)

    def mount(self) -> None:
        _run("mount", "-o", "loop", self._image, self.path)

    def cut(self) -> None:
        """All that was not synced is gone; every write from now on fails."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def make_readonly(self) -> None:
        """Waits for whoever still has a file of it open to write."""
        _patiently("mount", "-o", "remount,ro", self.path)

    def make_writable(self) -> None:
        _run("mount", "-o", "remount,rw", self.path)

    def unmount(self) -> None:
        """Waits for whoever still has a file of it open."""
        _unmount(self.path)


def _unmount(path: Path) -> None:
    if os.path.ismount(path):
        _patiently("umount", path)


def _patiently(*command: str | Path) -> None:
    """Again and again while it is refused, for LONG seconds."""
    end = time.monotonic() + LONG
    while True:
        try:
            return _run(*command)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _needed(*tools: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root")
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool}")


@contextmanager
def disk(root: Path, name: str = "disk") -> Iterator[Disk]:
    """A disk that is mounted as ``root / name``; skips where none can be had."""
    _needed("mkfs.ext4", "mount", "umount")
    made = Disk(root, name)
    try:
        made.mount()
    except OSError as error:
        pytest.skip(f"no loop mount here: {error}")
    try:
        yield made
    finally:
        _leave(made.path)


@contextmanager
def memory(path: Path, size: str) -> Iterator[Path]:
    """A file system in memory of so many bytes (``4m``); skips where none can be had."""
    _needed("mount", "umount")
    path.mkdir()
    try:
        _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path)
    except OSError as error:
        pytest.skip(f"no tmpfs here: {error}")
    try:
        yield path
    finally:
        _leave(path)


def _leave(path: Path) -> None:
    """A test that failed may have left somebody with an open file: the mount goes all the same."""
    if os.path.ismount(path):
        _run("umount", "-l", path)
