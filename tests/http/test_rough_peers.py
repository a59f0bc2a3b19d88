"""Peers that speak no HTTP, half of it or too much: the side stays, and calls never notice.

What is left to a bound of time is proved in tests/unit/test_connections.py and test_barrier.py.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest

from gateway.pbx.asterisk import screen_path
from tests.browser.site import Site
from tests.fakes.asterisk import agi_call

LONG = 60.0
CONNECTIONS = 300
"""More than ``http.max_connections`` has by default."""

HEAD = b"POST /v1/check HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ROUGH = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50,
    "another protocol": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "pipelined garbage": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" + b"\0\xff" * 5000,
    "a header of 10 MB": HEAD + b"X: " + b"a" * 10**7,
    "10 MB of headers": HEAD + b"X: y\r\n" * (10**7 // 6),
    "an address of 10 MB": b"GET /" + b"a" * 10**7,
    "a chunk of no length": CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n",
    "a chunk of too great a length": CHUNKED + b"f" * 40 + b"\r\nabc\r\n",
    "a length that is none": HEAD + b"Content-Length: -7\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 1\r\nContent-Length: 20\r\n\r\nab",
    "a length and chunks": HEAD
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a tunnel": b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path that is none": b"GET \xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no name": b"GET /v1/policy HTTP/1.1\r\n\r\n",
}


@pytest.fixture
def process(site: Site) -> Iterator[int]:
    """The process of the HTTP side, which is the same afterwards and answers well."""
    before = http_side(site)
    yield before
    check(site)
    assert http_side(site) == before
    assert site.run("status")


def http_side(site: Site) -> int:
    children = Path(f"/proc/{site._process.pid}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        if b"gateway.web" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise AssertionError("there is no HTTP side")


def check(site: Site) -> None:
    """A good client is answered, and a call is decided."""
    answer = httpx.get(
        f"{site.url}/v1/policy", auth=("x", site.token), trust_env=False, timeout=LONG
    )
    assert answer.status_code == 200
    path = screen_path("inbound", "", "", "+33162000000", "+33140000000", secret="s3cret")
    variables, _ = asyncio.run(agi_call("127.0.0.1", site.port, path))
    assert variables["CALLGATE_VERDICT"] == "block"


def connected(site: Site) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(site.url.rpartition(":")[2])), LONG)


@pytest.mark.parametrize("sent", ROUGH.values(), ids=ROUGH)
def test_no_rough_request_is_carried_out_or_hurts(site: Site, process: int, sent: bytes) -> None:
    assert process
    with closing(connected(site)) as peer:
        with suppress(ConnectionError):  # it may be closed before all is sent
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            answers = received(peer)
            assert b" 500 " not in answers
            assert b'"revision"' not in answers


def received(peer: socket.socket) -> bytes:
    answer = b""
    while part := peer.recv(65536):
        answer += part
    return answer


@pytest.mark.parametrize(
    "half",
    [b"", b"GET /v1/pol", HEAD, HEAD + b"Content-Length: 900000\r\n\r\nab"],
    ids=["nothing", "half a line", "half a head", "half a body"],
)
def test_a_peer_that_says_half_holds_nobody_up(site: Site, process: int, half: bytes) -> None:
    assert process
    with closing(connected(site)) as peer:
        peer.sendall(half)
        check(site)


@pytest.mark.parametrize("half", [b"", HEAD], ids=["nothing", "half a head"])
def test_more_idle_connections_than_there_is_room_for_keep_nobody_out(
    site: Site, process: int, half: bytes
) -> None:
    assert process
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(closing(connected(site))).sendall(half)
        check(site)


def test_peers_that_break_off_in_the_middle_leave_nothing_behind(site: Site, process: int) -> None:
    for number in range(60):
        with closing(connected(site)) as peer:
            peer.sendall((HEAD + b"Content-Length: 9\r\n\r\nab")[: 5 + number * 3])
    check(site)
    deadline = time.monotonic() + LONG
    while len(list(Path(f"/proc/{process}/fd").iterdir())) >= 60:
        assert time.monotonic() < deadline
        time.sleep(0.05)
