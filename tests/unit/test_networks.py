"""Who may connect: networks of both families, as they are written and as they hold."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.networks import KNOWN, guards, parse_network, permitted
from gateway.settings import Settings


@pytest.mark.parametrize(
    ("networks", "peer", "may"),
    [
        (["192.0.2.7"], ("192.0.2.7", 5), True),
        (["192.0.2.7"], ("192.0.2.8", 5), False),
        (["192.0.2.0/24", "10.0.0.0/8"], ("10.9.9.9", 5), True),
        (["192.0.2.0/24"], ("192.0.3.0", 5), False),
        (["2001:db8::/32"], ("2001:db8:1::9", 5, 0, 0), True),
        (["2001:db8::/32"], ("2001:db9::1", 5, 0, 0), False),
        (["fe80::/10"], ("fe80::1%eth0", 5, 0, 2), True),
        (["192.0.2.0/24"], ("::ffff:192.0.2.9", 5, 0, 0), True),
        (["192.0.2.0/24"], ("::ffff:192.0.3.9", 5, 0, 0), False),
        (["::/0"], ("192.0.2.9", 5), False),
        (["0.0.0.0/0"], ("2001:db8::1", 5, 0, 0), False),
        (["0.0.0.0/0", "::/0"], ("", 5), False),
        (["0.0.0.0/0", "::/0"], None, False),
        (["0.0.0.0/0", "::/0"], "/run/socket", False),
    ],
)
def test_a_peer_may_connect_from_within_a_network_only(
    networks: list[str], peer: object, may: bool
) -> None:
    allow = permitted(networks)
    assert allow is not None
    assert allow(peer) is may
    assert allow(peer) is may  # and by what is remembered


def test_no_networks_ask_nobody() -> None:
    assert permitted([]) is None


def test_what_is_remembered_of_peers_is_bounded_and_stays_right() -> None:
    allow = permitted(["10.0.0.0/17"])
    assert allow is not None
    first = int(IPv4Address("10.0.0.0"))
    for number in range(first, first + 2 * KNOWN + 5, 1):
        assert allow((str(IPv4Address(number)), 1))
    assert not allow(("10.0.128.0", 1))
    (remembered,) = [
        cell.cell_contents
        for cell in allow.__closure__ or ()
        if isinstance(cell.cell_contents, dict)
    ]
    assert len(remembered) <= KNOWN


@given(st.ip_addresses(v=4), st.integers(0, 32), st.ip_addresses(v=4))
def test_a_network_holds_those_that_share_its_first_bits(
    base: IPv4Address, length: int, peer: IPv4Address
) -> None:
    network = IPv4Network((base, length), strict=False)
    allow = permitted([str(network)])
    assert allow is not None
    shift = 32 - length
    assert allow((str(peer), 1)) is (int(peer) >> shift == int(base) >> shift)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("pbx.example", "must be an address or a network, such as 192.0.2.0/24, not 'pbx.example'"),
        ("", "must be an address or a network"),
        ("192.0.2.0/33", "must be an address or a network"),
        ("192.0.2.7/24", "is an address in the network 192.0.2.0/24: write that"),
        ("2001:db8::1/32", "is an address in the network 2001:db8::/32: write that"),
    ],
)
def test_what_is_no_network_is_a_fault_that_says_what_to_write(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="network") as error:
        parse_network(text)
    assert why in str(error.value)


def test_a_fault_names_its_place_in_the_settings() -> None:
    with pytest.raises(ConfigError) as error:
        Settings.parse(b"esl:\n  allow:\n    - 127.0.0.1\n    - 10.0.0.1/8\n", Path("c.yaml"), {})
    (fault,) = error.value.faults
    assert (fault.line, fault.column) == (4, 7)
    assert "10.0.0.0/8" in str(fault)


@pytest.mark.parametrize("section", ["agi", "esl", "http"])
def test_every_listener_has_its_own_networks(section: str) -> None:
    text = f"{section}: {{allow: [192.0.2.0/24, '2001:db8::/32']}}"
    settings = Settings.parse(text.encode(), Path("c.yaml"), {})
    found = {name: getattr(settings, name).allow for name in ("agi", "esl", "http")}
    assert found.pop(section) == ["192.0.2.0/24", "2001:db8::/32"]
    assert [*found.values()] == [[], []]


@pytest.mark.parametrize(
    ("networks", "keep_out"),
    [
        ([], False),
        (["192.0.2.0/24"], True),
        (["10.0.0.0/8", "0.0.0.0/0"], False),
        (["::/0"], False),
    ],
)
def test_networks_guard_unless_they_hold_everybody(networks: list[str], keep_out: bool) -> None:
    assert guards(networks) is keep_out
