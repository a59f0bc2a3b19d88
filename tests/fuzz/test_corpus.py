"""Every input of the corpus keeps every promise of its target."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import FOLDER, corpus
from tests.fuzz.targets import TARGETS

PART = 40
"""Inputs of one test: one for each would be thousands of lines in a report."""
PARTS = [
    pytest.param(name, inputs[start : start + PART], id=f"{name}-{start}")
    for name in TARGETS
    for inputs in [corpus(name)]
    for start in range(0, len(inputs), PART)
]


@pytest.mark.parametrize(("target", "inputs"), PARTS)
def test_no_input_of_the_corpus_breaks_a_promise(
    target: str, inputs: list[tuple[str, bytes]]
) -> None:
    broken = []
    for name, data in inputs:
        try:
            TARGETS[target](data)
        except Exception as error:  # whatever it is: no target may let one out
            broken.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    assert not broken, "\n".join(broken)


def test_the_corpus_is_small_and_there_is_some_for_every_target() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000
    for name in TARGETS:
        assert len(corpus(name)) > 20
