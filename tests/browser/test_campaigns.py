"""Campaigns, imports and replays as people use them, on a desktop and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.looks import assert_accessible, keep
from tests.browser.site import Site, log_in

CONTACTS = "name,phone\nAda,+33612000101\nBob,06 12 99 90 02\nDora,+33162551234\nEve,nonsense\n"
ROWS = "number,reason\n+33612000201,one\n+33612000202,two\nnonsense,three\n"
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway for all tests here."""
    site = Site(tmp_path_factory.mktemp("campaigns"))
    site.start()
    yield site
    site.stop()


@pytest.fixture
def contacts(tmp_path: Path) -> Path:
    path = tmp_path / "contacts.csv"
    path.write_text(CONTACTS)
    return path


async def look(page: Page, name: str) -> None:
    """No violation in either scheme at either width, nothing wider than a phone; kept as
    pictures.
    """
    size = page.viewport_size
    assert size is not None
    await assert_accessible(page)
    await keep(page, name)
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    await assert_accessible(page)
    await keep(page, f"{name}-phone")
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    await page.set_viewport_size(size)


async def test_contacts_are_uploaded_and_show_what_a_call_would_get(
    page: Page, site: Site, contacts: Path
) -> None:
    await log_in(page, site)
    await page.get_by_role("link", name="Campaigns").click()
    await look(page, "campaigns")
    await page.get_by_role("link", name="spring-sale").click()
    await expect(page.get_by_text("No contacts yet")).to_be_visible()
    await look(page, "campaign-empty")
    await page.get_by_label("Upload contacts").set_input_files(contacts)
    await page.get_by_role("button", name="Upload", exact=True).click()
    await expect(page.get_by_text("4 contacts, numbers in column phone")).to_be_visible()
    rows = page.locator("#contacts tr")
    await expect(rows).to_have_count(4)
    for row, label in enumerate(("Clear", "Blacklisted", "Allowed by exception", "Invalid")):
        await expect(rows.nth(row).locator(".badge")).to_have_text(label)
    await look(page, "campaign")
    await page.get_by_label("Label", exact=True).select_option("Blacklisted")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("do-not-call")
    await page.get_by_label("Label", exact=True).select_option("all labels")
    await page.keyboard.press("Escape")
    await page.get_by_role("searchbox").fill("dora")
    await expect(rows).to_have_count(1)
    await rows.first.get_by_role("link", name="Check +33162551234").click()
    await expect(page).to_have_url(re.compile("/check"))
    await expect(page.get_by_text("partners").first).to_be_visible()


async def test_a_file_is_looked_at_and_then_imported(
    page: Page, site: Site, tmp_path: Path
) -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/blacklist")
    await page.get_by_role("link", name="Import").click()
    file = tmp_path / "leads.csv"
    file.write_text(ROWS)
    await page.get_by_label("File").set_input_files(file)
    await page.get_by_role("button", name="Look at it first").click()
    await expect(page.get_by_role("heading", name="What importing leads.csv")).to_be_visible()
    await expect(page.get_by_role("cell", name="nonsense", exact=True)).to_be_visible()
    await look(page, "import-dry")
    await page.reload()
    await page.get_by_role("button", name="Import 2 entries into blacklist").click()
    await expect(page.get_by_text("2 entries added")).to_be_visible()
    await look(page, "import")
    await page.goto(f"{site.url}/check?number=%2B33612000201")
    await expect(page.get_by_text("blacklist").first).to_be_visible()


async def test_a_draft_is_tried_and_its_faults_are_told(page: Page, site: Site) -> None:
    await log_in(page, site)
    await page.goto(f"{site.url}/replay")
    await look(page, "replay")
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("heading", name="What the draft would change")).to_be_visible()
    await look(page, "replay-done")
    draft = page.get_by_label("Draft of policy.yaml")
    await draft.fill(await draft.input_value() + "\nsurprise: 1\n")
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_text(re.compile(r"\(draft\):\d+:1: surprise"))).to_be_visible()
    await look(page, "replay-faults")
