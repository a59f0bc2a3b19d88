"""What looks after the pages finds each fault that it is there for, and none in a clean page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error, Page, expect

from tests.browser import looks
from tests.browser.looks import assert_accessible, keep
from tests.browser.pages import CLEAN, Pages
from tests.browser.watch import Watch, watched

FAULTS = {
    "console error: it went wrong": "console.error('it went wrong')",
    "exception: .*it was thrown": "setTimeout(() => { throw new Error('it was thrown') })",
    "exception: .*it was refused": "Promise.reject(new Error('it was refused'))",
    "console error: .*status of 404": "fetch('/nothing')",
    "console error: .*Content Security Policy": "document.body.setAttribute('style', 'color: red')",
}
ELSEWHERE = {
    "http://pages.example/": "fetch('http://pages.example/', {mode: 'no-cors'})",
    "ws://pages.example/": "new WebSocket('ws://pages.example/')",
    "http://localhost:9000/": "fetch('http://localhost:9000/', {mode: 'no-cors'})",
}
GREY = "p { color: #999; background: #fff }"
"""2.8 to 1, where the rules ask for 4.5."""


@pytest.fixture
def pages() -> Iterator[Pages]:
    pages = Pages()
    yield pages
    pages.close()


async def test_a_clean_page_has_no_fault(page: Page, pages: Pages, watch: Watch) -> None:
    pages.files["script.js"] = "console.warn('a remark'); fetch('/style.css')"
    await page.goto(pages.url)
    await assert_accessible(page)
    await watch.settle()
    assert watch.faults == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_seen(page: Page, pages: Pages, watch: Watch, fault: str) -> None:
    pages.files["script.js"] = FAULTS[fault]
    await page.goto(pages.url)
    assert re.search(fault, await watch.expect(fault))


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_a_request_to_another_host_is_seen(
    page: Page, pages: Pages, watch: Watch, url: str
) -> None:
    pages.policy = ""
    pages.files["script.js"] = ELSEWHERE[url]
    watch.allow("net::ERR|Failed to fetch")
    await page.goto(pages.url)
    await watch.expect(f"request to another host: {url}")


async def test_no_other_host_has_an_address(page: Page, pages: Pages, watch: Watch) -> None:
    pages.policy = ""
    pages.files["script.js"] = ELSEWHERE["http://pages.example/"]
    watch.allow("another host|Failed to fetch")
    await page.goto(pages.url)
    await watch.expect("console error: .*net::ERR_NAME_NOT_RESOLVED")


async def test_a_policy_that_lets_nothing_out_is_heard(
    page: Page, pages: Pages, watch: Watch
) -> None:
    pages.files["script.js"] = ELSEWHERE["http://pages.example/"]
    watch.allow("exception: .*Failed to fetch|console error: .*violates")
    await page.goto(pages.url)
    await watch.settle()


async def test_a_page_that_crashes_is_seen(page: Page, watch: Watch) -> None:
    with pytest.raises(Error):
        await page.goto("chrome://crash")
    await watch.expect("^crash: ")
    watch.allow("a page that is of no more use")


async def test_a_fault_that_no_one_saw_fails_the_test(browser: Browser, pages: Pages) -> None:
    pages.files["script.js"] = FAULTS["console error: it went wrong"]
    with pytest.raises(AssertionError, match=r"no one saw:\nconsole error: it went wrong \(http"):
        async with watched(browser) as (page, _):
            await page.goto(pages.url)


async def test_a_fault_of_a_second_page_counts(browser: Browser, pages: Pages) -> None:
    pages.files["script.js"] = FAULTS["console error: it went wrong"]
    with pytest.raises(AssertionError, match="it went wrong"):
        async with watched(browser) as (page, _):
            await (await page.context.new_page()).goto(pages.url)


async def test_a_fault_that_is_allowed_is_none(browser: Browser, pages: Pages) -> None:
    pages.files["script.js"] = FAULTS["console error: it went wrong"]
    async with watched(browser) as (page, watch):
        await page.goto(pages.url)
        watch.allow("it went wrong")


async def test_too_little_contrast_is_told_with_its_element(page: Page, pages: Pages) -> None:
    pages.files["style.css"] = GREY
    await page.goto(pages.url)
    with pytest.raises(AssertionError) as raised:
        await assert_accessible(page)
    report = str(raised.value).splitlines()
    assert report[0] == f"axe on {pages.url}:"
    assert [line[:20] for line in report if "color-contrast" in line] == [
        "dark: color-contrast",
        "light: color-contras",
    ]
    assert any('<p class="note">' in line for line in report)
    assert any("insufficient color contrast of 2.84" in line for line in report)


async def test_too_little_contrast_in_the_dark_alone_is_found(page: Page, pages: Pages) -> None:
    pages.files["style.css"] = (
        "p { color: #222; background: #fff; transition: color 300ms }"
        "@media (prefers-color-scheme: dark) { p { color: #999 } }"
    )
    await page.goto(pages.url)
    with pytest.raises(AssertionError, match=r"insufficient color contrast of 2\.84") as raised:
        await assert_accessible(page)
    assert "light: " not in str(raised.value)


async def test_a_label_that_is_missing_is_told(page: Page, pages: Pages) -> None:
    pages.files[""] = CLEAN.replace("<h1>", '<input name="number"><h1>')
    await page.goto(pages.url)
    with pytest.raises(AssertionError, match="label"):
        await assert_accessible(page)


async def test_pictures_are_kept_in_both_schemes(
    page: Page, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "ARTIFACTS", tmp_path / "artifacts")
    pages.files["style.css"] = "@media (prefers-color-scheme: dark) { body { background: #000 } }"
    await page.goto(pages.url)
    kept = await keep(page, "clean")
    assert [path.name for path in kept] == ["clean-dark.png", "clean-light.png"]
    dark, light = (path.read_bytes() for path in kept)
    assert dark[:8] == light[:8] == b"\x89PNG\r\n\x1a\n"
    assert dark != light


async def test_text_is_drawn(page: Page, pages: Pages, chromium: Path) -> None:
    """Without a font every letter is as wide as any other, or has no width."""
    pages.files[""] = CLEAN.replace("Text", "<span>iiii</span> <span>WWWW</span>")
    pages.files["style.css"] = "p { font-family: system-ui, sans-serif }"
    await page.goto(pages.url)
    narrow, wide = [await span.bounding_box() for span in await page.locator("span").all()]
    assert narrow is not None
    assert wide is not None
    assert 0 < narrow["width"] * 2 < wide["width"], chromium


async def test_locators_wait_under_a_strict_policy(page: Page, pages: Pages) -> None:
    pages.files["script.js"] = (
        "setTimeout(() => { document.querySelector('h1').textContent = 'Later' }, 200)"
    )
    await page.goto(pages.url)
    await expect(page.get_by_role("heading", name="Later")).to_be_visible()
