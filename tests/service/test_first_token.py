"""The first token is for whoever starts the gateway, and for nobody who reads logs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.app.notify import is_journal
from gateway.tokens import Tokens
from tests.support.served import served


async def test_no_token_is_printed_into_the_journal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with served(http=True) as gateway:
        assert [token.name for token in Tokens(gateway.state).all()] == ["first"]
        said = gateway.root / "said"  # the same file takes what it says the next time
        assert "shown this once" in said.read_text()
        await gateway.stop()
        (gateway.state / "tokens.json").unlink()
        found = said.stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        await gateway.start()
        assert "shown this once" not in said.read_text()
        assert "callgate token create NAME --scope admin" in said.read_text()
        assert not Tokens(gateway.state).all()


def test_the_journal_is_known_by_the_file_that_it_reads(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        found = os.fstat(out.fileno())
        here = f"{found.st_dev}:{found.st_ino}"
        assert is_journal(out.fileno(), {"JOURNAL_STREAM": here})
        assert not is_journal(out.fileno(), {"JOURNAL_STREAM": here + "1"})
        assert not is_journal(out.fileno(), {})
    assert not is_journal(-1, {"JOURNAL_STREAM": here})
