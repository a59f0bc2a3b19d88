"""What every page is made with: templates, what they may call, and who looks.

Rule 1: a template shows values and decides nothing. Whether a number may be seen is settled here,
before it reaches one.
Rule 2: times leave as UTC in a ``<time>`` element and are shown in the viewer's own zone by the
page's script; numbers are grouped as libphonenumber does.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gateway.numbers import display, region_of
from gateway.policy.model import EntryKind
from gateway.tokens import Scope
from gateway.web.context import Web, web_of
from gateway.web.masking import masked, masked_text
from gateway.web.pages.reasons import in_words
from gateway.web.security import allowed
from gateway.web.sessions import COOKIE, Principal

HERE = Path(__file__).parents[1]
STATIC = HERE / "static"

Parts = Annotated[Web, Depends(web_of)]
Viewer = Annotated[Principal, Depends(allowed(Scope.READ))]
Editor = Annotated[Principal, Depends(allowed(Scope.WRITE))]

NAVIGATION = (
    ("/", "Overview"),
    ("/blacklist", "Blacklist"),
    ("/campaigns", "Campaigns"),
    ("/attempts", "Attempts"),
    ("/check", "Check"),
    ("/audit", "Audit"),
)


def render(request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
    """A page, or a part of one, from a template."""
    return HTMLResponse(fragment(request, name, **values), status)


def fragment(request: Request, name: str, **values: Any) -> str:
    """The text of a template."""
    who = _viewer(request)
    return (
        _environment()
        .get_template(name)
        .render(
            here=request.url.path,
            who=who,
            may_write=who is not None and who.may(Scope.WRITE),
            may_allow=who is not None and who.may(Scope.ADMIN),
            sees_numbers=who is not None and who.may(Scope.NUMBERS),
            csrf=who.csrf if who else "",
            version=request.app.state.version,
            **values,
        )
    )


def _viewer(request: Request) -> Principal | None:
    """Whoever looks; a page that is not there was asked for by somebody too."""
    known: Principal | None = getattr(request.state, "principal", None)
    return known or web_of(request).sessions.by_cookie(request.cookies.get(COOKIE, ""))


def number(text: str, who: Principal | None) -> str:
    """A number as somebody may see it: ``+33 1 62 00 11 22``, or its last three digits."""
    if who is None or not who.may(Scope.NUMBERS):
        return masked(text)
    return grouped(text)


def listed(text: str, who: Principal | None) -> str:
    """An entry of any kind as somebody may see it."""
    if who is None or not who.may(Scope.NUMBERS):
        return masked_text(text)
    return grouped(text)


def grouped(text: str) -> str:
    """``+33162001122`` as ``+33 1 62 00 11 22``; anything else as it is."""
    digits = text.removeprefix("+")
    if not text.startswith("+") or not (digits.isascii() and digits.isdigit() and len(digits) > 6):
        return text
    return display(digits)


def region(text: str) -> str:
    """The country of an E.164 number as two letters, or nothing."""
    found = region_of(text.removeprefix("+")) if text.startswith("+") else None
    return found if found and found.isalpha() else ""


def moment(at: float) -> Markup:
    """A point in time, which the page's script shows in the viewer's zone."""
    utc = datetime.fromtimestamp(at, UTC)
    exact, shown = utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}">{}</time>').format(exact, shown)


def minute(at: float) -> Markup:
    """A point in time of today, to the minute, for the axis of a chart."""
    utc = datetime.fromtimestamp(at, UTC)
    exact, shown = utc.strftime("%Y-%m-%dT%H:%M:%SZ"), utc.strftime("%H:%M")
    return Markup('<time datetime="{}" data-minute>{}</time>').format(exact, shown)


def iso(at: float) -> str:
    """A point in time as the fields of forms take it: a day, where it is the end of one."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def capitalise(text: str) -> str:
    """A clause as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


@cache
def asset(path: str) -> str:
    """The address of a static file; it changes with the file's content, so it may be cached."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]
    return f"/static/{path}?v={digest}"


@cache
def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(number=number, listed=listed, grouped=grouped, region=region)
    found.filters.update(
        moment=moment, iso=iso, minute=minute, capitalise=capitalise, in_words=in_words
    )
    found.globals.update(asset=asset, navigation=NAVIGATION, kinds=list(EntryKind))
    return found
