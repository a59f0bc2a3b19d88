"""The error tree. Expected input never raises on the call path; these are for its edges.

GatewayError
├── ConfigError            faults in YAML, list files or settings, all of them at once
├── BadEntry               one number or prefix that cannot become an entry
├── EntryError             a managed change that was refused
├── ControlError           the control socket answered with an error, or not at all
│   ├── ControlRefused         … it answered that it will not do what was asked
│   └── ControlSilent          … it is there, but gave no answer in time
├── JournalError           an attempt could not be written
├── StoreError             a store (attempts, managed entries) could not be read or written
├── LinkError              a PBX's event socket or manager interface cannot be used, or was lost
│   └── LinkRefused            … because it does not want us: password, access list, permission
└── ProtocolError
    ├── LocalProtocolError     our own bug: we were about to send something illegal
    └── RemoteProtocolError    the peer's fault
        ├── TooLong            a bound on bytes was passed
        └── Malformed          bytes that no real PBX sends
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class GatewayError(Exception):
    """Everything this program raises on purpose."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong in one place of one file. Lines and columns count from 1; 0 is unknown.

    As text it is one line of printable signs, whatever the file held.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        text = ": ".join(part for part in (place, self.key, self.message) if part)
        return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


class ConfigError(GatewayError):
    """Configuration that cannot be used; carries every fault that was found."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class BadEntry(GatewayError):
    """Text that is no usable number or prefix; the message proposes the ``+`` form if it can."""


class EntryError(GatewayError):
    """A change of managed entries that was refused."""


class ControlError(GatewayError):
    """The running gateway refused a request, or could not be reached."""


class ControlRefused(ControlError):
    """The running gateway answered that it will not do what was asked; the message says why."""


class ControlSilent(ControlError):
    """The running gateway gave no answer in time; the message says what may be done yet."""


class JournalError(GatewayError):
    """So many lines of attempts, one as a rule, could not be written to the journal."""

    def __init__(self, message: str, lost: int = 1) -> None:
        super().__init__(message)
        self.lost = lost


class StoreError(GatewayError):
    """A store (attempts, managed entries) could not be read or written."""


class LinkError(GatewayError):
    """The link of a guard to its PBX: not reached, too late with an answer, or lost."""


class LinkRefused(LinkError):
    """The PBX answered that it does not want us; trying again alone will not help."""


class ProtocolError(GatewayError):
    """Bytes that break a protocol."""


class LocalProtocolError(ProtocolError):
    """We were about to send something illegal: a bug of ours."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something illegal."""


class TooLong(RemoteProtocolError):
    """The peer passed a bound on bytes."""


class Malformed(RemoteProtocolError):
    """The peer sent bytes that no real PBX sends."""
