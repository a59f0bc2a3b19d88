"""What holds for every test: it may take its time on a busy machine, but not for ever."""

from __future__ import annotations

import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support.examples import share_of

settings.register_profile(
    "callgate",
    max_examples=share_of(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("callgate")

FOR_EVER = 300
"""Seconds after which a test that waits for an event has missed it."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A missed event fails its test; without this it would hold up the whole run."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"{item.nodeid} has taken {FOR_EVER} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.alarm(FOR_EVER)
    try:
        return (yield)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
