"""The service's own settings: ``config/callgate.yaml`` as one immutable model.

Every key is optional. Relative paths are relative to the file. What calls are blocked is not here
but in the policy.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from pydantic import Field, PrivateAttr, field_validator

from gateway.addresses import Address as Address
from gateway.addresses import Listen, shared
from gateway.addresses import parse_address as parse_address
from gateway.errors import ConfigError, Fault
from gateway.files import Unreadable, read_file
from gateway.guardsettings import (
    ASTERISK_VARIABLE,
    FREESWITCH_VARIABLE,
    GuardsSettings,
    check_guards,
)
from gateway.httpsettings import HttpSettings
from gateway.networks import Network
from gateway.secrets import Secret, password, put, url_secret
from gateway.workersettings import Workers
from gateway.yamlfile import Document, read_yaml, shown
from gateway.yamlmodel import (
    Count,
    Digits,
    Duration,
    Flag,
    Section,
    Size,
    Text,
    capped,
    validate,
)

SECRET_VARIABLE = "CALLGATE_AGI_SECRET"
"""The environment variable that overrides ``agi.secret`` and ``agi.secret_file``."""
ESL_SECRET_VARIABLE = "CALLGATE_ESL_SECRET"
"""The same for ``esl.secret`` and ``esl.secret_file``."""

MOST = 2**20
"""Bytes of a settings file."""


class Durability(StrEnum):
    """What an answer waits for: the kernel has the attempt's line, or the disk has it."""

    PROCESS = "process"
    DISK = "disk"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class AgiSettings(Section):
    """The FastAGI listener that Asterisk asks."""

    listen: Listen = Field(
        default=Address("127.0.0.1", 4573),
        description="Where FastAGI listens, as host:port; off or null switches it off.",
    )
    allow: list[Network] = Field(
        default=[],
        description="Addresses and networks (CIDR) that may connect; everybody, if empty. "
        "Others are closed at once, unheard.",
    )
    max_connections: Count = Field(
        default=1000,
        description="Connections served at a time; past it, new ones are closed at once.",
    )
    deadline: Duration = Field(
        default=1.0, description="How long one request may take in all before it is dropped."
    )
    secret: Digits = Field(
        default="",
        repr=False,
        description="Shared with the dialplan; when set, a request without it is hostile. "
        "Star codes work only with one.",
    )
    secret_file: Text = Field(
        default="",
        description="A file that holds the secret, instead of secret. "
        f"The environment variable {SECRET_VARIABLE} overrides both.",
    )

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: str) -> str:
        return url_secret(secret) if secret else secret

    @field_validator("max_connections")
    @classmethod
    def _check_connections(cls, count: int) -> int:
        if count < 1:
            raise ValueError("must be 1 or more")
        return count

    @field_validator("deadline")
    @classmethod
    def _check_deadline(cls, seconds: float) -> float:
        if not 0.01 <= seconds <= 60:
            raise ValueError("must lie between 10ms and 60s")
        return seconds


class EslSettings(AgiSettings):
    """The outbound socket that FreeSWITCH asks, bounded as FastAGI is."""

    listen: Listen = Field(
        default=Address("127.0.0.1", 8084),
        description="Where FreeSWITCH's outbound socket listens, as host:port; "
        "off or null switches it off.",
    )
    secret: Digits = Field(
        default="",
        repr=False,
        description="Shared with the dialplan, which sets it as callgate_key; "
        "when set, a call without it is blocked.",
    )
    secret_file: Text = Field(
        default="",
        description="A file that holds the secret, instead of secret. "
        f"The environment variable {ESL_SECRET_VARIABLE} overrides both.",
    )


class JournalSettings(Section):
    """The journal of attempts: one line per screened call, written before its answer leaves."""

    durability: Durability = Field(
        default=Durability.PROCESS,
        description="process: an answered attempt survives a killed process; "
        "disk: it survives a power cut too.",
    )
    segment_size: Size = Field(default=16 * 2**20, description="When a new segment file is begun.")
    keep: Duration = Field(default=90 * 86400.0, description="How long attempts are kept.")

    @field_validator("segment_size")
    @classmethod
    def _check_size(cls, size: int) -> int:
        if size < 64 * 2**10:
            raise ValueError("must be 64KiB or more")
        return size


class LogSettings(Section):
    """The program's own log, on standard error. Attempts are not in it."""

    level: LogLevel = Field(default=LogLevel.INFO, description="The least level that is written.")
    format: LogFormat = Field(
        default=LogFormat.TEXT, description="text for people, json for machines."
    )
    mask: Flag = Field(
        default=False,
        description="Hide all but the last three digits of every phone number in the log.",
    )


class ReloadSettings(Section):
    """How a changed policy is noticed. SIGHUP and callgate reload always work."""

    watch: Flag = Field(
        default=True, description="Watch the folders of the policy and its list files."
    )
    poll: Duration = Field(
        default=30.0,
        description="How often the files are compared besides, for what a watch cannot see.",
    )

    @field_validator("poll")
    @classmethod
    def _check_poll(cls, seconds: float) -> float:
        if seconds < 1:
            raise ValueError("must be 1s or more")
        return seconds


class Settings(Section):
    """The service: where its policy and its state are, how it listens, what it keeps."""

    policy: Text = Field(default="policy.yaml", description="The policy, relative to this file.")
    state: Text = Field(
        default="../state",
        description="The folder that the program owns: journal, attempts, managed entries, "
        "last good policy, control socket.",
    )
    workers: Workers = Field(
        default=1,
        description="How many processes answer calls; auto: one for each CPU this one may use.",
    )
    agi: AgiSettings = Field(default=AgiSettings(), description="The FastAGI listener.")
    esl: EslSettings = Field(
        default=EslSettings(), description="The listener for FreeSWITCH's outbound socket."
    )
    http: HttpSettings = Field(default=HttpSettings(), description="The HTTP API and the pages.")
    journal: JournalSettings = Field(
        default=JournalSettings(), description="The journal of attempts."
    )
    log: LogSettings = Field(default=LogSettings(), description="The program's own log.")
    reload: ReloadSettings = Field(default=ReloadSettings(), description="How changes are noticed.")
    guards: GuardsSettings = Field(
        default=GuardsSettings(), description="What watches a PBX from beside its dialplan."
    )

    _base: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)

    @classmethod
    def load(cls, path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read a settings file. Raises ConfigError with all its faults."""
        try:
            data = read_file(path, MOST)
        except Unreadable as error:
            message = str(error)
            raise ConfigError([Fault(shown(path), 0, 0, "", message)]) from None
        return cls.parse(data, path, environ)

    @classmethod
    def parse(cls, data: bytes, path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
        """Settings from the bytes of a file that lies at ``path``. Raises ConfigError."""
        document = read_yaml(data, shown(path))
        if document.value is None:
            document.value = {}
        settings, faults = validate(document, cls)
        faults += document.faults
        if settings is None or faults:
            raise ConfigError(capped(faults))
        _check_listeners(settings, document)
        settings._base = path.absolute().parent
        settings._file = path.absolute()
        return settings._with_secrets(document, environ)

    @property
    def file(self) -> Path | None:
        """Where they were read; None when they were not."""
        return self._file

    @property
    def policy_path(self) -> Path:
        return self._resolved(self.policy)

    @property
    def state_dir(self) -> Path:
        return self._resolved(self.state)

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def last_good_dir(self) -> Path:
        return self.state_dir / "last-good"

    @property
    def control_path(self) -> Path:
        return self.state_dir / "control.sock"

    @property
    def entries_path(self) -> Path:
        return self.state_dir / "entries.db"

    @property
    def attempts_path(self) -> Path:
        return self.state_dir / "attempts.db"

    def _resolved(self, path: str) -> Path:
        return Path(os.path.normpath(self._base / path))

    def _with_secrets(self, document: Document, environ: Mapping[str, str]) -> Settings:
        found = self
        for secret in _SECRETS:
            found = put(found, secret.path, secret.read(self, document, environ, self._base))
        found._base = self._base
        check_guards(found.guards, document)
        return found


_SECRETS = (
    Secret(("agi", "secret"), SECRET_VARIABLE, url_secret),
    Secret(("esl", "secret"), ESL_SECRET_VARIABLE, url_secret),
    Secret(("guards", "freeswitch", "password"), FREESWITCH_VARIABLE, password),
    Secret(("guards", "asterisk", "secret"), ASTERISK_VARIABLE, password),
)


def _check_listeners(settings: Settings, document: Document) -> None:
    """One port for two would only show at the start, as one that is in use by nobody."""
    at = {name: getattr(settings, name).listen for name in ("agi", "esl", "http")}
    for one, other in shared(at):
        written, taken = (other, one) if document.has((other, "listen")) else (one, other)
        message = f"{taken}.listen has that port too ({at[taken]}): give one of them another"
        raise ConfigError([document.fault((written, "listen"), message)])
