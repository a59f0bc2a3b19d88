"""Places calls with sipp and reads from its trace what was on the wire."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from string import Template
from typing import Protocol

from tests.asterisk.pbx import PATIENCE, Programs

SCENARIOS = Path(__file__).parent / "scenarios"
ADDRESSES: Mapping[str, str] = {
    "carrier": "127.0.0.11",
    "trusted": "127.0.0.12",
    "phone": "127.0.0.13",
    "bench": "127.0.0.14",
    "freepbx": "127.0.0.15",
}
"""The endpoints of config/asterisk/pjsip.conf."""
REJECTIONS = (*range(300, 303), *range(400, 700))

_message = re.compile(
    r"^UDP message (?P<way>sent|received) .*?:\s*\n\n(?P<text>.*?)(?=^-{20,} |\Z)", re.M | re.S
)
_status = re.compile(r"SIP/2\.0 (\d{3}) (.*)")


class Pbx(Protocol):
    """Whoever is called: a PBX that listens on this UDP port of 127.0.0.1."""

    port: int


@dataclass
class Outcome:
    """What one call got on the wire: every status of its INVITE, in order, the last one's phrase
    and its Reason. ``sender`` is the user of From, as sent.
    """

    statuses: list[int] = field(default_factory=list)
    phrase: str = ""
    reason: str = ""
    sender: str = ""

    @property
    def final(self) -> int:
        return next((status for status in self.statuses if status >= 200), 0)

    @property
    def provisional(self) -> set[int]:
        return {status for status in self.statuses if status < 200}

    @property
    def answered(self) -> bool:
        return self.final == 200


class Caller:
    """Places calls from an endpoint; ``directory`` takes the scenarios and traces."""

    def __init__(self, programs: Programs, pbx: Pbx, directory: Path) -> None:
        self._sipp = programs.sipp
        self._pbx = pbx
        self._directory = directory
        self._calls = count(1)

    def call(
        self,
        endpoint: str,
        to: str,
        sender: str = "+33612000000",
        *,
        uri: str = "",
        headers: str = "",
        scenario: str = "call",
        target: str = "",
    ) -> Outcome:
        """One call to its end. ``sender`` is the user of From; ``uri`` replaces its whole URI.

        ``target`` is the number to which the scenario ``transfer`` transfers the callee.
        """
        values = {
            "to": to,
            "sender": uri or f"sip:{sender}@{ADDRESSES[endpoint]}",
            "headers": "".join(f"\n      {line}" for line in headers.splitlines()),
            "target": target,
        }
        outcomes = self._run(endpoint, values, scenario)
        assert len(outcomes) == 1, outcomes
        return next(iter(outcomes.values()))

    def calls(self, endpoint: str, to: str, senders: list[str], rate: int) -> dict[str, Outcome]:
        """A call from each of ``senders``, ``rate`` a second; outcomes by sender."""
        table = self._directory / f"{next(self._calls)}.csv"
        table.write_text("SEQUENTIAL\n" + "".join(f"{sender}\n" for sender in senders))
        values = {"to": to, "sender": f"sip:[field0]@{ADDRESSES[endpoint]}", "headers": ""}
        options = ["-inf", str(table), "-m", str(len(senders)), "-r", str(rate), "-l", "1000"]
        return self._run(endpoint, values, "call", options)

    def _run(
        self,
        endpoint: str,
        values: Mapping[str, str],
        scenario: str,
        options: Sequence[str] = (),
    ) -> dict[str, Outcome]:
        name = self._directory / str(next(self._calls))
        script, trace = name.with_suffix(".xml"), name.with_suffix(".trace")
        template = Template((SCENARIOS / f"{scenario}.xml").read_text())
        script.write_text(template.substitute(values, rejections=_rejections()))
        command = [self._sipp, f"127.0.0.1:{self._pbx.port}", "-sf", str(script)]
        command += ["-i", ADDRESSES[endpoint], "-trace_msg", "-message_file", str(trace)]
        command += ["-aa"] if scenario == "transfer" else []
        command += ["-nostdin", "-nr", "-recv_timeout", str(int(PATIENCE * 1000))]
        command += options or ("-m", "1")
        done = subprocess.run(
            command, cwd=self._directory, capture_output=True, check=False, timeout=6 * PATIENCE
        )
        if not trace.exists():
            raise AssertionError(f"sipp placed no call: {done.stderr.decode()}")
        return read_trace(trace.read_text(errors="replace"))


def _rejections() -> str:
    line = '<recv response="{}" optional="true" next="rejected"/>'
    return "\n  ".join(line.format(status) for status in REJECTIONS)


def read_trace(trace: str) -> dict[str, Outcome]:
    """Outcomes by the user of From, from what ``-trace_msg`` wrote.

    What is late for a call of another sipp at this address is passed over.
    """
    outcomes: dict[str, Outcome] = {}
    for found in _message.finditer(trace):
        text, call = found["text"], _header(found["text"], "Call-ID")
        if found["way"] == "sent" and text.startswith("INVITE "):
            outcomes.setdefault(call, Outcome())
        if (outcome := outcomes.get(call)) is None:
            continue
        status = _status.match(text)
        if status and _header(text, "CSeq") == "1 INVITE":
            outcome.statuses.append(int(status[1]))
            outcome.phrase = status[2].strip()
            outcome.reason = _header(text, "Reason")
        elif found["way"] == "sent":
            outcome.sender = re.sub(r"<sips?:([^@>;]*).*", r"\1", _header(text, "From"))
    return {outcome.sender: outcome for outcome in outcomes.values()}


def _header(text: str, name: str) -> str:
    found = re.search(rf"^{name}:[ ]*(.*?)\r?$", text, re.M | re.I)
    return found[1] if found else ""
