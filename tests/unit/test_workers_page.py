"""The shared page and the hearts on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.workers.page import MOST, Page, Pulse


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page.create()
    yield made
    made.close()


def test_another_process_sees_the_edition_and_is_seen_to_live(page: Page) -> None:
    page.flip(7)
    script = (
        "import sys; from gateway.workers.page import Page; page = Page(int(sys.argv[1])); "
        "page.beat(3, 41); print(page.edition)"
    )
    command = [sys.executable, "-c", script, str(page.descriptor)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, pass_fds=[page.descriptor], capture_output=True, text=True, check=True
    )
    assert done.stdout == "7\n"
    assert page.heart(3) == 41


def test_every_heart_has_its_own_word(page: Page) -> None:
    for worker in range(1, MOST + 1):
        page.beat(worker, 100 + worker)
    assert [page.heart(worker) for worker in range(1, MOST + 1)] == list(range(101, 101 + MOST))
    assert page.edition == 0


def test_a_heart_that_beats_is_never_silent() -> None:
    pulse = Pulse(0.25)
    assert [pulse.look(beat, beat * 0.25) for beat in range(1, 40)] == [0.0] * 39


def test_the_silence_of_a_heart_grows_until_it_beats_again() -> None:
    pulse = Pulse(0.25)
    assert [pulse.look(5, now) for now in (10.0, 10.25, 10.5, 10.75)] == [0.0, 0.25, 0.5, 0.75]
    assert pulse.look(6, 11.0) == 0.0


def test_a_pause_of_the_watcher_is_nobodys_silence() -> None:
    pulse = Pulse(0.25)
    pulse.look(5, 10.0)
    assert pulse.look(5, 3600.0) == 0.5
