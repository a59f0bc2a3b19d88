"""The settings of the guards: which PBX is watched from beside its dialplan, and how."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

from pydantic import Field, field_validator

from gateway.addresses import Listen
from gateway.errors import ConfigError
from gateway.secrets import password as password_of_one_line
from gateway.yamlfile import Document
from gateway.yamlmodel import Digits, Duration, Section, Text

FREESWITCH_VARIABLE = "CALLGATE_FREESWITCH_PASSWORD"
"""The environment variable that overrides ``guards.freeswitch.password`` and its file."""
ASTERISK_VARIABLE = "CALLGATE_ASTERISK_SECRET"
"""The same for ``guards.asterisk.secret`` and its file."""
DEFAULT_PASSWORD: Final = "ClueCon"
"""What event_socket.conf.xml ships with, and everybody knows."""

MOST_SELDOM: Final = 60
"""Seconds between two counts of channels: a call that is found later has mostly been made."""

_TARGET = re.compile(r"[*]|[+*#A-Za-z0-9_.][-+*#A-Za-z0-9_.]{0,63}")
_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")


class GuardMode(StrEnum):
    """What FreeSWITCH's guard looks for: parked calls, or legs that have left already."""

    PARK = "park"
    KILL = "kill"


class GuardSettings(Section):
    """What both guards share."""

    connect: Listen = Field(
        default=None,
        description="Where the PBX listens, as host:port; off or null: there is no guard.",
    )
    trunk: Text = Field(
        default="",
        description="The trunk to assume for a leg whose way out the policy does not know by name.",
    )
    deadline: Duration = Field(
        default=2.0, description="How long the PBX may take for any one answer."
    )
    audit: Duration = Field(
        default=10.0,
        description="How often its channels are counted, to find what no event told of and to "
        "see that the link lives.",
    )

    @field_validator("deadline")
    @classmethod
    def _check_deadline(cls, seconds: float) -> float:
        if not 0.1 <= seconds <= 60:
            raise ValueError("must lie between 100ms and 60s")
        return seconds

    @field_validator("audit")
    @classmethod
    def _check_audit(cls, seconds: float) -> float:
        if not 0.1 <= seconds <= MOST_SELDOM:
            raise ValueError(
                f"must lie between 100ms and {MOST_SELDOM}s: "
                "what no event told of is found no sooner, and a dead link neither"
            )
        return seconds


def _check_target(text: str) -> str:
    words = text.split(" ")
    if (
        len(words) != 3
        or not _TARGET.fullmatch(words[0])
        or not all(map(_WORD.fullmatch, words[1:]))
    ):
        raise ValueError(
            "must be an extension, a dialplan and a context, such as '* XML screened'; "
            "* is the number that was dialled"
        )
    return text


class FreeswitchGuardSettings(GuardSettings):
    """The client of FreeSWITCH's inbound event socket."""

    password: Digits = Field(
        default=DEFAULT_PASSWORD,
        repr=False,
        description="The password of event_socket.conf.xml. The default, which everybody knows, "
        "is refused where connect is not on this machine.",
    )
    password_file: Text = Field(
        default="",
        description="A file that holds the password, instead of password. "
        f"The environment variable {FREESWITCH_VARIABLE} overrides both.",
    )
    mode: GuardMode = Field(
        default=GuardMode.PARK,
        description="park: calls that the dialplan parks are let go or ended; kill: legs that "
        "nobody asked about are killed after the fact, when their INVITE has left.",
    )
    allowed: Text = Field(
        default="",
        description="Where an allowed parked call goes: extension, dialplan and context; "
        "* is the number that was dialled. Mode park needs it: a caller from outside must not get "
        "into a context from which telephones dial.",
    )
    blocked: Text = Field(
        default="",
        description="Where a blocked parked call goes, written like allowed; empty: it is ended.",
    )

    @field_validator("password")
    @classmethod
    def _check_password(cls, password: str) -> str:
        return password_of_one_line(password)

    @field_validator("allowed", "blocked")
    @classmethod
    def _check_targets(cls, text: str) -> str:
        return _check_target(text) if text else text


class AsteriskGuardSettings(GuardSettings):
    """The client of Asterisk's manager interface (AMI)."""

    username: Text = Field(default="callgate", description="The user of manager.conf.")
    secret: Digits = Field(default="", repr=False, description="The secret of that user.")
    secret_file: Text = Field(
        default="",
        description="A file that holds the secret, instead of secret. "
        f"The environment variable {ASTERISK_VARIABLE} overrides both.",
    )

    @field_validator("username")
    @classmethod
    def _check_username(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name):
            raise ValueError("must be 1 to 80 letters, digits or . _ -")
        return name

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str) -> str:
        return password_of_one_line(secret) if secret else secret


class GuardsSettings(Section):
    """The guards: one for each kind of PBX, both off until they know where to connect."""

    freeswitch: FreeswitchGuardSettings = Field(
        default=FreeswitchGuardSettings(), description="The guard of FreeSWITCH."
    )
    asterisk: AsteriskGuardSettings = Field(
        default=AsteriskGuardSettings(), description="The guard of Asterisk."
    )


def check_guards(guards: GuardsSettings, document: Document) -> None:
    """What only shows when the secrets are known. Raises ConfigError."""
    freeswitch, asterisk = guards.freeswitch, guards.asterisk
    far = freeswitch.connect is not None and not freeswitch.connect.is_loopback
    if far and freeswitch.password == DEFAULT_PASSWORD:
        message = f"needs a password of your own: everybody knows {DEFAULT_PASSWORD}"
        raise ConfigError([document.fault(("guards", "freeswitch", "connect"), message)])
    if freeswitch.connect and freeswitch.mode is GuardMode.PARK and not freeswitch.allowed:
        message = "needs allowed, where allowed calls go, such as '* XML screened'"
        raise ConfigError([document.fault(("guards", "freeswitch", "connect"), message)])
    if asterisk.connect and not asterisk.secret:
        message = "needs a secret, secret_file or " + ASTERISK_VARIABLE
        raise ConfigError([document.fault(("guards", "asterisk", "connect"), message)])
