"""The settings of the HTTP side: where the API and the pages are served, and to whom."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from gateway.addresses import Address, Listen
from gateway.networks import Network
from gateway.yamlmodel import Count, Duration, Flag, Section, Size, Text

_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class HttpSettings(Section):
    """The HTTP API and the pages. Whoever asks needs a token (``callgate token create``)."""

    listen: Listen = Field(
        default=Address("127.0.0.1", 8080),
        description="Where the API and the pages are served, as host:port; off or null: nowhere.",
    )
    allow: list[Network] = Field(
        default=[],
        description="Addresses and networks (CIDR) that may connect; everybody, if empty. "
        "Behind a proxy, the peer is the proxy.",
    )
    hosts: list[Text] = Field(
        default=[],
        description="Names under which browsers and programs reach it, besides localhost and "
        "bare IP addresses; a request for any other name is refused (DNS rebinding).",
    )
    secure: Flag = Field(
        default=False,
        description="Whether browsers reach it by https, through a proxy in front: "
        "the session cookie is then sent by https only.",
    )
    session: Duration = Field(default=43200.0, description="How long a login to the pages lasts.")
    max_connections: Count = Field(
        default=200,
        description="Connections served at a time; past it, one that "
        "asks nothing is closed, else requests get a 503.",
    )
    max_upload: Size = Field(
        default=256 * 2**20, description="The largest file that may be uploaded."
    )

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, hosts: list[str]) -> list[str]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"'{host}' is no host name in small letters, without a port")
        return hosts

    @field_validator("session")
    @classmethod
    def _check_session(cls, seconds: float) -> float:
        if not 60 <= seconds <= 30 * 86400:
            raise ValueError("must lie between 1m and 30d")
        return seconds

    @field_validator("max_connections")
    @classmethod
    def _check_connections(cls, count: int) -> int:
        if count < 1:
            raise ValueError("must be 1 or more")
        return count
