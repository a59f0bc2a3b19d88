"""Checks of the machine: Asterisk, the clock, the disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from gateway.cli.remarks import Remark, fail, ok, warn

SECONDS = 5
BUILT = 1_767_225_600
"""The first second of 2026: a clock that shows a time before this program was written is wrong."""
LITTLE = 2**30
TOO_LITTLE = 100 * 2**20


def check_asterisk() -> Remark:
    """Whether Asterisk runs here and answers its console."""
    command = shutil.which("asterisk")
    if command is None:
        return warn("asterisk", "no asterisk command here: not checked")
    code, printed = run(command, "-rx", "core show version")
    if code == 0:
        return ok("asterisk", printed.partition(" built ")[0])
    advice = "start it, or run doctor as a user who may use its console"
    return fail("asterisk", f"does not answer: {printed}", advice)


def check_clock() -> Remark:
    """Expiry, and the time in every attempt, are as good as the clock."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < BUILT:
        return fail("clock", f"{now} cannot be", "set it, and let NTP keep it")
    command = shutil.which("timedatectl")
    synchronised = run(command, "show", "-p", "NTPSynchronized", "--value") if command else (1, "")
    if synchronised == (0, "no"):
        return warn("clock", f"{now}, not synchronised", "let NTP keep it: expiry depends on it")
    told = "synchronised" if synchronised == (0, "yes") else "whether NTP keeps it is unknown"
    return ok("clock", f"{now}, {told}")


def check_disk(state: Path) -> Remark:
    """Whether the state folder is private, writable and has room for attempts."""
    if not state.exists():
        return warn("disk", f"{state} is not there yet", "callgate serve makes it")
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        return warn("disk", f"{state} is not writable by this user", "run doctor as its owner")
    if state.stat().st_mode & 0o077:
        return warn("disk", f"{state} can be read by others", f"chmod 700 {state}")
    free = shutil.disk_usage(state).free
    text = f"{free / 2**30:.1f} GiB free in {state}"
    if free < TOO_LITTLE:
        return fail("disk", text, "make room: attempts are lost when the disk is full")
    if free < LITTLE:
        return warn("disk", text, "make room, or keep attempts for a shorter time (journal.keep)")
    return ok("disk", text)


def run(*command: str) -> tuple[int, str]:
    """Exit code and the first line that was printed; nothing here may hang."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    printed = (done.stdout.strip() or done.stderr.strip()).splitlines()
    return done.returncode, printed[0] if printed else ""
