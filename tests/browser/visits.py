"""Ways to a page that are not what a test is about: a login by request, entries and calls made."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import Page

from gateway.attempts.journal import Journal
from gateway.attempts.model import Attempt
from tests.asterisk.gateway import START
from tests.browser.chromium import PATIENCE
from tests.browser.site import Site
from tests.support.attempts import make_attempt

WRITER = 9
"""The journal of the tests' own attempts, beside the gateway's."""


async def visit(page: Page, site: Site, path: str, token: str = "") -> None:
    """Open a page as whoever has a token, by default the first."""
    answer = await page.context.request.post(
        f"{site.url}/login", form={"token": token or site.token}
    )
    assert answer.ok, answer.status
    await page.goto(site.url + path)


def state_of(site: Site) -> Path:
    """The state directory of a gateway."""
    return site.config.parent.parent / "state"


def client_of(site: Site) -> httpx.Client:
    """An administrator's program."""
    return httpx.Client(
        base_url=site.url,
        headers={"Authorization": f"Bearer {site.token}"},
        timeout=PATIENCE,
        trust_env=False,
    )


def add(client: httpx.Client, number: str, **rest: Any) -> None:
    """Have an entry in force."""
    answer = client.post("/v1/entries", json={"number": number, "confirm": True, **rest})
    assert answer.is_success, answer.text


class Past:
    """One more writer of the gateway's journal: what it writes arrives as calls do."""

    def __init__(self, site: Site) -> None:
        self._journal = Journal(state_of(site) / "journal", WRITER)

    def record(self, at: float = 0.0, **rest: Any) -> Attempt:
        """An attempt at a time (UTC seconds), by default now."""
        at = at or time.time()
        attempt = make_attempt(self._journal.next_id(at), at, **rest)
        self._journal.append(attempt)
        return attempt

    def close(self) -> None:
        self._journal.close()


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """A gateway of its own, for as long as this lasts."""
    site = Site(directory)
    site.start()
    try:
        yield site
    finally:
        site.stop()


def await_attempt(client: httpx.Client, identity: str) -> None:
    """Until an attempt can be asked for."""
    deadline = time.monotonic() + START
    while client.get(f"/v1/attempts/{identity}").status_code != 200:
        assert time.monotonic() < deadline, "the attempt did not arrive"
        time.sleep(0.02)
