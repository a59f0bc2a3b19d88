"""Which fields of an attempt lose an erased number, and what its line becomes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempts.erasure import ERASED, erased_line
from gateway.attempts.lines import DeliveryLine, EndLine, decode, encode
from gateway.attempts.model import Attempt, Shadow
from gateway.numbers.spellings import Spellings, spellings
from gateway.review.past import call_of
from tests.support.attempts import NOON, make_attempt
from tests.support.erasure import MINE, OTHER, SPELLED, bare


def call(name: str, **facts: Any) -> Attempt:
    """A call that has nothing to do with the number, but for these facts."""
    apart = {"caller": OTHER, "caller_e164": OTHER, "entry": "", "list": ""}
    return make_attempt(name, **(apart | facts))


def erased(attempt: Attempt, number: Spellings = MINE) -> Attempt | None:
    line = erased_line(encode(attempt)[:-1], number)
    if line is None:
        return None
    found = decode(line)
    assert isinstance(found, Attempt)
    return found


@pytest.mark.parametrize("text", SPELLED)
def test_a_party_that_was_no_number_counts_in_every_way_of_writing_it(text: str) -> None:
    found = erased(call("a", caller=text, caller_e164="", caller_name="Jeanne"))
    assert found is not None
    assert (found.caller, found.caller_e164, found.caller_name) == (ERASED, "", ERASED)
    assert found.callee == "+33140000000"


@pytest.mark.parametrize("text", SPELLED)
def test_a_number_is_found_in_every_other_text(text: str) -> None:
    for name in ("extension", "channel_id", "linked_id", "caller_name", "attestation", "note"):
        found = erased(call("a", **{name: f"see {text}, please"}))
        assert found is not None
        assert getattr(found, name) == ERASED
        assert found.caller == OTHER


def test_a_party_that_was_read_as_the_number_goes_however_it_was_written() -> None:
    found = erased(call("a", callee="code 7", callee_e164="+33612345678", extension="code 7"))
    assert found is not None
    assert (found.callee, found.callee_e164, found.extension) == (ERASED, "", ERASED)


def test_a_party_that_was_read_as_another_number_stays() -> None:
    german = call("a", caller="0612345678", caller_e164="+49612345678")
    assert erased(german) is None
    named = call("a", caller='"+33612345678" <sip:0301234567@example.org>')
    assert erased(named) == call("a", caller=ERASED)


@pytest.mark.parametrize(
    "text", ["+336123456789", "1233612345678", "06123456", "612-345-6789", "0612345678901"]
)
def test_a_longer_or_shorter_number_is_another(text: str) -> None:
    assert erased(call("a", caller=text, caller_e164="", note=text)) is None


def test_the_entry_that_decided_goes_where_it_is_the_number_and_a_prefix_stays() -> None:
    shadow = Shadow("block", "list", "nuisance", "+33612345678")
    found = erased(call("a", entry="+33612345678", list="mine", shadow=shadow))
    assert found == call(
        "a", entry=ERASED, list="mine", shadow=Shadow("block", "list", "nuisance", ERASED)
    )
    assert erased(call("a", entry="+3361234")) is None


def test_a_line_keeps_its_length_also_where_there_is_no_room() -> None:
    number = spellings("29022158")
    for caller in ("+29022158", "0029022158", "29022158"):
        line = encode(call("a", caller=caller, caller_e164="", callee="", callee_e164=""))[:-1]
        better = erased_line(line, number)
        assert better is not None
        assert len(better) == len(line)
        assert b"22158" not in better
    short = encode(call("a", caller="22158", caller_e164="+29022158"))[:-1]
    better = erased_line(short, number)
    assert better is not None
    assert len(better) == len(short)


def test_lines_of_other_kinds_are_left_alone() -> None:
    for line in (DeliveryLine("sent", "0612345678", NOON), EndLine(33612345678)):
        assert erased_line(encode(line)[:-1], MINE) is None


def test_a_bad_line_with_the_number_stays_a_bad_line() -> None:
    torn = encode(call("a", caller="+33612345678"))[5:-1]
    better = erased_line(torn, MINE)
    assert better is not None
    assert decode(better) is None
    assert len(better) == len(torn)
    assert not re.search(rb"12345678", better)
    assert erased_line(torn.replace(b"12345678", b"12345679"), MINE) is None


def test_an_attempt_that_lost_a_party_is_no_call_to_decide_again() -> None:
    attempt = call("a", caller="0612345678", caller_e164="+33612345678")
    found = erased(attempt)
    assert found is not None
    assert call_of(attempt) is not None
    assert call_of(found) is None


TEXT = st.text(max_size=12)


@given(st.sampled_from(SPELLED), TEXT, TEXT, st.sampled_from(["caller", "callee"]))
def test_a_line_is_the_same_but_for_the_number(
    text: str, name: str, other: str, party: str
) -> None:
    attempt = call(
        "a", **{party: text, f"{party}_e164": "+33612345678"}, note=other, attestation=name
    )
    line = encode(attempt)[:-1]
    better = erased_line(line, MINE)
    assert better is not None
    assert len(better) == len(line)
    assert erased_line(better, MINE) is None
    found, whole = decode(better), decode(line)
    assert isinstance(found, Attempt)
    assert isinstance(whole, Attempt)
    expected = bare(whole) | {party: ERASED, f"{party}_e164": ""}
    if MINE.stands_in(whole.note):
        expected["note"] = ERASED
    if MINE.stands_in(whole.attestation):
        expected["attestation"] = ERASED
    assert bare(found) == expected


@given(st.text(alphabet="0123456789+ -.()%a;", max_size=40))
def test_the_quick_no_is_never_wrong(text: str) -> None:
    if MINE.stands_in(text):
        assert MINE.may_stand_in(encode(call("a", note=text)))
    if MINE.whole_in(text):
        assert MINE.stands_in(text)
