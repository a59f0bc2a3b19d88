"""How a page looks, light and dark: held to accessibility's rules by axe, and kept as pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page

ARTIFACTS = Path(__file__).parent / "artifacts"
Scheme = Literal["dark", "light"]
SCHEMES: tuple[Scheme, ...] = ("dark", "light")
"""The one that every page is opened in comes last."""

# Colours that fade from one scheme to the other are measured when they have arrived.
_ARRIVED = """async () => {
    const frame = () => new Promise(resolve => requestAnimationFrame(resolve));
    await frame();
    await frame();
    const ending = animation => animation.playState === "running" && animation.effect
        && animation.effect.getComputedTiming().endTime !== Infinity;
    const animations = document.getAnimations().filter(ending);
    await Promise.all(animations.map(animation => animation.finished.catch(() => null)));
}"""


async def each_scheme(page: Page, schemes: Sequence[Scheme] = SCHEMES) -> AsyncIterator[str]:
    """Shows the page dark, then light, as someone's system would ask for it."""
    for scheme in schemes:
        await page.emulate_media(color_scheme=scheme)
        await page.evaluate(_ARRIVED)
        yield scheme


async def assert_accessible(
    page: Page, *, schemes: Sequence[Scheme] = SCHEMES, but: Iterable[str] = ()
) -> None:
    """Raises AssertionError with what axe finds, dark and light: rule, element, remedy.

    ``but`` are rules that others' markup breaks.
    """
    rules = {rule: {"enabled": False} for rule in but}
    options = {"resultTypes": ["violations"], "rules": rules}
    found = [
        line
        async for scheme in each_scheme(page, schemes)
        for violation in (await Axe().run(page, options=options)).response["violations"]
        for line in _told(scheme, violation)
    ]
    assert not found, "\n".join([f"axe on {page.url}:", *found])


def _told(scheme: str, violation: dict[str, Any]) -> list[str]:
    lines = [f"{scheme}: {violation['id']} ({violation['impact']}): {violation['help']}"]
    for node in violation["nodes"]:
        lines.append(f"    {' '.join(map(str, node['target']))}   {node['html']}")
        lines += [f"        {line.strip()}" for line in node["failureSummary"].splitlines()]
    return lines


async def keep(page: Page, name: str) -> list[Path]:
    """Keeps the whole page as pictures NAME-dark.png and NAME-light.png."""
    return [await picture(page, f"{name}-{scheme}") async for scheme in each_scheme(page)]


async def picture(page: Page, name: str) -> Path:
    """Keeps the whole page as it looks now."""
    path = ARTIFACTS / f"{name}.png"
    await page.screenshot(path=path, full_page=True)
    return path
