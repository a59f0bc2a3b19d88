"""The far end of every call that goes through: rings, answers, and remembers each INVITE."""

from __future__ import annotations

import re
import socket
import threading
from dataclasses import dataclass

_COPIED = re.compile(r"^(?:Via|From|Call-ID|CSeq): .*$", re.M | re.I)
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\n"
    "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"
)


@dataclass(frozen=True)
class Invite:
    """An INVITE as it arrived."""

    text: str

    @property
    def number(self) -> str:
        """The user part of the request URI."""
        found = re.match(r"INVITE sips?:([^@;> ]*)@", self.text)
        return found[1] if found else ""

    def header(self, name: str) -> str:
        found = re.search(rf"^{re.escape(name)}:\s*(.*?)\r?$", self.text, re.M | re.I)
        return found[1] if found else ""


class Callee:
    """A SIP server on a UDP port of 127.0.0.1, in a thread of its own.

    A call to a number of ``forwards`` is sent on by it (302) to the number that stands there.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.forwards: dict[str, str] = {}
        self._invites: dict[tuple[str, str], Invite] = {}
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def invites(self) -> list[Invite]:
        """All so far, oldest first; a retransmission is none, nor is one within a call."""
        return list(self._invites.values())

    def close(self) -> None:
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            data, peer = self._socket.recvfrom(65536)
            if not data:
                return
            for answer in self._answers(data.decode("utf-8", "replace")):
                self._socket.sendto(answer.encode(), peer)

    def _answers(self, request: str) -> list[str]:
        method = request.split(" ", 1)[0]
        if method == "INVITE":
            invite = Invite(request)
            if ";tag=" not in invite.header("To"):
                self._invites.setdefault((invite.header("Call-ID"), invite.number), invite)
            if (target := self.forwards.get(invite.number)) is not None:
                return [self._answer(request, "302 Moved Temporarily", contact=target)]
            return [self._answer(request, "180 Ringing"), self._answer(request, "200 OK", _SDP)]
        return [self._answer(request, "200 OK")] if method in ("BYE", "CANCEL", "OPTIONS") else []

    def _answer(self, request: str, status: str, body: str = "", contact: str = "callee") -> str:
        to = re.search(r"^To: .*$", request, re.M | re.I)
        lines = [line.strip() for line in _COPIED.findall(request)]
        target = to[0].strip() if to else "To: <sip:callee@127.0.0.1>"
        lines.append(target if ";tag=" in target else target + ";tag=callee")
        lines.append(f"Contact: <sip:{contact}@127.0.0.1:{self.port}>")
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([f"SIP/2.0 {status}", *lines, "", body])
