"""A gateway with its HTTP side, and a token for a PBX."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterable
from pathlib import Path

from gateway.tokens import Scope, Tokens
from tests.asterisk.gateway import CONFIG, Gateway
from tests.asterisk.pbx import PATIENCE, free_port


class HttpGateway(Gateway):
    """A gateway that is asked over HTTP too. ``token`` has these scopes."""

    def __init__(
        self,
        directory: Path,
        policy: str = "policy.yaml",
        *,
        source: Path = CONFIG,
        scopes: Iterable[Scope] = (Scope.SCREEN,),
    ) -> None:
        super().__init__(directory, policy, source=source)
        self.url = f"http://127.0.0.1:{free_port()}"
        text = self.config.read_text()
        off, on = "http: {listen: off}", f'http: {{listen: "{self.url.removeprefix("http://")}"}}'
        assert off in text
        self.config.write_text(text.replace(off, on))
        self.token = Tokens(directory / "state").create("pbx", scopes)

    def start(self) -> None:
        """Until both sides answer: the HTTP side is a process of its own, and starts later."""
        super().start()
        urllib.request.urlopen(f"{self.url}/healthz", timeout=4 * PATIENCE).close()
