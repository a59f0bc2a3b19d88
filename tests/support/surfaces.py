"""What each surface of a running gateway says of its state, as whoever looks there reads it.

Rule: trouble comes and goes between two looks. All are asked between two statuses that say the
same; else they are asked again.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
from dataclasses import dataclass

import httpx
from click.testing import CliRunner

from gateway.cli import main
from gateway.control.trouble import troubles
from tests.support.served import LONG, Served

Troubles = list[tuple[str, str]]
_NOTICE = re.compile(r'<div class="notice .*?</div>', re.DOTALL)
_LOG_SAYS_WHY = "the gateway's log says why"


@dataclass(frozen=True)
class Told:
    """``troubles`` as the control socket has them; ``ready``: status and reasons of readyz."""

    troubles: Troubles
    ready: tuple[str, list[str]]
    status: str
    doctor: Troubles
    notices: list[str]

    def check(self) -> None:
        """All say the same, and all of it."""
        texts = [text for _, text in self.troubles]
        assert self.ready == ("degraded" if texts else "ok", texts)
        said = re.findall(r"^ +(\w+) degraded +(.+)$", self.status, re.MULTILINE)
        assert sorted(said) == sorted(self.troubles)
        assert sorted(self.doctor) == sorted(self.troubles)
        assert len(self.notices) == len(texts)
        for text, notice in zip(texts, self.notices, strict=True):
            assert f"{text[:1].upper()}{text[1:]}." in notice


class Surfaces:
    """Those of one gateway. Made once it has been started for the first time."""

    def __init__(self, gateway: Served) -> None:
        self._gateway = gateway
        self._token = ""
        if found := re.search(r"token +(\S+) \(shown", (gateway.root / "said").read_text()):
            self._token = found[1]

    async def ask(self) -> Told:
        """All of them, at one moment."""
        async with asyncio.timeout(LONG):
            while True:
                before = troubles(await self._gateway.status())
                told = Told(
                    before,
                    await self._ready(),
                    await asyncio.to_thread(self._run, "status"),
                    self._remarks(await asyncio.to_thread(self._run, "doctor", "--json")),
                    [html.unescape(text) for text in _NOTICE.findall(await self._page())],
                )
                if troubles(await self._gateway.status()) == before:
                    return told

    async def _ready(self) -> tuple[str, list[str]]:
        answer = json.loads(await self._get("/readyz"))
        return answer["status"], answer["reasons"]

    async def _page(self) -> str:
        return await self._get("/")

    async def _get(self, path: str) -> str:
        """A process that is started again keeps us waiting; a store that is made again says so."""
        async with httpx.AsyncClient(trust_env=False, timeout=LONG) as client:
            while True:
                answer = await client.get(
                    f"http://127.0.0.1:{self._gateway.http}{path}",
                    headers={"Authorization": f"Bearer {self._token}"},
                )
                if answer.status_code == 200:
                    return answer.text
                await asyncio.sleep(0.1)

    def _run(self, *command: str) -> str:
        config = self._gateway.root / "config" / "callgate.yaml"
        return CliRunner().invoke(main, ["--config", str(config), *command]).stdout

    def _remarks(self, text: str) -> Troubles:
        """What doctor has from the gateway, not what it finds out by itself."""
        return [
            ("policy" if one["about"] == "gateway" else one["about"], one["text"])
            for one in json.loads(text)
            if one["status"] == "fail"
            and (one["about"] == "gateway" or one["advice"] == _LOG_SAYS_WHY)
        ]
