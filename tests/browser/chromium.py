"""One Chromium for all tests here, driven by Playwright, which brings no browser of its own.

It has no way to any other host, whatever a page asks for, and nothing of it outlives the run.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, async_playwright, expect

SETUP = Path(__file__).parent / "setup.sh"
UNAVAILABLE = 69
"""What setup.sh ends with where it cannot work (EX_UNAVAILABLE)."""
PATIENCE = 60.0
"""Seconds after which something that should have happened in a page has not."""
START = 120.0
"""The same for Chromium itself, whose pages must come from the disk first."""

# No network but the loopback interface, no graphics hardware, and none of what a browser does on
# its own account. The sandbox needs rights that neither root nor a container has.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Unavailable(Exception):
    """This machine cannot have a Chromium; the message says why."""


def set_up() -> Path:
    """Have a Chromium on this machine. Raises Unavailable."""
    done = subprocess.run([str(SETUP)], capture_output=True, text=True, check=False)
    if done.returncode == UNAVAILABLE:
        raise Unavailable(done.stderr.strip().splitlines()[-1])
    if done.returncode:
        raise RuntimeError(f"setup.sh ended with {done.returncode}: {done.stderr}")
    return Path(done.stdout.strip())


@asynccontextmanager
async def running(program: Path, home: Path) -> AsyncIterator[Browser]:
    """A Chromium with a profile of its own; ``home`` takes what it would write elsewhere."""
    env: dict[str, str | float | bool] = dict(os.environ)
    env |= dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"), str(home))
    expect.set_options(timeout=PATIENCE * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=list(FLAGS),
            env=env,
            timeout=START * 1000,
        )
        try:
            yield browser
        finally:
            await browser.close()
