"""The Blacklist page: one field and Add; searched, edited, removed, put back; by keys alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from gateway.tokens import Scope, Tokens
from tests.browser.site import Site, log_in
from tests.browser.visits import Past, add, await_attempt, client_of, running_site, state_of, visit
from tests.browser.watch import Watch

FORCE = "is in force from the next call on"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The gateway whose entries are changed here."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    """A program beside the page."""
    with client_of(site) as client:
        yield client


def field(page: Page) -> Locator:
    """The one field."""
    return page.get_by_role("textbox", name="Number or prefix")


def texts(client: httpx.Client, digits: str) -> list[str]:
    """The entries in force that begin so."""
    found = client.get("/v1/entries", params={"digits": digits}).json()["items"]
    return [item["text"] for item in found]


def row(page: Page, number: str) -> Locator:
    """The row of an entry."""
    return page.locator("#entries tr", has_text=number)


async def test_keys_alone_are_enough(page: Page, site: Site) -> None:
    await page.goto(f"{site.url}/login")
    await page.keyboard.type(site.token)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    link = page.get_by_role("link", name="Blacklist")
    for _ in range(5):
        await page.keyboard.press("Tab")
        if await link.evaluate("link => link === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Blacklist")).to_be_visible()
    await page.keyboard.press("/")
    await expect(field(page)).to_be_focused()
    await page.keyboard.type("+39")
    await page.keyboard.press("Enter")
    asked = page.get_by_role("alertdialog")
    await expect(asked).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    await expect(field(page)).to_be_focused()
    await expect(field(page)).to_have_value("+39")
    await page.keyboard.press("Enter")
    await expect(asked).to_be_focused()
    await page.keyboard.press("Tab")
    await expect(asked.get_by_role("button", name="Block it all the same")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#said")).to_contain_text(FORCE)
    await expect(field(page)).to_be_focused()
    await expect(field(page)).to_have_value("")
    await expect(row(page, "+39")).to_have_count(1)


async def test_a_confirmation_can_be_cancelled(page: Page, site: Site) -> None:
    await visit(page, site, "/blacklist")
    await field(page).fill("+41")
    await page.get_by_role("button", name="Add", exact=True).click()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("alertdialog")).to_have_count(0)
    await expect(field(page)).to_have_value("+41")
    await expect(row(page, "+41")).to_have_count(0)


async def test_what_was_asked_about_is_what_is_confirmed(page: Page, site: Site) -> None:
    await visit(page, site, "/blacklist")
    await field(page).fill("+42")
    await field(page).fill("+43")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("alertdialog")).to_contain_text("Block +43*?")
    await field(page).fill("+44")
    await expect(page.get_by_role("alertdialog")).to_have_count(0)


async def test_what_is_refused_stays_in_the_field(page: Page, site: Site) -> None:
    await visit(page, site, "/blacklist")
    await field(page).fill("612000009")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("#said [role=alert]")).to_contain_text("+33612000009")
    await expect(field(page)).to_have_value("612000009")


async def test_entries_are_found_by_number_beginning_and_reason(
    page: Page, site: Site, client: httpx.Client
) -> None:
    add(client, "+33612100001", reason="lottery")
    add(client, "+33612100002", reason="survey")
    await visit(page, site, "/blacklist")
    search = page.get_by_role("searchbox")
    for wanted in ("lottery", "+33612100001", "06 12 10 00 01"):
        await search.fill(wanted)
        await expect(row(page, "+33 6 12 10 00 02")).to_have_count(0)
        await expect(row(page, "+33 6 12 10 00 01")).to_have_count(1)
        await search.fill("3361210")
        await expect(row(page, "+33 6 12 10 00")).to_have_count(2)
    await search.fill("nobody")
    await expect(page.get_by_text("Nothing here matches")).to_be_visible()


async def test_an_entry_is_edited_removed_and_put_back(
    page: Page, site: Site, client: httpx.Client
) -> None:
    add(client, "+33612200001")
    await visit(page, site, "/blacklist")
    entry = row(page, "+33 6 12 20 00 01")
    await entry.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("three complaints")
    await dialog.get_by_label("Expires").fill("soon")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("soon")
    await dialog.get_by_label("Expires").fill("2090-01-31")
    await dialog.get_by_role("button", name="Save").click()
    told = page.locator("#told")
    await expect(told).to_contain_text("is changed")
    await expect(entry).to_contain_text("three complaints")
    await expect(entry).to_contain_text("2090")
    await entry.get_by_role("button", name="Remove").click()
    await expect(told).to_contain_text("is removed")
    await expect(entry).to_have_count(0)
    await told.get_by_role("button", name="Undo").click()
    await expect(told).to_contain_text("is as it was before")
    await expect(entry).to_contain_text("three complaints")
    await told.get_by_role("button", name="Dismiss").click()
    await expect(told).to_be_empty()


async def test_only_the_last_change_is_told(page: Page, site: Site) -> None:
    await visit(page, site, "/blacklist")
    await field(page).fill("+33612600001")
    await field(page).press("Enter")
    said, told = page.locator("#said"), page.locator("#told")
    await expect(said).to_contain_text(FORCE)
    await row(page, "+33 6 12 60 00 01").get_by_role("button", name="Remove").click()
    await expect(told).to_contain_text("is removed")
    await expect(said).to_be_empty()
    await field(page).fill("+33612600002")
    await field(page).press("Enter")
    await expect(said).to_contain_text(FORCE)
    await expect(told).to_be_empty()


async def test_the_audit_says_who_and_takes_a_change_back(
    page: Page, site: Site, client: httpx.Client
) -> None:
    add(client, "+33612300001", reason="by a program")
    await visit(page, site, "/audit")
    change = page.locator("#rows tr", has_text="+33 6 12 30 00 01")
    await expect(change).to_contain_text("first")
    await expect(change).to_contain_text("by api")
    await change.get_by_role("button", name="Undo").click()
    await expect(page.locator("#told")).to_contain_text("is as it was before")
    await expect(change.first).to_contain_text("undo")
    await expect(change.first).to_contain_text("by page")
    await page.get_by_label("Change", exact=True).select_option("undo")
    await expect(change).to_have_count(1)


async def test_two_windows_at_once_lose_nothing(
    page: Page, site: Site, client: httpx.Client
) -> None:
    await visit(page, site, "/blacklist")
    other = await page.context.new_page()
    await other.goto(f"{site.url}/blacklist")

    async def enter(window: Page, numbers: list[str]) -> None:
        for number in numbers:
            await field(window).fill(number)
            await field(window).press("Enter")
            await expect(field(window)).to_have_value("")

    wanted = [f"+3361240{n:04}" for n in range(8)]
    await asyncio.gather(enter(page, wanted[::2]), enter(other, wanted[1::2]))
    assert sorted(texts(client, "3361240")) == wanted
    await page.reload()
    await expect(row(page, "+33 6 12 40")).to_have_count(8)


async def test_whoever_may_only_read_is_shown_no_form_and_no_number(
    page: Page, site: Site, client: httpx.Client
) -> None:
    add(client, "+33612555123", reason="private")
    past = Past(site)
    try:
        call = past.record(
            caller="0612555123", caller_e164="+33612555123", entry="+33612555123", kind="number"
        )
        await_attempt(client, call.id)
    finally:
        past.close()
    token = Tokens(state_of(site)).create("reader", [Scope.READ])
    await visit(page, site, "/blacklist", token)
    await expect(page.get_by_role("heading", name="Entries")).to_be_visible()
    await expect(field(page)).to_have_count(0)
    await expect(page.locator("#add-form")).to_have_count(0)
    for name in ("Edit", "Remove", "Import"):
        await expect(page.get_by_role("button", name=name)).to_have_count(0)
    for path in ("/blacklist", "/", "/attempts", f"/attempts/{call.id}", "/audit"):
        await page.goto(site.url + path)
        await expect(page.get_by_text("logged in as reader")).to_be_visible()
        await expect(page.locator("main")).to_contain_text("123")
        html = await page.content()
        for shape in ("612555123", "6 12 55 51 23", "612%20555"):
            assert shape not in html, path


async def test_a_session_that_ended_leads_to_the_login_and_back(
    page: Page, site: Site, watch: Watch
) -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/blacklist")
    await page.context.clear_cookies()
    await page.get_by_role("searchbox").fill("anything")
    await expect(page).to_have_url(f"{site.url}/login?next=/blacklist")
    await page.goto(f"{site.url}/audit")
    await expect(page).to_have_url(f"{site.url}/login?next=/audit")
    await page.get_by_label("Token").fill(site.token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url(f"{site.url}/audit")
    watch.allow("status of 401")
