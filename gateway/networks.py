"""Which peers may connect to a listener: addresses and networks, IPv4 and IPv6.

Rule: an empty list keeps nobody out. An address that cannot be read is kept out by any other list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Annotated, Final

from pydantic import WithJsonSchema

from gateway.yamlmodel import from_text

KNOWN: Final = 4096
"""Peers whose answer is remembered; past it all are forgotten."""


def parse_network(text: str) -> str:
    """``192.0.2.7``, ``192.0.2.0/24`` or ``2001:db8::/32`` as it is written. Raises ValueError."""
    try:
        ip_network(text)
    except ValueError:
        raise ValueError(_why(text)) from None
    return text


def _why(text: str) -> str:
    try:
        return f"'{text}' is an address in the network {ip_network(text, strict=False)}: write that"
    except ValueError:
        return f"must be an address or a network, such as 192.0.2.0/24, not '{text}'"


def permitted(networks: Sequence[str]) -> Callable[[object], bool] | None:
    """Whether a peer lies in one of these networks; None when there are none.

    A peer is what ``accept`` gives: its address, then its port. ValueError for no network.
    """
    if not networks:
        return None
    within = [ip_network(network) for network in networks]
    known: dict[str, bool] = {}

    def look(host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return False
        if isinstance(address, IPv6Address):  # one of IPv4 that came to a listener of both
            address = address.ipv4_mapped or address
        return any(address in network for network in within)

    def may(peer: object) -> bool:
        host = peer[0] if isinstance(peer, tuple) else ""
        found = known.get(host)
        if found is None:
            if len(known) >= KNOWN:
                known.clear()
            found = known[host] = look(host)
        return found

    return may


def guards(networks: Sequence[str]) -> bool:
    """Whether these networks keep anybody out."""
    return bool(networks) and all(ip_network(network).prefixlen for network in networks)


Network = Annotated[str, from_text(parse_network), WithJsonSchema({"type": "string"})]
