"""Without the scope for numbers, no more than the last three digits of any of them leave."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.model import Shadow
from gateway.entries import ManagedEntry
from gateway.policy.model import EntryKind
from gateway.web.masking import SHOWN, masked, masked_attempt, masked_entry, masked_text
from tests.support.attempts import make_attempt

PARTIES = ("caller", "caller_e164", "callee", "callee_e164", "caller_name")
NUMBERS = st.from_regex(r"\+?[0-9]{4,15}", fullmatch=True)
WRITTEN = st.text("0123456789+ ().-/sip:@;٠١٢３４", max_size=30)


def digits(text: str) -> str:
    return "".join(re.findall(r"\d", text))


def entry(kind: EntryKind, text: str) -> ManagedEntry:
    return ManagedEntry(id=1, list="blacklist", kind=kind, digits=text, who="ops", at=0.0)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("+33162000123", "+********123"),
        ("01 62 00 01 23", "** ** ** *1 23"),
        ("100", "100"),
        ("1000", "*000"),
        ("", ""),
        ("anonymous", "anonymous"),
        ("sip:+33162000123@pbx", "sip:+********123@pbx"),
    ],
)
def test_the_last_three_digits_are_left(text: str, seen: str) -> None:
    assert masked(text) == seen


@given(WRITTEN | st.text())
def test_no_more_than_three_digits_leave_and_nothing_else_changes(text: str) -> None:
    seen = masked(text)
    assert len(digits(seen)) == min(SHOWN, len(digits(text)))
    assert digits(text).endswith(digits(seen))
    assert len(seen) == len(text)
    assert re.sub(r"[\d*]", "", seen) == re.sub(r"[\d*]", "", text)
    assert masked(seen) == seen


@given(
    parties=st.lists(NUMBERS | WRITTEN, min_size=4, max_size=4),
    name=NUMBERS | st.text(max_size=20),
    matched=NUMBERS,
    kind=st.sampled_from(["number", "short"]),
)
def test_no_number_of_an_attempt_leaves_whole(
    parties: list[str], name: str, matched: str, kind: str
) -> None:
    sent: dict[str, Any] = dict(zip(PARTIES, [*parties, name], strict=True))
    shadow = Shadow(verdict="block", reason="list", list="maybe", entry=matched)
    attempt = make_attempt(**sent, entry=matched, kind=kind, shadow=shadow, list="nuisance")
    seen = masked_attempt(attempt)
    for field in (*PARTIES, "entry"):
        assert len(digits(getattr(seen, field))) <= SHOWN, field
    assert seen.shadow is not None
    assert len(digits(seen.shadow.entry)) <= SHOWN
    assert set(seen.caller_name) <= {"*"}
    rest = msgspec.structs.asdict(msgspec.structs.replace(seen, id="", at=0.0, revision=""))
    whole = [text for text in (*parties, matched) if len(digits(text)) > SHOWN]
    assert not any(text in str(value) for value in rest.values() for text in whole)


def test_an_attempt_keeps_what_is_nobodys_number() -> None:
    attempt = make_attempt("a-1", entry="+33162", kind="prefix", campaign="sale", trunk="us")
    seen = masked_attempt(attempt)
    hidden = {name: getattr(seen, name) for name in PARTIES}
    assert msgspec.structs.replace(attempt, **hidden) == seen
    assert seen.caller_e164 == "+********000"


@given(kind=st.sampled_from(EntryKind), text=st.from_regex(r"[0-9]{1,15}", fullmatch=True))
def test_an_exact_entry_is_a_number_and_so_is_a_prefix_of_seven_digits(
    kind: EntryKind, text: str
) -> None:
    whole = entry(kind, text)
    seen = masked_entry(whole)
    if kind.exact or len(text) >= 7:
        assert len(digits(seen.digits)) <= SHOWN
        assert seen == msgspec.structs.replace(whole, digits=seen.digits)
    else:
        assert seen == whole
    assert masked_text(f"+{text}", exact=kind.exact) == f"+{seen.digits}"


@pytest.mark.parametrize(
    ("kind", "text", "seen"),
    [
        ("prefix", "+33162", "+33162"),
        ("prefix", "+331620", "+331620"),
        ("prefix", "+3316200", "+****200"),
        ("short", "3900", "*900"),
        ("number", "+33162001122", "+********122"),
    ],
)
def test_an_attempt_shows_the_entry_as_the_lists_do(kind: str, text: str, seen: str) -> None:
    attempt = make_attempt("a-1", entry=text, kind=kind)
    assert masked_attempt(attempt).entry == seen
