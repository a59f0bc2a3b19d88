"""The Overview: calls as they arrive, held back and let go, and what is wrong with the policy."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.looks import keep
from tests.browser.site import Site
from tests.browser.visits import Past, await_attempt, client_of, running_site, visit
from tests.browser.watch import Watch


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The gateway that is looked at here."""
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    """A program beside the page."""
    with client_of(site) as client:
        yield client


@pytest.fixture(scope="module")
def past(site: Site) -> Iterator[Past]:
    """Calls that arrive without a PBX."""
    past = Past(site)
    yield past
    past.close()


def live(page: Page, identity: str) -> Locator:
    """The row of an attempt in the live table."""
    return page.locator(f"#attempt-{identity}")


def reload(client: httpx.Client) -> int:
    """Have the policy loaded anew: the status of the answer."""
    return client.post("/v1/policy/reload").status_code


async def test_calls_that_arrive_in_a_pause_are_shown_after_it(
    page: Page, site: Site, past: Past
) -> None:
    await visit(page, site, "/")
    first = past.record()
    await expect(live(page, first.id)).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    second = past.record()
    resume = page.get_by_role("button", name="Resume (1)")
    await expect(resume).to_be_visible()
    await expect(live(page, second.id)).to_have_count(0)
    await resume.click()
    await expect(live(page, second.id)).to_have_count(1)
    third = past.record()
    await expect(live(page, third.id)).to_have_count(1)
    await expect(page.locator("#live tr").first).to_have_id(f"attempt-{third.id}")


async def test_the_table_stays_short(page: Page, site: Site, past: Past) -> None:
    await visit(page, site, "/")
    calls = [past.record() for _ in range(20)]
    await expect(live(page, calls[-1].id)).to_have_count(1)
    await expect(page.locator("#live tr")).to_have_count(12)


async def test_a_lost_connection_is_said_and_the_calls_of_the_meantime_are_shown(
    page: Page, site: Site, past: Past, client: httpx.Client, watch: Watch
) -> None:
    watch.allow("ERR_FAILED|object Event")

    async def cut(route: Route) -> None:
        await route.abort()

    await page.context.route("**/parts/live*", cut)
    await visit(page, site, "/")
    state = page.locator("#live-state")
    await expect(state).to_have_text("Connection lost, trying again…")
    missed = past.record()
    await_attempt(client, missed.id)
    await page.context.unroute("**/parts/live*", cut)
    await expect(live(page, missed.id)).to_have_count(1)
    await expect(state).to_be_empty()


async def test_a_bad_reload_shows_its_place(page: Page, site: Site, client: httpx.Client) -> None:
    before = site.policy.read_text()
    site.policy.write_text(before + "surprise: 1\n")
    try:
        assert reload(client) == 409
        await visit(page, site, "/")
        notice = page.locator(".notice", has_text="is not the one that is configured")
        line = len(before.splitlines()) + 1
        await expect(notice).to_contain_text(f"policy.yaml:{line}")
        await expect(notice).to_contain_text("surprise")
        await keep(page, "bad-reload")
    finally:
        site.policy.write_text(before)
        assert reload(client) == 200
    await page.reload()
    await expect(page.locator(".notice")).to_have_count(0)


async def test_times_are_those_of_the_viewer(page: Page, site: Site, past: Past) -> None:
    await visit(page, site, "/")
    call = past.record(1_783_000_000.0)
    await expect(live(page, call.id)).to_contain_text("2 Jul 2026, 15:46")
    moments = page.locator(".times time")
    await expect(moments).to_have_count(4)
    shown = await moments.first.evaluate("""time => [time.textContent, new Date(time.dateTime)
        .toLocaleTimeString("en-GB", {timeZone: "Europe/Paris", timeStyle: "short"})]""")
    assert shown[0] == shown[1]


async def test_a_phone_shows_every_page_that_there_is(page: Page, site: Site) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await visit(page, site, "/")
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    await expect(links).to_have_count(6)
    for link in await links.all():
        await expect(link).to_be_in_viewport(ratio=1)


async def test_why_is_told_in_words(page: Page, site: Site, past: Past) -> None:
    await visit(page, site, "/")
    call = past.record(verdict="allow", reason="default", list="", entry="")
    await expect(live(page, call.id)).to_contain_text("nothing lists it")


async def test_the_documentation_follows_the_theme_and_leads_back(page: Page, site: Site) -> None:
    await visit(page, site, "/docs")
    await expect(page.locator(".opblock").first).to_be_visible()
    ground = page.locator(".swagger-ui").first
    await page.emulate_media(color_scheme="dark")
    await expect(ground).to_have_css("background-color", "rgb(28, 32, 34)")
    await page.emulate_media(color_scheme="light")
    await expect(ground).to_have_css("background-color", "rgba(0, 0, 0, 0)")
    await page.get_by_role("link", name="Callgate", exact=True).click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def test_the_theme_can_be_chosen_and_stays(page: Page, site: Site) -> None:
    await visit(page, site, "/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = await page.evaluate(ground)
    await page.get_by_role("button", name="Switch between light and dark").click()
    dark = await page.evaluate(ground)
    assert dark != light
    await page.reload()
    assert await page.evaluate(ground) == dark
