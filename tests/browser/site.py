"""The real gateway with its HTTP side, as a process with a configuration and a state of its own."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
from playwright.async_api import Page, expect

from tests.asterisk.gateway import START, Gateway

CONFIG = Path(__file__).parent / "config"
HTTP = 'http:\n  listen: "127.0.0.1:0"\n'
_URL = re.compile(r"^ +HTTP +(http://127\.0\.0\.1:[0-9]+)/$", re.M)
_TOKEN = re.compile(r"^ +token +(cg_\S+) ", re.M)


class Site(Gateway):
    """``callgate serve`` on free ports. ``token`` is the first one, which may do everything.

    ``source`` is the folder that the configuration is copied from; it has no section ``http``.
    """

    def __init__(self, directory: Path, *, source: Path = CONFIG) -> None:
        super().__init__(directory, source=source)
        with self.config.open("a") as config:
            config.write(HTTP)
        self.url = ""
        self.token = ""

    def start(self) -> None:
        """Returns when the HTTP side answers ``/healthz``."""
        before = len(self.output) if self.url else 0
        super().start()
        deadline = time.monotonic() + START
        while not self._answers(self.output[before:]):
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise RuntimeError("its HTTP side did not start:\n" + self.output)
            time.sleep(0.02)

    def _answers(self, output: str) -> bool:
        if (url := _URL.search(output)) is None or "\n  try next " not in output:
            return False
        self.url = url[1]
        if token := _TOKEN.search(output):
            self.token = token[1]
        try:
            return httpx.get(f"{self.url}/healthz", trust_env=False, timeout=10).is_success
        except httpx.TransportError:
            return False


async def log_in(page: Page, site: Site) -> None:
    """Have the page logged in with the first token, at the overview."""
    await page.goto(f"{site.url}/login")
    await page.get_by_label("Token").fill(site.token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{site.url}/")
