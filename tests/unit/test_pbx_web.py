"""What a PBX sends over HTTP, and what it is told: a call, a block, or the author's own mistake."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import parse_qsl, quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import asterisk, variables
from gateway.pbx.request import Refused, ScreenRequest
from gateway.pbx.web import (
    MAX_TEXT,
    BadBody,
    Facts,
    form_answer,
    json_answer,
    read_form,
    read_json,
)
from gateway.policy.model import Action, Reason, Verdict

AT = 1795362711.5
BLOCK = Verdict(
    action=Action.BLOCK,
    reason=Reason.LIST,
    revision="r",
    list="nuisance",
    entry="+33162",
    response=603,
    number="+33162000000",
)
ALLOW = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r")
NORMAL = {"direction": "inbound", "caller": "+33162000000", "callee": "+33140000000"}
CALL = Call(direction=Direction.INBOUND, caller="+33162000000", callee="+33140000000", at=AT)
text = st.text(st.characters(blacklist_categories=["Cs"]), max_size=40)


def json_of(**facts: object) -> bytes:
    return msgspec.json.encode({**NORMAL, **facts})


def form_of(**facts: str) -> bytes:
    """As a dialplan writes it, each fact through URIENCODE."""
    encoded = {name: quote(value, safe="-_.!~*'()") for name, value in {**NORMAL, **facts}.items()}
    return "&".join(f"{name}={value}" for name, value in encoded.items()).encode()


def screened(request: ScreenRequest | Refused) -> ScreenRequest:
    assert isinstance(request, ScreenRequest), request
    return request


def refusal(request: ScreenRequest | Refused) -> Refused:
    assert isinstance(request, Refused), request
    return request


def test_a_json_body_is_the_call_that_it_describes() -> None:
    assert screened(read_json(json_of(), at=AT)) == ScreenRequest(CALL)


def test_every_fact_of_a_json_body_is_kept() -> None:
    texts = {name: name for name in Facts.__struct_fields__ if name not in ("report", "direction")}
    texts["presentation"] = "restricted"
    request = screened(read_json(json_of(**texts, report=True), at=AT))
    assert request.report
    expected = {**texts, "presentation": Presentation.RESTRICTED}
    assert {name: getattr(request.call, name) for name in expected} == expected


def test_a_party_without_a_number_is_legal_and_said_so() -> None:
    assert screened(read_json(json_of(caller=""), at=AT)).call.caller == ""
    assert screened(read_form(form_of(caller=""), at=AT)).call.caller == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"inbound"',
        b"{" * 100_000,
        b'{"direction": "inbound", "caller": "1"}',
        json_of(direction="sideways"),
        json_of(calee="+33140000000"),
        json_of(caller=33162000000),
        json_of(caller=None),
        json_of(presentation="hidden"),
        json_of(report="yes"),
    ],
)
def test_json_that_describes_no_call_is_no_decision(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_json(body, at=AT)


@pytest.mark.parametrize("field", ["caller", "callee", "trunk", "caller_name", "channel_id"])
def test_a_text_that_is_too_long_is_hostile_and_recorded_as_far_as_it_may_be(field: str) -> None:
    found = refusal(read_json(json_of(**{field: "1" * (MAX_TEXT + 1)}), at=AT))
    assert found.why == f"more than {MAX_TEXT} characters in {field}"
    assert getattr(found.call, field) == "1" * MAX_TEXT
    assert screened(read_json(json_of(**{field: "1" * MAX_TEXT}), at=AT))


@pytest.mark.parametrize("field", ["caller", "callee", "trunk", "caller_name", "channel_id"])
def test_a_control_character_is_hostile_whatever_it_came_in(field: str) -> None:
    value = "+33\n162"
    assert refusal(read_json(json_of(**{field: value}), at=AT)).call.direction is Direction.INBOUND
    assert refusal(read_form(form_of(**{field: value}), at=AT)).call.pbx == "asterisk"


def test_bytes_that_are_no_utf_8_are_hostile_but_in_a_name() -> None:
    body = json_of(caller_name="J", linked_id="1.0")
    assert screened(read_json(body.replace(b'"J"', b'"J\xe9"'), at=AT)).call.caller_name
    assert "linked_id" in refusal(read_json(body.replace(b"1.0", b"1\xe9"), at=AT)).why


def test_a_form_is_the_call_that_it_describes() -> None:
    request = screened(
        read_form(
            form_of(
                trunk="carrier",
                campaign="spring-sale",
                presentation="prohib_not_screened",
                extension="1001",
                channel_id="1795355320.0",
                linked_id="1795355319.9",
                caller_name="A & B=C/D, E+F",
                attestation="A",
                mode="report",
            ),
            at=AT,
        )
    )
    assert request == ScreenRequest(
        Call(
            direction=Direction.INBOUND,
            caller="+33162000000",
            callee="+33140000000",
            at=AT,
            trunk="carrier",
            campaign="spring-sale",
            extension="1001",
            pbx="asterisk",
            channel_id="1795355320.0",
            linked_id="1795355319.9",
            presentation=Presentation.RESTRICTED,
            caller_name="A & B=C/D, E+F",
            attestation="A",
        ),
        report=True,
    )


def test_a_plus_that_nobody_encoded_is_a_plus() -> None:
    body = b"direction=inbound&caller=+33162000000&callee=+33140000000"
    assert screened(read_form(body, at=AT)).call.caller == "+33162000000"


def test_the_path_of_fastagi_is_a_call_too() -> None:
    path = asterisk.screen_path("outbound", "carrier", "", "1001", "0612", id="1.0", key="s3cret")
    request = screened(read_form(f"call={path}&channel_id=2.0".encode(), at=AT))
    assert request == asterisk.read_request(path, at=AT, channel_id="2.0")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"direction=inbound&caller=1",
        b"direction=&caller=1&callee=2",
        b"direction=sideways&caller=1&callee=2",
        b"direction=inbound&caller=1&callee=2&mode=perhaps",
        b"call=probe",
        b"call=entry/block/0612",
    ],
)
def test_a_form_that_its_author_got_wrong_is_no_decision(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_form(body, at=AT)


@pytest.mark.parametrize(
    "smuggled",
    [
        "&caller=%2B336",
        "&shape=round",
        "&",
        "%0A",
        "%",
        "%FF",
        "&call=screen/inbound",
        "\n",
        "\xe9",
    ],
)
def test_what_a_caller_can_smuggle_into_a_form_is_hostile(smuggled: str) -> None:
    body = form_of() + smuggled.encode("latin-1")
    assert refusal(read_form(body, at=AT)).call.direction is Direction.INBOUND


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_hostile_or_a_mistake(body: bytes) -> None:
    for read in (read_form, read_json):
        with contextlib.suppress(BadBody):
            assert isinstance(read(body, at=AT), ScreenRequest | Refused)


@given(st.fixed_dictionaries(dict.fromkeys(("caller", "callee", "caller_name"), text)))
def test_a_form_says_what_json_says(facts: dict[str, str]) -> None:
    by_json, by_form = read_json(json_of(**facts), at=AT), read_form(form_of(**facts), at=AT)
    assert type(by_json) is type(by_form)
    if isinstance(by_json, ScreenRequest):
        calls = (by_json.call, by_form.call)
        assert len({(call.caller, call.callee, call.caller_name) for call in calls}) == 1


def test_a_block_is_told_in_json() -> None:
    told = json_answer(BLOCK, "a-1")
    assert msgspec.to_builtins(told) == {
        "verdict": "block",
        "response": 603,
        "cause": 16,
        "reason": "list",
        "list": "nuisance",
        "entry": "+33162",
        "number": "+33162000000",
        "attempt": "a-1",
    }


def test_an_allowed_call_has_neither_response_nor_cause() -> None:
    told = json_answer(ALLOW, "a-1")
    assert (told.verdict, told.response, told.cause, told.list) == ("allow", None, None, "")


def test_the_cause_is_that_of_the_pbx() -> None:
    told = json_answer(BLOCK, "a-1", pbx="freeswitch")
    assert (told.response, told.cause) == (603, 21)


def test_every_variable_is_in_the_answer_to_a_form_also_an_empty_one() -> None:
    pairs = parse_qsl(form_answer(ALLOW, "a-1"), keep_blank_values=True)
    assert [name for name, _ in pairs] == list(variables.ANSWERED)
    assert dict(pairs)["CALLGATE_VERDICT"] == "allow"
    assert dict(pairs)["CALLGATE_RESPONSE"] == ""


def test_the_answer_to_a_form_is_what_asterisk_would_be_told_by_fastagi() -> None:
    pairs = dict(parse_qsl(form_answer(BLOCK, "a-1")))
    assert pairs == asterisk.answer(BLOCK, "a-1")


@given(text, text)
def test_no_answer_to_a_form_holds_what_a_dialplan_would_stumble_over(
    name: str, entry: str
) -> None:
    verdict = Verdict(
        action=Action.BLOCK, reason=Reason.LIST, revision="r", list=name, entry=entry, response=603
    )
    assert re.fullmatch(r"[A-Za-z0-9_.%&=~-]*", form_answer(verdict, "a-1"))
