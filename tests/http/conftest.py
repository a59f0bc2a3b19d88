"""A real gateway with its HTTP side for each module of tests here, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from gateway.tokens import Scope, Tokens
from tests.browser.site import Site

TIMEOUT = 60.0

Ask = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway of its own: its lists are those of tests/browser/config."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.stop()


@pytest.fixture(scope="module")
def tokens(site: Site) -> Tokens:
    """The tokens of the gateway, as the command line changes them."""
    return Tokens(site.config.parent.parent / "state")


@pytest.fixture(scope="module")
def ask(site: Site, tokens: Tokens) -> Iterator[Ask]:
    """Makes clients: with the scopes that are named, or with no token at all."""
    with ExitStack() as stack:

        def client(*scopes: Scope) -> httpx.Client:
            name = "-".join(scope.name.lower() for scope in scopes)
            for token in tokens.all():
                if token.name == name:
                    tokens.revoke(name)
            headers = {"Authorization": f"Bearer {tokens.create(name, scopes)}"} if scopes else {}
            made = httpx.Client(
                base_url=site.url, headers=headers, timeout=TIMEOUT, trust_env=False
            )
            return stack.enter_context(made)

        yield client


@pytest.fixture(scope="module")
def admin(ask: Ask) -> httpx.Client:
    """Whoever may do everything."""
    return ask(Scope.ADMIN)
