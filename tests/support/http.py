"""A gateway with its HTTP side, and a token for a PBX."""

from __future__ import annotations

import re
import time
from pathlib import Path

import httpx

from gateway.tokens import Scope, Tokens
from tests.asterisk.gateway import CONFIG, START, Gateway

_URL = re.compile(r"^ +HTTP +(http://127\.0\.0\.1:[0-9]+)/$", re.M)


class HttpGateway(Gateway):
    """A gateway that is asked over HTTP too, at ``url``. ``token`` may have calls screened."""

    def __init__(self, directory: Path, *, source: Path = CONFIG) -> None:
        super().__init__(directory, source=source)
        text = self.config.read_text()
        off = "http: {listen: off}"
        assert off in text
        self.config.write_text(text.replace(off, 'http: {listen: "127.0.0.1:0"}'))
        self.token = Tokens(directory / "state").create("pbx", [Scope.SCREEN])
        self.url = ""

    def start(self) -> None:
        """Until both sides answer: the HTTP side is a process of its own, and starts later."""
        super().start()
        deadline = time.monotonic() + START
        while (found := _URL.search(self.output)) is None:
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)
        self.url = found[1]
        httpx.get(f"{self.url}/healthz", trust_env=False, timeout=START).raise_for_status()
