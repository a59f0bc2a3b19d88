"""A disconnect notice with ``linger``: FreeSWITCH says that the call is over and stays a while.

FreeSWITCH does so for whoever asks for it on a socket that is `full`; we never do. So a relay asks
in our place and keeps the reply to itself: what we get is FreeSWITCH's own notice.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

import pytest

from tests.asterisk.gateway import Gateway
from tests.asterisk.pbx import PATIENCE
from tests.asterisk.standin import StandIn
from tests.freeswitch.conftest import Place
from tests.freeswitch.pbx import FreeSwitch

DID = "+33140000000"
SENDER = "+33612000001"
LINGER, EXIT = b"linger 600\n\n", b"exit\n\n"


class Relay:
    """Lets the gateway be asked and, if ``told``, answer; never lets it go.

    ``waiting`` is set when all of that has happened, ``notice`` is what FreeSWITCH said then.
    """

    def __init__(self, port: int, *, told: bool) -> None:
        self._port = port
        self._told = told
        self.waiting = threading.Event()
        self.notice = b""
        self.ended = threading.Event()

    def __call__(self, peer: socket.socket) -> None:
        gateway = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
        peer.settimeout(PATIENCE)
        with gateway, peer.makefile("rb") as pbx, gateway.makefile("rb") as answers:
            peer.sendall(message(answers))
            channel = message(pbx)
            peer.sendall(LINGER)
            assert b"+OK will linger" in message(pbx)
            gateway.sendall(channel)
            variables = message(answers)
            assert message(answers) == EXIT
            if self._told:
                peer.sendall(variables)
                gateway.sendall(message(pbx))
            self.waiting.set()
            self.notice = message(pbx)
            gateway.sendall(self.notice)
            assert answers.read() == b""  # it has nothing to say, and leaves
            self.ended.set()


def message(peer: BinaryIO) -> bytes:
    """The next message or command, with its body."""
    lines, length = [], 0
    for line in iter(peer.readline, b"\n"):
        assert line, "the connection was closed"
        lines.append(line)
        if line.startswith(b"Content-Length: "):
            length = int(line.partition(b": ")[2])
    return b"".join(lines) + b"\n" + peer.read(length)


@pytest.mark.parametrize(("told", "delivery"), [(True, "confirmed"), (False, "sent")])
def test_a_call_that_ends_with_linger_is_one_attempt_and_no_error(
    place: Place, gateway: Gateway, pbx: FreeSwitch, told: bool, delivery: str
) -> None:
    relay, before = Relay(gateway.port, told=told), len(gateway.output)
    with StandIn(relay) as standin, ThreadPoolExecutor(1) as threads:
        pbx.ask(f"{standin.address} full")
        placed = threads.submit(place, "carrier", DID, SENDER)
        assert relay.waiting.wait(PATIENCE)
        pbx.api("hupall")
        assert relay.ended.wait(PATIENCE)
        assert placed.result().reached == []
    assert b"\nContent-Disposition: linger\n" in relay.notice
    (attempt,) = gateway.new_attempts(1)
    assert (attempt.verdict, attempt.delivery) == ("allow", delivery)
    assert gateway.output[before:] == ""
