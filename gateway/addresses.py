"""Where something listens or is reached: ``host:port``, or ``off``."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import combinations
from typing import Annotated, NamedTuple

from pydantic import WithJsonSchema

from gateway.yamlmodel import from_text


class Address(NamedTuple):
    """A host and a port. Port 0 lets the system choose one to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether nobody on another machine is meant."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_address(text: str) -> Address | None:
    """``127.0.0.1:4573``, ``[::1]:4573`` or ``host:port``; ``off`` is None. Raises ValueError."""
    if text == "off":
        return None
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]+)):(\d{1,5})", text, re.ASCII)
    if found is None:
        raise ValueError(f"must be host:port, such as 192.0.2.1:5000, or off, not '{text}'")
    if int(found[3]) > 65535:
        raise ValueError(f"the port of '{text}' must be 0 to 65535")
    return Address(found[1] or found[2], int(found[3]))


def shared(listeners: Mapping[str, Address | None]) -> Iterator[tuple[str, str]]:
    """Pairs of those that cannot both listen: one port, on one address or on all of a family.

    Names are not looked up: of two different ones nothing is known.
    """
    opened = [(name, at) for name, at in listeners.items() if at and at.port]
    for (one, its), (other, at) in combinations(opened, 2):
        if its.port == at.port and _overlap(_host(its), _host(at)):
            yield one, other


def _host(address: Address) -> IPv4Address | IPv6Address | str:
    name = address.host.lower()
    try:
        return ip_address("127.0.0.1" if name == "localhost" else name)
    except ValueError:
        return name


def _overlap(one: IPv4Address | IPv6Address | str, other: IPv4Address | IPv6Address | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return one == other or (
        one.version == other.version and (one.is_unspecified or other.is_unspecified)
    )


def why_unreachable(error: OSError) -> str:
    """Why something cannot be listened on or connected to, in the words of the system alone."""
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    if error.errno:
        return os.strerror(error.errno)
    return "too late" if isinstance(error, TimeoutError) else "cannot be reached"


Listen = Annotated[
    Address | None, from_text(parse_address), WithJsonSchema({"type": ["string", "null"]})
]
