"""mod_xml_curl's lookups: which are screened, as what call, and the document that they are told."""

from __future__ import annotations

import contextlib
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls import Call, Direction, Presentation
from gateway.pbx import variables
from gateway.pbx.request import Refused, ScreenRequest
from gateway.pbx.web import BadBody
from gateway.pbx.xml_curl import NOT_FOUND, Binding, document, read_binding, read_lookup
from gateway.policy.model import Action, Reason, Verdict
from gateway.protocols.esl_headers import Headers
from tests.fakes.freeswitch import channel_data

AT = 1795362711.5
UUID = "afb9b8f7-4d3b-4291-8d86-2d628192a215"
CONTEXTS = {"public": Direction.INBOUND, "default": Direction.OUTBOUND}
BINDING = Binding(CONTEXTS, next="screened", trunk="carrier")
NORMAL = Call(
    direction=Direction.INBOUND,
    caller="+15551234567",
    callee="+33123456789",
    at=AT,
    trunk="carrier",
    pbx="freeswitch",
    channel_id=UUID,
    linked_id=UUID,
    caller_name="Joe",
)
BLOCK = Verdict(
    action=Action.BLOCK,
    reason=Reason.LIST,
    revision="r",
    list="nuisance",
    entry="+33162",
    response=607,
    number="+33162000000",
)
ALLOW = Verdict(action=Action.ALLOW, reason=Reason.DEFAULT, revision="r", number="+33612000001")


def lookup(capture: str = "normal", **fields: str) -> bytes:
    """What mod_xml_curl posts: its own fields, the data of the channel, the caller profile."""
    channel = dict(Headers(channel_data(capture, {})).items())
    own = {"hostname": "pbx", "section": "dialplan", "tag_name": "", "key_name": ""}
    hunted = {
        "Hunt-Context": "public",
        "Hunt-Caller-ID-Name": channel["Caller-Caller-ID-Name"],
        "Hunt-Caller-ID-Number": channel["Caller-Caller-ID-Number"],
        "Hunt-Destination-Number": channel["Caller-Destination-Number"],
    }
    everything = {**own, **channel, **hunted, **fields}
    # switch_event_build_param_string: names as they are, values by switch_url_encode.
    pairs = (f"{name}={quote(value, safe='/')}" for name, value in everything.items())
    return "&".join(pairs).encode()


def call_of(body: bytes, binding: Binding = BINDING) -> Call:
    request = read_lookup(body, binding, at=AT)
    assert isinstance(request, ScreenRequest), request
    return request.call


def actions(text: str) -> list[tuple[str, str]]:
    found = ElementTree.fromstring(text).iter("action")
    return [(action.attrib["application"], action.attrib["data"]) for action in found]


def test_a_lookup_is_the_call_that_its_channel_describes() -> None:
    assert call_of(lookup()) == NORMAL


def test_a_withheld_caller_is_restricted() -> None:
    assert call_of(lookup("pai-privacy")).presentation is Presentation.RESTRICTED


def test_what_is_looked_up_is_what_is_hunted_and_not_what_was_called_first() -> None:
    moved = lookup(**{"Hunt-Destination-Number": "1001", "Hunt-Caller-ID-Number": "+336"})
    assert (call_of(moved).callee, call_of(moved).caller) == ("1001", "+336")


def test_the_context_says_the_direction_whatever_the_channel_says() -> None:
    outbound = lookup(**{"Hunt-Context": "default", "variable_callgate_direction": "inbound"})
    assert call_of(outbound).direction is Direction.OUTBOUND


def test_a_channel_says_the_direction_where_the_url_names_no_context() -> None:
    body = lookup(variable_callgate_direction="outbound")
    assert call_of(body, Binding()).direction is Direction.OUTBOUND


def test_a_channel_knows_its_trunk_and_campaign_better_than_the_url() -> None:
    body = lookup(variable_callgate_trunk="other", variable_callgate_campaign="spring-sale")
    assert (call_of(body).trunk, call_of(body).campaign) == ("other", "spring-sale")


@pytest.mark.parametrize(
    "fields",
    [
        {"section": "directory"},
        {"Hunt-Context": "screened"},
        {"Hunt-Context": "voicemail"},
        {"Hunt-Context": "screened", "variable_callgate_direction": "inbound"},
    ],
)
def test_what_nobody_wants_screened_is_none_of_our_business(fields: dict[str, str]) -> None:
    assert read_lookup(lookup(**fields), BINDING, at=AT) is None


@pytest.mark.parametrize("body", [b"", b"direction=inbound", b"section=dialplan"])
def test_what_is_no_lookup_is_no_decision(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_lookup(body, BINDING, at=AT)


def test_a_direction_that_nobody_says_is_not_guessed() -> None:
    with pytest.raises(BadBody, match="direction"):
        read_lookup(lookup(), Binding(next="screened"), at=AT)


@pytest.mark.parametrize("number", ["+336\n12", "+336\x00", "\udce9"])
def test_a_number_that_no_honest_caller_has_is_hostile(number: str) -> None:
    raw = quote(number.encode("utf-8", "surrogateescape"))
    body = lookup(**{"Hunt-Caller-ID-Number": "X"}).replace(b"=X", f"={raw}".encode())
    assert isinstance(read_lookup(body, BINDING, at=AT), Refused)


def test_no_value_can_forge_a_field() -> None:
    forged = "x&Hunt-Context=screened\nHunt-Context: screened"
    assert isinstance(read_lookup(lookup(variable_sip_h_x=forged), BINDING, at=AT), ScreenRequest)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_call_hostile_a_mistake_or_nothing(body: bytes) -> None:
    for start in (b"", b"section=dialplan&Hunt-Context=public&"):
        with contextlib.suppress(BadBody):
            request = read_lookup(start + body, BINDING, at=AT)
            assert request is None or isinstance(request, ScreenRequest | Refused)


def test_the_url_says_what_is_screened() -> None:
    query = [("inbound", "public"), ("outbound", "default"), ("inbound", "trunk-2")]
    query += [("next", "screened"), ("trunk", "carrier"), ("campaign", "spring-sale")]
    contexts = {**CONTEXTS, "trunk-2": Direction.INBOUND}
    assert read_binding(query) == Binding(contexts, "screened", "carrier", "spring-sale")


@pytest.mark.parametrize(
    "query",
    [
        [("direction", "inbound")],
        [("next", "a b")],
        [("next", "${system(id)}")],
        [("trunk", "")],
        [("trunk", "a"), ("trunk", "b")],
        [("inbound", "public"), ("outbound", "public")],
        [("inbound", "public"), ("next", "public")],
    ],
)
def test_a_url_that_cannot_be_meant_so_is_refused(query: list[tuple[str, str]]) -> None:
    with pytest.raises(BadBody):
        read_binding(query)


def test_a_block_is_rejected_and_its_variables_set() -> None:
    told = actions(document(BLOCK, "a-1", Direction.INBOUND, BINDING))
    assert told[-2:] == [("respond", "607"), ("hangup", "819")]
    assert ("set", "CALLGATE_VERDICT=block") in told
    assert ("set", "CALLGATE_LIST=nuisance") in told
    assert ("export", "CALLGATE_ATTEMPT=a-1") in told


def test_what_an_earlier_call_of_the_channel_left_is_forgotten_first() -> None:
    for verdict in (BLOCK, ALLOW):
        first, *_ = actions(document(verdict, "a-1", Direction.INBOUND, BINDING))
        assert first == ("multiunset", " ".join((*variables.ANSWERED, variables.FOR)))


def test_an_allowed_call_goes_on_where_the_url_says() -> None:
    text = document(ALLOW, "a-1", Direction.OUTBOUND, BINDING)
    told = actions(text)
    assert told[-1] == ("transfer", "$1 XML screened")
    assert ("export", "CALLGATE_FOR=+33612000001") in told
    rejected = [
        action.attrib["data"] for action in ElementTree.fromstring(text).iter("anti-action")
    ]
    assert rejected == ["404", "UNALLOCATED_NUMBER"]


def test_an_inbound_call_is_for_nobody_it_dials() -> None:
    told = actions(document(ALLOW, "a-1", Direction.INBOUND, BINDING))
    assert not any(data.startswith("CALLGATE_FOR=") for _, data in told)


def test_an_allowed_call_goes_on_in_freeswitchs_own_dialplan_where_the_url_says_nothing() -> None:
    assert document(ALLOW, "a-1", Direction.INBOUND, Binding(CONTEXTS)) == NOT_FOUND
    (result,) = ElementTree.fromstring(NOT_FOUND).iter("result")
    assert result.attrib == {"status": "not found"}


@given(st.text(max_size=40), st.text(max_size=40), st.booleans())
def test_no_value_can_leave_its_attribute_or_be_expanded(
    name: str, entry: str, network: bool
) -> None:
    verdict = Verdict(
        action=Action.BLOCK,
        reason=Reason.LIST,
        revision="r",
        list=name,
        entry=entry,
        response=603,
        network_blocked=network,
    )
    text = document(verdict, "a-1", Direction.INBOUND, BINDING)
    assert text.count("$") == network
    told = actions(text)
    assert all(data.count("=") == 1 for application, data in told if application == "export")
    assert [application for application, _ in told][-2:] == ["respond", "hangup"]
