"""What is done on a page holds for the next call through a real Asterisk, and is seen live."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from playwright.async_api import Locator, Page, expect

from tests.asterisk.pbx import Unavailable, set_up
from tests.browser.calls import Trunk, trunk_of
from tests.browser.looks import keep
from tests.browser.site import Site, log_in
from tests.browser.visits import running_site, visit

pytestmark = pytest.mark.asterisk

REJECTED = [100, 603]
FORCE = "is in force from the next call on"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The gateway that all calls here are asked of."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def trunk(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trunk]:
    """A real Asterisk that asks this gateway."""
    try:
        programs = set_up()
    except Unavailable as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Asterisk to test with: {missing}")
        pytest.skip(f"no Asterisk to test with: {missing}")
    with trunk_of(programs, site.address, tmp_path_factory.mktemp("trunk")) as trunk:
        yield trunk


def live_row(page: Page, number: str, verdict: str) -> Locator:
    """Rows of the live table for a number as it is shown there."""
    return page.locator("#live tr", has_text=number).filter(has_text=verdict)


async def put_in(page: Page, number: str) -> None:
    """Type into the one field and press Add."""
    await page.get_by_role("textbox", name="Number or prefix").fill(number)
    await page.get_by_role("button", name="Add", exact=True).click()


async def test_an_added_number_is_rejected_on_the_wire_and_seen_live(
    page: Page, site: Site, trunk: Trunk
) -> None:
    await log_in(page, site)
    empty = page.get_by_text("No call has been screened yet")
    await expect(empty).to_be_visible()
    await page.evaluate("window.notReloaded = true")
    desk = await page.context.new_page()
    await desk.goto(f"{site.url}/blacklist")
    await put_in(desk, "+33123456789")
    await expect(desk.locator("#said")).to_contain_text(FORCE)
    await expect(desk.locator("#entries")).to_contain_text("+33 1 23 45 67 89")
    outcome = await trunk.call("+33123456789")
    assert outcome.statuses == REJECTED
    row = live_row(page, "+33 1 23 45 67 89", "Blacklisted")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("blacklist")
    await expect(row).to_contain_text("France")
    await expect(empty).to_be_hidden()
    assert await page.evaluate("window.notReloaded")
    await keep(page, "live")


async def test_a_prefix_is_previewed_confirmed_and_undone_and_calls_follow(
    page: Page, site: Site, trunk: Trunk
) -> None:
    await visit(page, site, "/")
    assert (await trunk.call("+34911234567")).answered
    await expect(live_row(page, "+34 911 23 45 67", "Allowed")).to_have_count(1)
    await page.goto(f"{site.url}/blacklist")
    await page.get_by_role("textbox", name="Number or prefix").fill("+34")
    await expect(page.locator("#preview")).to_contain_text("every number that begins with it")
    await expect(page.locator("#preview")).to_contain_text(
        "it would have blocked 1 call of 1 number"
    )
    await page.get_by_role("button", name="Add", exact=True).click()
    asked = page.get_by_role("alertdialog")
    await expect(asked).to_contain_text("covers all of +34")
    assert (await trunk.call("+34911234567")).answered
    await asked.get_by_role("button", name="Block it all the same").click()
    await expect(page.locator("#said")).to_contain_text(FORCE)
    assert (await trunk.call("+34911234567")).statuses == REJECTED
    await page.locator("#said").get_by_role("button", name="Undo").click()
    await expect(page.locator("#said")).to_contain_text("is as it was before")
    assert (await trunk.call("+34911234567")).answered


async def test_from_an_attempt_it_is_one_click_to_the_field_that_blocks_its_number(
    page: Page, site: Site, trunk: Trunk
) -> None:
    await visit(page, site, "/")
    assert (await trunk.call("+33145450001")).answered
    await live_row(page, "+33 1 45 45 00 01", "Allowed").get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("+33 1 45 45 00 01")
    await expect(page.get_by_role("heading", name="Why")).to_be_visible()
    await page.get_by_role("link", name="Block this number").click()
    await expect(page.get_by_role("textbox", name="Number or prefix")).to_have_value("+33145450001")
    await expect(page.locator("#preview")).to_contain_text("blocked by blacklist")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.locator("#said")).to_contain_text(FORCE)
    assert (await trunk.call("+33145450001")).statuses == REJECTED
    await page.goto(f"{site.url}/")
    await live_row(page, "+33 1 45 45 00 01", "Blacklisted").get_by_role("link").click()
    await page.get_by_role("link", name="Allow this number").click()
    await expect(page.get_by_role("combobox", name="List", exact=True)).to_have_value("partners")
    await page.get_by_role("button", name="Add", exact=True).click()
    await expect(page.get_by_role("alertdialog")).to_contain_text("lifts the block +33145450001")
    await page.get_by_role("button", name="Allow it all the same").click()
    await expect(page.locator("#said")).to_contain_text(FORCE)


async def test_what_a_page_says_of_a_number_is_what_its_call_gets(
    page: Page, site: Site, trunk: Trunk
) -> None:
    await visit(page, site, "/check")
    for number, says in (("+33162000001", "Blocked"), ("+33162550001", "Allowed")):
        await page.get_by_role("textbox", name="Number", exact=True).fill(number)
        verdict = page.get_by_role("region", name=number[-2:])
        await expect(verdict).to_contain_text(says)
        outcome = await trunk.call(number)
        assert outcome.answered is (says == "Allowed"), outcome
