"""FreeSWITCH's channel data to a call and a verdict to variables: understood whole or hostile."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import variables
from gateway.pbx.asterisk import answer as asterisk_answer
from gateway.pbx.freeswitch import CAUSES, answer, command, read_request, refused
from gateway.pbx.request import Refused, ScreenRequest, has_control
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.esl import EslReader, Message
from gateway.protocols.esl_command import multiset
from gateway.protocols.esl_headers import Headers
from tests.fakes.freeswitch import channel_data

AT = 1795362711.5
INBOUND = {"callgate_direction": "inbound", "callgate_trunk": "t5"}
NORMAL = Call(
    direction=Direction.INBOUND,
    caller="+15551234567",
    callee="+33123456789",
    at=AT,
    trunk="t5",
    pbx="freeswitch",
    channel_id="afb9b8f7-4d3b-4291-8d86-2d628192a215",
    linked_id="afb9b8f7-4d3b-4291-8d86-2d628192a215",
    caller_name="Joe",
)


def message(data: bytes, size: int = 65536) -> Message:
    reader = EslReader()
    for start in range(0, len(data), size):
        reader.receive(data[start : start + size])
    found = reader.next_message()
    assert found is not None
    assert not reader.begun
    return found


def screened(data: bytes, size: int = 65536) -> ScreenRequest:
    request = read_request(message(data, size), at=AT)
    assert isinstance(request, ScreenRequest), request
    return request


def refusal(data: bytes) -> Refused:
    request = read_request(message(data), at=AT)
    assert isinstance(request, Refused), request
    return request


@pytest.mark.parametrize("size", [4096, 128, 16, 1])
@pytest.mark.parametrize(
    ("capture", "caller", "callee", "name", "presentation"),
    [
        ("normal", "+15551234567", "+33123456789", "Joe", Presentation.ALLOWED),
        ("anonymous", "anonymous", "+33123456789", "Anonymous", Presentation.ALLOWED),
        ("pai-privacy", "+15559876543", "+33123456789", "Anonymous", Presentation.RESTRICTED),
        ("diversion", "+15551234567", "+33123456789", "J. D", Presentation.ALLOWED),
        ("national", "0033987654321", "0123456789", "0033987654321", Presentation.ALLOWED),
    ],
)
def test_a_captured_call_is_read_whole(
    capture: str, caller: str, callee: str, name: str, presentation: Presentation, size: int
) -> None:
    call = screened(channel_data(capture, INBOUND), size).call
    assert len(call.channel_id) == len(call.linked_id) == 36
    assert replace(call, channel_id="", linked_id="") == replace(
        NORMAL,
        caller=caller,
        callee=callee,
        caller_name=name,
        presentation=presentation,
        channel_id="",
        linked_id="",
    )


def test_the_forged_capture_is_hostile_and_its_direction_stays_the_dialplans() -> None:
    call = refusal(channel_data("newline-injection", INBOUND)).call
    assert (call.direction, call.callee, call.trunk) == (Direction.INBOUND, "+33123456789", "t5")
    assert call.caller == "%2B1555%0Avariable_callgate_direction%3A%20outbound"


def test_a_capture_that_no_dialplan_of_ours_prepared_is_refused() -> None:
    refused = refusal(channel_data("normal"))
    assert refused.why == "no direction"
    assert refused.call.callee == "+33123456789"


def test_every_variable_lands_in_its_place() -> None:
    request = screened(
        channel_data(
            "normal",
            callgate_direction="outbound",
            callgate_trunk="gw",
            callgate_campaign="sale",
            callgate_extension="101",
            callgate_caller="+33140000000",
            callgate_callee="0162 5",
            callgate_key="s/ecret",
            headers={"Other-Leg-Unique-ID": "a-leg"},
        )
    )
    call = request.call
    assert (request.key, request.report) == ("s/ecret", False)
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "gw", "sale")
    assert (call.caller, call.callee, call.extension) == ("+33140000000", "0162 5", "101")
    assert call.linked_id == "a-leg"


@pytest.mark.parametrize(
    ("path", "scopes"),
    [
        ("inbound", ("inbound", "", "")),
        ("outbound/gw", ("outbound", "gw", "")),
        ("outbound/-/sale", ("outbound", "", "sale")),
        ("inbound/t5/sale", ("inbound", "t5", "sale")),
        ("inbound//", ("inbound", "", "")),
    ],
)
def test_the_path_of_the_socket_says_the_same(path: str, scopes: tuple[str, str, str]) -> None:
    call = screened(channel_data("normal", socket_path=path)).call
    assert (call.direction.value, call.trunk, call.campaign) == scopes


def test_a_variable_wins_over_the_path() -> None:
    call = screened(
        channel_data(
            "normal",
            socket_path="inbound/t5/sale",
            callgate_direction="outbound",
            callgate_trunk="-",
            callgate_campaign="_undef_",
        )
    ).call
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "", "sale")


@pytest.mark.parametrize("path", ["chk", "Inbound/t5", "inbound/t5/sale/more", "/inbound", ""])
def test_a_path_that_is_not_ours_says_nothing(path: str) -> None:
    assert refusal(channel_data("normal", socket_path=path)).why == "no direction"
    call = screened(channel_data("normal", INBOUND, socket_path=path)).call
    assert call.trunk == "t5"


@pytest.mark.parametrize("direction", ["sideways", "Inbound", "inbound ", "-", "in\nbound"])
def test_an_illegal_direction_is_refused_whatever_the_path_says(direction: str) -> None:
    data = channel_data("normal", callgate_direction=direction, socket_path="inbound")
    assert refusal(data).call.direction is Direction.INBOUND


@pytest.mark.parametrize("value", ["inbound", "outbound"])
def test_call_direction_is_never_believed(value: str) -> None:
    headers = {"Call-Direction": value, "Caller-Direction": value, "variable_direction": value}
    call = screened(channel_data("normal", INBOUND, headers=headers)).call
    assert call.direction is Direction.INBOUND
    assert refusal(channel_data("normal", headers=headers)).why == "no direction"


def test_a_leg_before_its_invite_is_outbound_on_its_gateway() -> None:
    call = screened(channel_data("originate-leg")).call
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, "trunk2", "")
    assert (call.caller, call.callee) == ("", "33123456789")


@pytest.mark.parametrize(
    ("settings", "trunk", "campaign"),
    [
        ({"callgate_trunk": "us"}, "us", ""),
        ({"callgate_trunk": "-"}, "", ""),
        ({"socket_path": "outbound/us/sale"}, "us", "sale"),
        ({"socket_path": "outbound"}, "trunk2", ""),
        ({"callgate_direction": "inbound", "callgate_campaign": "sale"}, "trunk2", "sale"),
    ],
)
def test_a_leg_can_be_told_its_trunk_but_no_other_direction(
    settings: dict[str, str], trunk: str, campaign: str
) -> None:
    call = screened(channel_data("originate-leg", settings)).call
    assert (call.direction, call.trunk, call.campaign) == (Direction.OUTBOUND, trunk, campaign)


def test_a_refused_leg_counts_as_outbound() -> None:
    data = channel_data("originate-leg", callgate_direction="sideways")
    assert refusal(data).call.direction is Direction.OUTBOUND


DECIDING = (
    "Caller-Caller-ID-Number",
    "Caller-Destination-Number",
    "variable_callgate_caller",
    "variable_callgate_callee",
    "variable_callgate_trunk",
    "variable_callgate_campaign",
    "variable_callgate_direction",
    "variable_callgate_extension",
    "variable_socket_path",
    "Unique-ID",
)


@pytest.mark.parametrize(
    "value", [b"1%0A2", b"1%0d", b"%00", b"%7F", b"%1b", b"%FF", b"1\xff", b"\r"]
)
@pytest.mark.parametrize("name", DECIDING)
def test_a_fact_that_no_honest_call_has_is_hostile(name: str, value: bytes) -> None:
    found = refusal(channel_data("normal", _without(name), headers={name: value}))
    assert name in found.why
    call = found.call
    facts = (call.caller, call.callee, call.trunk, call.campaign, call.channel_id, call.extension)
    assert not any(map(has_control, facts))


def _without(name: str) -> dict[str, str]:
    return {key: value for key, value in INBOUND.items() if f"variable_{key}" != name}


def test_a_newline_in_a_name_is_hostile_and_latin1_is_not() -> None:
    data = channel_data("normal", INBOUND, headers={"Caller-Caller-ID-Name": b"J%0Ao"})
    assert refusal(data).call.caller == "+15551234567"
    data = channel_data("normal", INBOUND, headers={"Caller-Caller-ID-Name": b"Jos%E9"})
    assert screened(data).call.caller_name == "Jos\N{REPLACEMENT CHARACTER}"


def test_an_empty_value_and_a_channel_without_a_caller_are_nobody() -> None:
    for number in ("_undef_", "", "0000000000", None):
        headers = {"Caller-Caller-ID-Number": number}
        assert screened(channel_data("normal", INBOUND, headers=headers)).call.caller == ""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ""),
        ({"sip_verstat": "TN-Validation-Passed"}, "TN-Validation-Passed"),
        (
            {"sip_verstat": "x", "sip_verstat_detailed": "TN-Validation-Passed-A"},
            "TN-Validation-Passed-A",
        ),
        ({"sip_identity": "eyJ..;info=<https://x>"}, "unverified"),
        ({"sip_verstat": "TN\nforged"}, ""),
    ],
)
def test_the_attestation_is_recorded_in_freeswitchs_words(
    settings: dict[str, str], expected: str
) -> None:
    assert screened(channel_data("normal", INBOUND | settings)).call.attestation == expected


def test_a_refusal_of_nothing_at_all_is_an_inbound_call_of_nobody() -> None:
    assert refused(Headers(b""), "why", at=AT) == Refused(
        "why", Call(direction=Direction.INBOUND, caller="", callee="", at=AT, pbx="freeswitch")
    )


CHARACTERS = st.characters(
    min_codepoint=32, exclude_categories=["Cs"], exclude_characters="\x7f\N{REPLACEMENT CHARACTER}%"
)
TEXT = st.text(CHARACTERS, min_size=1).filter(lambda text: text not in ("_undef_", "0000000000"))


@given(TEXT, TEXT, TEXT, TEXT, TEXT)
def test_what_freeswitch_encodes_is_what_is_read(
    trunk: str, campaign: str, caller: str, callee: str, name: str
) -> None:
    data = channel_data(
        "normal",
        headers={"Caller-Caller-ID-Number": caller, "Caller-Caller-ID-Name": name},
        callgate_direction="outbound",
        callgate_trunk=trunk,
        callgate_campaign=campaign,
        callgate_callee=callee,
    )
    call = screened(data).call
    assert call.trunk == ("" if trunk == "-" else trunk)
    assert call.campaign == ("" if campaign == "-" else campaign)
    assert (call.caller, call.callee, call.caller_name) == (caller, callee, name)


@given(st.binary())
def test_reading_is_total(block: bytes) -> None:
    channel = Headers(b"Event-Name: CHANNEL_DATA\nCaller-Caller-ID-Number: " + block)
    assert isinstance(read_request(channel, at=AT), Refused)
    call = refused(channel, "why", at=AT).call
    assert not has_control(call.caller)


@given(st.text())
def test_no_caller_can_become_another_header(text: str) -> None:
    data = channel_data(
        "normal",
        INBOUND,
        headers={"Caller-Caller-ID-Number": text, "Caller-Caller-ID-Name": text},
    )
    request = read_request(message(data), at=AT)
    assert (request.call.direction, request.call.trunk) == (Direction.INBOUND, "t5")
    assert request.call.callee == "+33123456789"


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
        variables.CAUSE: "21",
        variables.REASON: "list",
        variables.LIST: "nuisance",
        variables.ENTRY: "+33162",
        variables.NUMBER: "+33162000000",
        variables.ATTEMPT: "0p-1",
    }


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        *((603, 21), (403, 52), (486, 17), (480, 19), (404, 1), (433, 21), (607, 819), (608, 21)),
        *((410, 22), (484, 28), (488, 88), (501, 29), (502, 27), (503, 34), (600, 815)),
    ],
)
def test_the_cause_makes_freeswitch_send_the_response(response: int, cause: int) -> None:
    told = answer(block(response), "1")
    assert (told[variables.RESPONSE], told[variables.CAUSE]) == (str(response), str(cause))


def test_every_cause_of_the_map_is_sent_by_freeswitch_as_its_own_status() -> None:
    assert len(set(CAUSES.values())) == len(CAUSES)
    assert 21 not in CAUSES.values()


def test_no_variable_of_the_dialplan_is_one_of_ours_in_another_case() -> None:
    """FreeSWITCH looks variables up without regard to case."""
    read = {"direction", "trunk", "campaign", "extension", "caller", "callee", "key"}
    ours = {
        value.lower()
        for name, value in vars(variables).items()
        if name.isupper() and isinstance(value, str)
    }
    assert not {f"callgate_{name}" for name in read} & ours


@given(st.text(), st.text(), st.text(), st.integers(), st.sampled_from(Reason))
def test_an_answer_can_always_be_sent_and_runs_nothing(
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
    sent = multiset(answer(verdict, attempt))
    assert not set(b"${}[]\r\0\\'\"`;") & set(sent)
    assert sent.count(b"\n") == 5


def test_a_list_that_asks_for_603_plus_gets_it_on_freeswitch_alone() -> None:
    verdict = Verdict(
        action=Action.BLOCK,
        reason=Reason.LIST,
        revision="r",
        response=603,
        network_blocked=True,
    )
    assert answer(verdict, "a")[variables.RESPONSE] == "603+"
    assert asterisk_answer(verdict, "a")[variables.RESPONSE] == "603"
    assert multiset(answer(verdict, "a"))


TEXTS = st.text(max_size=90) | st.from_regex(r"[A-Za-z0-9+._ -]{0,90}", fullmatch=True)


@given(
    verdict=st.builds(
        Verdict,
        action=st.sampled_from(Action),
        reason=st.sampled_from(Reason),
        revision=st.just("r"),
        list=TEXTS,
        entry=TEXTS,
        response=st.sampled_from([0, 200, 403, 407, 603, 699, 700]),
        network_blocked=st.booleans(),
        number=TEXTS,
    ),
    attempt_id=TEXTS,
    leg=st.booleans(),
)
def test_a_command_is_what_multiset_makes_of_the_answer(
    verdict: Verdict, attempt_id: str, leg: bool
) -> None:
    assume(verdict.blocked or not verdict.network_blocked)
    told = answer(verdict, attempt_id)
    if leg and verdict.action is Action.ALLOW and verdict.number:
        told[variables.FOR] = told[variables.NUMBER]
    assert command(verdict, attempt_id, leg=leg) == multiset(told)
