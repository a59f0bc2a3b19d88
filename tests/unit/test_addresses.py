"""Addresses: what is no address is told in words, and so is why one cannot be reached."""

from __future__ import annotations

import errno
import socket

import pytest

from gateway.addresses import parse_address, why_unreachable


def test_a_port_beyond_the_last_is_told_the_range() -> None:
    with pytest.raises(ValueError, match=r"the port of '127.0.0.1:99999' must be 0 to 65535"):
        parse_address("127.0.0.1:99999")


def test_an_example_of_an_address_names_nobodys_port() -> None:
    with pytest.raises(ValueError, match=r"must be host:port, such as 192.0.2.1:5000, or off"):
        parse_address("here")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)"),
            "Connection refused",
        ),
        (OSError(errno.EADDRINUSE, "error while attempting to bind"), "Address already in use"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (TimeoutError(), "too late"),
        (OSError("Multiple exceptions: ..."), "cannot be reached"),
    ],
)
def test_why_an_address_fails_is_told_in_the_words_of_the_system(error: OSError, told: str) -> None:
    assert why_unreachable(error) == told
