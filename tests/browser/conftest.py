"""A Chromium for all tests here, and a page for each, which fails its test by what no one saw.

Playwright lives in one event loop: the tests here run in the session's. So must their own
fixtures that are asynchronous: ``@pytest_asyncio.fixture(loop_scope="session")``.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import re
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page

from tests.browser.chromium import Unavailable, running, set_up
from tests.browser.looks import picture
from tests.browser.site import CONFIG, Site
from tests.browser.watch import Watch, watched

FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.browser)
            if inspect.iscoroutinefunction(item.obj):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The program."""
    try:
        return set_up()
    except Unavailable as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Chromium to test with: {missing}")
        pytest.skip(f"no Chromium to test with: {missing}")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def browser(
    chromium: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Browser]:
    async with running(chromium, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def start_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts a gateway of the test's own; its configuration is the folder ``source``."""
    started: list[Site] = []

    def start(source: Path = CONFIG) -> Site:
        site = Site(tmp_path / f"site{len(started)}", source=source)
        started.append(site)
        site.start()
        return site

    yield start
    for site in started:
        site.stop()


@pytest.fixture
def site(start_site: Callable[..., Site]) -> Site:
    """A running gateway of the test's own: ``url`` of its pages, ``token`` of an administrator."""
    return start_site()


@pytest_asyncio.fixture(loop_scope="session")
async def _watched(
    browser: Browser, start_site: Callable[..., Site], request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Page, Watch]]:
    del start_site  # a page is closed before any gateway stops, or it would complain of that
    async with watched(browser) as (page, watch):
        yield page, watch
        if request.node.stash.get(FAILED, False):
            with contextlib.suppress(Error):
                await picture(page, "failed-" + re.sub(r"\W+", "-", request.node.name))


@pytest.fixture
def page(_watched: tuple[Page, Watch]) -> Page:
    """A page; what ``watch`` has seen in it at the end fails the test."""
    return _watched[0]


@pytest.fixture
def watch(_watched: tuple[Page, Watch]) -> Watch:
    """What goes wrong in ``page``: allow it or expect it here."""
    return _watched[1]
