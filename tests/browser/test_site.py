"""A real gateway serves the pages, and its first token opens them."""

from __future__ import annotations

import re

import httpx
from playwright.async_api import Page, expect

from tests.browser.looks import assert_accessible
from tests.browser.site import Site, log_in
from tests.browser.watch import Watch


def test_it_is_healthy_and_its_token_is_good(site: Site) -> None:
    assert httpx.get(f"{site.url}/healthz", trust_env=False).is_success
    assert site.token in site.output
    listed = site.run("token", "list")
    assert "admin" in listed
    assert site.token not in listed


def test_it_comes_back_where_it_is_found(site: Site) -> None:
    token = site.token
    site.stop()
    site.start()
    assert httpx.get(f"{site.url}/healthz", trust_env=False).is_success
    assert site.token == token


async def test_the_login_is_accessible(page: Page, site: Site) -> None:
    await page.goto(site.url)
    await expect(page).to_have_url(re.compile("/login$"))
    await assert_accessible(page)


async def test_a_token_opens_the_pages(page: Page, site: Site) -> None:
    await log_in(page, site)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def test_a_wrong_token_is_told(page: Page, site: Site, watch: Watch) -> None:
    await page.goto(f"{site.url}/login")
    await page.get_by_label("Token").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_text("unknown, expired or revoked")).to_be_visible()
    await watch.expect("console error: .*status of 401")
    await assert_accessible(page)
