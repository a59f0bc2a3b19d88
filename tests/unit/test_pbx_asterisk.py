"""Asterisk's URL to a call and a verdict to variables: the URL is hostile or understood whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import variables
from gateway.pbx.asterisk import (
    CAUSES,
    EntryRequest,
    ProbeRequest,
    answer,
    command,
    read_request,
    refused,
    screen_path,
    status,
)
from gateway.pbx.request import Refused, ScreenRequest
from gateway.pbx.variables import clean
from gateway.policy.model import Action, Reason, Verdict
from gateway.policy.terms import Response
from gateway.protocols.agi import AgiServer, Hostile
from gateway.protocols.agi_command import mset
from gateway.protocols.agi_environment import Request

VECTORS = Path(__file__).parent.parent / "vectors" / "agi"
AT = 1795362711.5
BASE = "screen/inbound/t5/-/%2B1555/%2B33140000000/allowed_not_screened"


def path_of(capture: str) -> str:
    server = AgiServer()
    server.receive((VECTORS / f"{capture}.env.bin").read_bytes())
    event = server.next_event()
    assert isinstance(event, Request | Hostile)
    return event.path


def screened(path: str) -> ScreenRequest:
    request = read_request(path, at=AT, channel_id="1.0")
    assert isinstance(request, ScreenRequest), request
    return request


def refusal(path: str) -> Refused:
    request = read_request(path, at=AT, channel_id="1.0")
    assert isinstance(request, Refused), request
    return request


@pytest.mark.parametrize(
    ("capture", "caller", "presentation"),
    [
        ("url-normal", "+15551234567", Presentation.ALLOWED),
        ("url-anonymous", "anonymous", Presentation.ALLOWED),
        ("url-pai-privacy", "+15559876543", Presentation.RESTRICTED),
        ("url-punctuation", '+1,555"(a) b', Presentation.ALLOWED),
    ],
)
def test_a_captured_call_is_read_whole(
    capture: str, caller: str, presentation: Presentation
) -> None:
    assert screened(path_of(capture)) == ScreenRequest(
        Call(
            direction=Direction.INBOUND,
            caller=caller,
            callee="+33140000000",
            at=AT,
            trunk="t5",
            presentation=presentation,
            pbx="asterisk",
            channel_id="1.0",
        )
    )


def test_the_forged_capture_is_hostile_and_its_callee_is_kept() -> None:
    call = refusal(path_of("url-forged-environment")).call
    assert call.callee == "+33140000000"
    assert call.trunk == "t5"
    assert call.caller.startswith("%2B1%0Aagi_threadid")


def test_every_option_lands_in_its_place() -> None:
    request = screened(
        BASE + "/ext=101/id=17.5/name=Jos%C3%A9/attest=A/key=s%2Fecret/mode=report/outage=open"
    )
    call = request.call
    assert (request.key, request.report) == ("s/ecret", True)
    assert (call.extension, call.linked_id) == ("101", "17.5")
    assert (call.caller_name, call.attestation) == ("José", "A")


def test_empty_and_dash_are_no_trunk_and_no_campaign() -> None:
    for blank in ("", "-"):
        call = screened(f"screen/outbound/{blank}/{blank}/101/0140000000/allowed").call
        assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("allowed", Presentation.ALLOWED),
        ("allowed_passed_screen", Presentation.ALLOWED),
        ("prohib", Presentation.RESTRICTED),
        ("prohib_failed_screen", Presentation.RESTRICTED),
        ("unavailable", Presentation.UNAVAILABLE),
        ("unknown", Presentation.ALLOWED),
        ("", Presentation.ALLOWED),
    ],
)
def test_the_presentation_is_that_of_callerid_pres(text: str, expected: Presentation) -> None:
    assert screened(f"screen/inbound/t5/-/1/2/{text}").call.presentation is expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "screen",
        "screen/inbound/t5/-/1/2",
        "screen/sideways/t5/-/1/2/allowed",
        "screen/Inbound/t5/-/1/2/allowed",
        "/" + BASE,
        BASE + "/",
        BASE + "/ext",
        BASE + "/colour=red",
        BASE + "/ext=1/ext=2",
        BASE + "/mode=dry",
        *(f"screen/inbound/t5/-/{bad}/2/allowed" for bad in ("%", "%4", "%zz", "%+1", "1%")),
        *(f"screen/inbound/t5/-/{bad}/2/allowed" for bad in ("%0A", "%0d", "%00", "%7F", "%1b")),
        *(f"screen/inbound/t5/-/{bad}/2/allowed" for bad in ("%FF", "%C3", "%ED%A0%80", "\t")),
        *(f"screen/inbound/{bad}/-/1/2/allowed" for bad in ("%0A", "%FF", "%")),
        BASE + "/name=a%0Ab",
        BASE + "/ext=%FF",
        "probe/x",
        "Probe",
        "entry",
        "entry/block",
        "entry/wipe/1",
        "entry/block/%0A",
        "entry/block/1/colour=red",
    ],
)
def test_what_no_shipped_dialplan_writes_is_hostile(path: str) -> None:
    assert refusal(path).why


def test_a_name_in_latin1_is_recorded_and_harms_nobody() -> None:
    assert screened(BASE + "/name=Jos%E9").call.caller_name == "Jos\N{REPLACEMENT CHARACTER}"


def test_a_refusal_keeps_what_can_be_read_and_encodes_the_rest() -> None:
    call = refusal("screen/outbound/t%20x/c1/%FF/%2B33/prohib/bad").call
    assert call.direction is Direction.OUTBOUND
    assert (call.trunk, call.campaign, call.caller) == ("t x", "c1", "%FF")
    assert (call.callee, call.presentation) == ("+33", Presentation.RESTRICTED)
    assert (call.pbx, call.channel_id, call.at) == ("asterisk", "1.0", AT)


def test_a_refusal_without_a_url_is_an_inbound_call_of_nobody() -> None:
    refusal = refused("", "why", at=AT)
    assert refusal.call == Call(
        direction=Direction.INBOUND, caller="", callee="", at=AT, pbx="asterisk"
    )


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("entry/block/0162000000", EntryRequest("block", "0162000000")),
        ("entry/unblock/%2B33/by=101/key=k", EntryRequest("unblock", "+33", "101", "k")),
        ("entry/block/1//key=k", EntryRequest("block", "1", "", "k")),
        ("entry/block//key=k", EntryRequest("block", "", "", "k")),
        ("entry/block/1/by=/key=", EntryRequest("block", "1")),
    ],
)
def test_a_star_code_is_read(path: str, expected: EntryRequest) -> None:
    assert read_request(path, at=AT) == expected


def test_a_probe_is_read() -> None:
    assert read_request("probe", at=AT) == ProbeRequest()


CHARACTERS = st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\x7f")
TEXT = st.text(CHARACTERS)


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_what_a_dialplan_encodes_is_what_is_read(
    trunk: str, campaign: str, caller: str, callee: str, name: str
) -> None:
    path = screen_path("outbound", trunk, campaign, caller, callee, "prohib", name=name)
    call = screened(path).call
    assert call.trunk == ("" if trunk == "-" else trunk)
    assert call.campaign == ("" if campaign == "-" else campaign)
    assert (call.caller, call.callee, call.caller_name) == (caller, callee, name)


@given(st.one_of(st.text(), st.text("screnboudity/%-+=0123456789ABCDEFallow")))
def test_reading_is_total(path: str) -> None:
    assert read_request(path, at=AT) is not None
    assert isinstance(refused(path, "why", at=AT).call, Call)


@given(st.text("0A%FfzC3/"))
def test_a_decoded_part_holds_no_control_character(part: str) -> None:
    request = read_request(f"screen/inbound/t/-/{part}/2/allowed", at=AT)
    if isinstance(request, ScreenRequest):
        assert not any(ord(char) < 32 or ord(char) == 127 for char in request.call.caller)


def block(response: int, reason: Reason = Reason.LIST) -> Verdict:
    return Verdict(
        action=Action.BLOCK,
        reason=reason,
        revision="0123456789ab+0",
        list="nuisance",
        entry="+33162",
        response=response,
        number="+33162000000",
        note="told us ${system(x)}",
    )


def test_a_block_is_told_with_all_that_a_dialplan_needs() -> None:
    assert answer(block(603), "0p-1") == {
        variables.VERDICT: "block",
        variables.RESPONSE: "603",
        variables.CAUSE: "16",
        variables.REASON: "list",
        variables.LIST: "nuisance",
        variables.ENTRY: "+33162",
        variables.NUMBER: "+33162000000",
        variables.ATTEMPT: "0p-1",
    }


def test_an_allow_has_neither_response_nor_cause() -> None:
    allow = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r", response=603)
    assert answer(allow, "0p-1") == {
        variables.VERDICT: "allow",
        variables.REASON: "default",
        variables.ATTEMPT: "0p-1",
    }


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        *((603, 16), (403, 21), (486, 17), (480, 19), (404, 1), (433, 16), (607, 16), (608, 16)),
        *((410, 22), (484, 28), (488, 58), (500, 38), (501, 29), (502, 27), (503, 34), (600, 16)),
    ],
)
def test_the_cause_makes_asterisk_send_the_response(response: int, cause: int) -> None:
    told = answer(block(response), "1")
    assert (told[variables.RESPONSE], told[variables.CAUSE]) == (str(response), str(cause))


@pytest.mark.parametrize("response", [0, 200, 302, 399, 401, 407, 408, 487, 700, -1])
def test_a_response_that_must_never_be_sent_becomes_603(response: int) -> None:
    told = answer(block(response), "1")
    assert (told[variables.RESPONSE], told[variables.CAUSE]) == ("603", "16")


def test_what_may_be_written_as_a_response_is_what_is_sent() -> None:
    for number in range(300, 800):
        try:
            written = TypeAdapter(Response).validate_python(str(number)).status
        except ValidationError:
            written = 603
        assert answer(block(number), "1")[variables.RESPONSE] == str(written)


def test_every_cause_of_the_map_is_sent_by_asterisk_as_its_own_status() -> None:
    assert len(set(CAUSES.values())) == len(CAUSES)
    assert 16 not in CAUSES.values()


@given(st.text(), st.text(), st.text(), st.integers(), st.sampled_from(Reason))
def test_an_answer_can_always_be_sent(
    entry: str, number: str, attempt: str, response: int, reason: Reason
) -> None:
    verdict = Verdict(
        action=Action.BLOCK,
        reason=reason,
        revision="",
        list=entry,
        entry=entry,
        number=number,
        response=response,
    )
    assert mset(answer(verdict, attempt)).endswith(b'"\n')


@given(st.text())
def test_clean_keeps_only_what_may_be_sent(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 80
    assert clean(cleaned) == cleaned
    assert set(cleaned) <= set(text)
    mset({"A": cleaned})


def test_clean_drops_what_would_run_on_a_pbx() -> None:
    assert clean("${system(rm -rf /)}\n+33 1") == "systemrm -rf +33 1"
    assert clean("x" * 100) == "x" * 80


def test_a_star_code_is_answered_with_its_status() -> None:
    assert status("added") == {variables.STATUS: "added"}


TEXTS = st.text(max_size=90) | st.from_regex(r"[A-Za-z0-9+._ -]{0,90}", fullmatch=True)


@given(
    action=st.sampled_from(Action),
    reason=st.sampled_from(Reason),
    response=st.sampled_from([0, 200, 403, 407, 603, 699, 700]),
    name=TEXTS,
    entry=TEXTS,
    number=TEXTS,
    attempt_id=TEXTS,
)
def test_a_command_is_what_mset_makes_of_the_answer(
    action: Action,
    reason: Reason,
    response: int,
    name: str,
    entry: str,
    number: str,
    attempt_id: str,
) -> None:
    verdict = Verdict(
        action=action,
        reason=reason,
        revision="r",
        list=name,
        entry=entry,
        response=response,
        number=number,
    )
    assert command(verdict, attempt_id) == mset(answer(verdict, attempt_id))


@given(
    st.lists(
        st.sampled_from(["%2B", "%", "2B", "%25", "+", "é", "%C3%A9", "\x7f", "1", "/", "\xad"])
    )
)
def test_the_escape_of_a_plus_is_decoded_as_every_other_one(parts: list[str]) -> None:
    """``%2b`` says the same as ``%2B``, and does not take the short way."""
    tail = "".join(parts)
    path = f"screen/inbound/t5/-/%2B1/{tail}/allowed/name=%2B"
    assert read_request(path, at=AT) == read_request(path.replace("%2B", "%2b"), at=AT) or (
        isinstance(read_request(path, at=AT), Refused)
        and isinstance(read_request(path.replace("%2B", "%2b"), at=AT), Refused)
    )
