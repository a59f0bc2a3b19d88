"""Every page, in every state that it has, light and dark, wide and narrow, passes axe and fits.

Each is kept as pictures, to be looked at.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.looks import assert_accessible, keep, picture
from tests.browser.site import Site
from tests.browser.visits import Past, add, await_attempt, client_of, running_site, visit
from tests.browser.watch import Watch

WIDE, NARROW = 1280, 390
"""Pixels."""
MINUTE = 60.0


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway that has seen nothing."""
    with running_site(tmp_path_factory.mktemp("empty")) as site:
        yield site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with an hour of calls and a few entries."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        with client_of(site) as client:
            for n in range(6):
                add(client, f"+3361277{n:04}", reason=["complaint", ""][n % 2])
            add(client, "+34", kind="prefix", expires="2090-01-31")
            add(client, "+35", kind="prefix", expires="2020-01-31")
            past, now = Past(site), time.time()
            for n in range(24):
                last = past.record(now - n * MINUTE, **[{}, ALLOWED, OUTBOUND][n % 3])
            past.close()
            await_attempt(client, last.id)
        yield site


ALLOWED = {"verdict": "allow", "reason": "default", "list": "", "entry": "", "caller_e164": ""}
OUTBOUND = {
    "direction": "outbound",
    "campaign": "spring-sale",
    "list": "opted-out",
    "entry": "+33612999003",
    "kind": "number",
    "callee_e164": "+33612999003",
}


async def fill(page: Page, number: str) -> None:
    await page.get_by_role("textbox", name="Number or prefix").fill(number)
    await expect(page.locator("#preview .notice")).to_be_visible()


async def ask_back(page: Page) -> None:
    await fill(page, "+331")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("alertdialog")).to_be_visible()


async def edit(page: Page) -> None:
    await page.get_by_role("button", name="Edit +34", exact=True).click()
    await expect(page.get_by_role("dialog")).to_be_visible()


async def refuse(page: Page) -> None:
    await page.get_by_role("textbox", name="Number or prefix").fill("612000009")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("#said [role=alert]")).to_be_visible()


async def add_and_undo(page: Page) -> None:
    await page.get_by_role("textbox", name="Number or prefix").fill("+33612999777")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("#said .good")).to_be_visible()
    await page.get_by_role("button", name="Remove +33 6 12 99 97 77").click()
    await expect(page.locator("#told .good")).to_be_visible()


async def open_first(page: Page) -> None:
    await page.locator("#rows a").first.click()
    await expect(page.get_by_role("heading", name="Why")).to_be_visible()


async def nothing(page: Page) -> None:
    await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def lose(page: Page) -> None:
    await expect(page.get_by_role("heading", name="Not Found")).to_be_visible()


STATES: dict[str, tuple[str, Callable[[Page], Awaitable[None]]]] = {
    "overview": ("/", nothing),
    "blacklist-preview": ("/blacklist?number=%2B33199", nothing),
    "blacklist-confirm": ("/blacklist", ask_back),
    "blacklist-edit": ("/blacklist", edit),
    "blacklist-refused": ("/blacklist", refuse),
    "blacklist-undo": ("/blacklist", add_and_undo),
    "blacklist-allow": ("/blacklist?number=%2B33162001122&into=partners", nothing),
    "blacklist-nothing": ("/blacklist?q=nobody", nothing),
    "attempts": ("/attempts", nothing),
    "attempts-nothing": ("/attempts?campaign=none", nothing),
    "attempt": ("/attempts", open_first),
    "check": ("/check", nothing),
    "check-answer": ("/check?number=%2B33162001122", nothing),
    "audit": ("/audit", nothing),
    "not-found": ("/nowhere", lose),
}
SWAGGERS_OWN = ("nested-interactive", "heading-order", "region")
"""Swagger UI puts links into the buttons that open an operation, an h3 after no h2, and its title
outside of its own main element.
"""
EMPTY = ["/", "/blacklist", "/attempts", "/audit"]


async def check_width(page: Page, width: int) -> None:
    """The page as a whole does not scroll sideways."""
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, f"{page.url} is {wide} wide"


async def look(page: Page, name: str) -> None:
    """Hold the page to axe and to its width, at each width, and keep it.

    Dark is looked at in one width: colours do not change with it, and axe takes its time.
    """
    await page.set_viewport_size({"width": WIDE, "height": 800})
    await assert_accessible(page)
    await check_width(page, WIDE)
    await keep(page, f"{name}-wide")
    await page.set_viewport_size({"width": NARROW, "height": 800})
    await assert_accessible(page, schemes=["light"])
    await check_width(page, NARROW)
    await picture(page, f"{name}-narrow")


@pytest.mark.parametrize("name", STATES)
async def test_a_page_is_accessible_and_fits(
    page: Page, site: Site, watch: Watch, name: str
) -> None:
    path, prepare = STATES[name]
    await visit(page, site, path)
    if prepare is lose:
        await watch.expect("status of 404")
    await prepare(page)
    await look(page, name)


@pytest.mark.parametrize("path", EMPTY)
async def test_a_page_without_anything_to_show_says_what_to_do(
    page: Page, empty: Site, path: str
) -> None:
    await visit(page, empty, path)
    if path != "/blacklist":
        await expect(page.locator(".empty")).to_be_visible()
    if path == "/":
        await expect(page.locator(".empty").get_by_role("link", name="Check")).to_be_visible()
    await look(page, "empty-" + (path.strip("/") or "overview"))


async def test_the_login_is_accessible_and_fits(page: Page, empty: Site) -> None:
    await page.goto(f"{empty.url}/login")
    await look(page, "login")


async def test_the_documentation_of_the_api_is_accessible(page: Page, empty: Site) -> None:
    await visit(page, empty, "/docs")
    await expect(page.get_by_text("/v1/entries/preview", exact=False).first).to_be_visible()
    await assert_accessible(page, but=SWAGGERS_OWN)
    await keep(page, "docs")
    await page.set_viewport_size({"width": NARROW, "height": 800})
    await check_width(page, NARROW)
