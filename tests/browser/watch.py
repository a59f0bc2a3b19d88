"""A page that is looked after: what goes wrong in it unseen fails its test.

Unseen is what a person sees in the developer's tools only: errors in the console (a violation of
the content security policy and an answer of 400 and up are among them), exceptions, crashes,
and requests to any other host.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    WebError,
    WebSocket,
)

from tests.browser.chromium import PATIENCE

HOST = "127.0.0.1"
NETWORK = ("http", "https", "ws", "wss")
CANCELLED = ("htmx:sendAbort", "htmx:afterRequest")
"""Said of a request that a page had under way when it was left or loaded anew. Of one that failed
htmx says ``htmx:sendError``, ``htmx:timeout`` or ``htmx:responseError`` as well."""


class Watch:
    """The faults of every page of one context, as lines of text."""

    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._allowed: list[str] = []
        self._faults: list[str] = []
        self._news = asyncio.Event()
        context.on("console", self._console)
        context.on("weberror", self._exception)
        context.on("request", self._request)
        context.on("page", self._page)

    @property
    def faults(self) -> list[str]:
        """Those so far, oldest first, that are neither allowed nor expected."""
        return [
            fault
            for fault in self._faults
            if not any(re.search(pattern, fault) for pattern in self._allowed)
        ]

    def allow(self, pattern: str) -> None:
        """Pass over faults in which this is found, before and from now on."""
        self._allowed.append(pattern)

    async def expect(self, pattern: str) -> str:
        """Waits for a fault in which this is found; it is none any more.

        Raises AssertionError when there is none.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                while (found := self._take(pattern)) is None:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no fault with '{pattern}' in {self._faults}") from None
        return found

    def _take(self, pattern: str) -> str | None:
        for fault in self._faults:
            if re.search(pattern, fault):
                self._faults.remove(fault)
                return fault
        return None

    async def settle(self) -> None:
        """Have every fault that pages have made by now."""
        for page in self._context.pages:
            try:
                await page.evaluate("0")
            except Error as error:
                self._note(f"a page that is of no more use: {error.message}")

    def _note(self, fault: str) -> None:
        self._faults.append(fault)
        self._news.set()

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "assert") and not message.text.startswith(CANCELLED):
            place = message.location
            where = f"{place.get('url', '')}:{place.get('lineNumber', 0)}"
            self._note(f"console {message.type}: {message.text} ({where})")

    def _exception(self, error: WebError) -> None:
        self._note(f"exception: {error.error}")

    def _request(self, request: Request) -> None:
        self._check(request.url)

    def _page(self, page: Page) -> None:
        page.on("crash", lambda page: self._note(f"crash: {page.url}"))
        page.on("websocket", self._websocket)

    def _websocket(self, socket: WebSocket) -> None:
        self._check(socket.url)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme in NETWORK and parts.hostname != HOST:
            self._note(f"request to another host: {url}")


@asynccontextmanager
async def watched(browser: Browser) -> AsyncIterator[tuple[Page, Watch]]:
    """A page of its own in a context of its own. Raises AssertionError at its end for its faults.

    Light, the width of a desktop, without motion, in Paris.
    """
    context = await browser.new_context(
        color_scheme="light",
        reduced_motion="reduce",
        viewport={"width": 1280, "height": 800},
        locale="en-GB",
        timezone_id="Europe/Paris",
        service_workers="block",
    )
    context.set_default_timeout(PATIENCE * 1000)
    watch = Watch(context)
    try:
        yield await context.new_page(), watch
        await watch.settle()
    finally:
        await context.close()
    assert not watch.faults, "\n".join(["faults that no one saw:", *watch.faults])
