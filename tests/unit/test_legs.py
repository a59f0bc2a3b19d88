"""Legs out of the events of both PBXs, and which of them somebody has asked about."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.pbx.legs import (
    Leg,
    dialled_number,
    is_whole,
    needs_verdict,
    of_asterisk,
    of_freeswitch,
    trunk_of,
)
from gateway.protocols.esl_headers import Headers
from tests.fakes.ami import dial_begin
from tests.fakes.event_socket import block, leg
from tests.support.guards import policy

PLAN = NumberPlan.build(region="FR", extensions=["[1-8]xxx"], emergency_region="FR")


def event(text: str) -> dict[str, Any]:
    """An event as panoramisk gives it: what comes more than once is a list."""
    found: dict[str, Any] = {}
    for line in text.split("\n"):
        name, separator, value = line.partition(": ")
        if separator and name in found:
            before = found[name]
            found[name] = [*before, value] if isinstance(before, list) else [before, value]
        elif separator:
            found[name] = value
    return found


def going_to(callee: str, marked: str = "", trunk: str = "") -> Leg:
    call = Call(direction=Direction.OUTBOUND, caller="", callee=callee, at=1.0, trunk=trunk)
    return Leg(call, marked)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0612999002@carrier", "0612999002"),
        ("carrier/0612999002", "0612999002"),
        ("carrier/sip:0612999002@192.0.2.1:5060", "0612999002"),
        ("carrier/sip:+33612999002;user=phone@host", "+33612999002"),
        ("sip:0612@host", "0612"),
        ("g1/0612999002", "0612999002"),
        ("0612999002@carrier&1001", "0612999002"),
        ("1001", ""),
        ("", ""),
    ],
)
def test_the_number_in_a_dial_string(text: str, number: str) -> None:
    assert dialled_number(text) == number


@given(st.text())
def test_any_dial_string_has_a_number_or_none(text: str) -> None:
    assert "@" not in dialled_number(text)


@pytest.mark.parametrize(
    ("callee", "marked", "needs"),
    [
        ("0612999002", "", True),
        ("0612999002", "+33612999002", False),
        ("+33612999002", "+33612999002", False),
        ("0033612999002", "+33612999002", False),
        ("0612999002", "+33612999003", True),
        ("0612999002", "0612999002", False),
        ("112", "112", False),
        ("112", "", True),
        ("1001", "", False),
        ("1001", "+33612999002", False),
        ("", "", True),
        ("ann", "", True),
    ],
)
def test_a_leg_needs_a_verdict_unless_it_is_marked_for_its_number(
    callee: str, marked: str, needs: bool
) -> None:
    assert needs_verdict(going_to(callee, marked), PLAN) is needs


def test_the_trunk_is_the_way_out_where_the_policy_knows_it() -> None:
    assert trunk_of(going_to("1", trunk="carrier"), policy(), "other") == "carrier"
    assert trunk_of(going_to("1", trunk="unknown"), policy(), "other") == "other"


def test_a_leg_of_asterisk_has_caller_callee_and_ids() -> None:
    begun = event(dial_begin("0612@carrier", caller="1001", mark="+336"))
    found = of_asterisk(begun, at=5.0)
    assert found is not None
    assert found.marked == "+336"
    assert (found.call.caller, found.call.callee, found.call.trunk) == ("1001", "0612", "carrier")
    assert (found.call.channel_id, found.call.at) == ("1795368179.1", 5.0)


def test_a_mark_that_stands_there_twice_with_two_values_is_none() -> None:
    begun = event(dial_begin("0612@carrier", mark="+336"))
    begun["DestChanVariable"] += ["CALLGATE_FOR=+337"]
    found = of_asterisk(begun, at=5.0)
    assert found is not None
    assert found.marked == ""


def test_without_channelvars_there_is_no_mark() -> None:
    begun = event(dial_begin("0612@carrier", mark="+336"))
    del begun["DestChanVariable"]
    found = of_asterisk(begun, at=5.0)
    assert found is not None
    assert found.marked == ""


WHOLE = event(dial_begin("0612@carrier", caller="1001"))


@pytest.mark.parametrize("name", [name for name in WHOLE if "ChanVariable" not in name])
def test_an_event_that_lacks_a_line_or_has_it_twice_is_not_whole(name: str) -> None:
    if name in ("Event", "Privilege"):
        return
    lacking = {key: value for key, value in WHOLE.items() if key != name}
    for broken in (lacking, WHOLE | {name: ["a", "b"]}):
        with pytest.raises(ValueError, match="not whole"):
            of_asterisk(broken, at=5.0)


@given(st.text(alphabet="\r\n: abcDEevnstUil-0123456789.@", max_size=79), st.booleans())
def test_no_caller_can_write_a_whole_event(number: str, cut: bool) -> None:
    """79 bytes are what Asterisk leaves of the user of From."""
    blocks = dial_begin("0612@carrier", caller=number).replace("\r\n", "\n").split("\n\n")
    if len(blocks) == 1:
        return
    for text in blocks[: 1 if cut else None]:
        told = event(text)
        assert not (is_whole(told) and is_whole(told, "Dest"))


def test_a_forged_hangup_is_not_whole_when_the_real_event_completes_it() -> None:
    """Seen on Asterisk 22.10.1: From ends in ``CallerIDNum: ``, and its own lines follow."""
    empty = ("Channel", "ChannelState", "ChannelStateDesc", "CallerIDNum")
    lines = "\r\n".join(f"{name}: " for name in empty)
    forged = f"\r\n\r\nEvent: Hangup\r\n{lines}"
    assert len(forged) == 79
    told = dial_begin("0612@carrier", caller=forged).replace("\r\n", "\n")
    assert not any(is_whole(event(block)) for block in told.split("\n\n"))


def test_a_leg_of_freeswitch_has_its_facts() -> None:
    told = leg("0612", CALLGATE_FOR="+336") | {"Other-Leg-Unique-ID": "other"}
    found = of_freeswitch(Headers(block(told)), at=5.0)
    assert found is not None
    assert found.marked == "+336"
    assert (found.call.callee, found.call.trunk) == ("0612", "carrier")
    assert (found.call.linked_id, found.call.pbx) == ("other", "freeswitch")


def test_a_control_character_in_a_number_is_hostile() -> None:
    assert going_to("06\n12").hostile
    assert not going_to("0612").hostile
