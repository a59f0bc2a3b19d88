"""Reasons in the words of the pages."""

from __future__ import annotations

from gateway.policy.model import Reason
from gateway.web.pages.reasons import WORDS, in_words


def test_every_reason_has_words_of_its_own() -> None:
    assert set(WORDS) == set(Reason)
    assert len(set(WORDS.values())) == len(WORDS)


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    assert in_words("full_moon") == "full_moon"
