"""What handlers work with: it is there whatever state the files are in, and waits for nobody."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.entries import EntryStore, NewChange, Op
from gateway.errors import StoreError
from gateway.httpsettings import HttpSettings
from gateway.policy.generation import Generation, save_generation
from gateway.web.context import Web
from gateway.web.options import Options
from tests.support.policies import make_list, make_policy

LONG = 60.0


def made(state: Path) -> Web:
    return Web(
        Options(
            descriptor=-1,
            parent=0,
            state=str(state),
            policy=str(state / "policy.yaml"),
            http=HttpSettings().model_dump(),
            log={},
        )
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a policy that is kept, and one managed entry after it."""
    kept = tmp_path / "last-good" / "1"
    kept.mkdir(parents=True)
    policy = make_policy([make_list("blacklist")])
    save_generation(Generation(policy=policy, written={}, totals={}), kept)
    (tmp_path / "last-good" / "current").symlink_to("1")
    store = EntryStore(tmp_path / "entries.db")
    store.apply(NewChange(op=Op.ADD, who="alice", source="cli", digits="33123456789"))
    store.close()
    return tmp_path


async def test_it_is_made_over_a_broken_file_of_entries_and_says_so_when_it_is_asked(
    state: Path,
) -> None:
    (state / "entries.db").write_bytes(b"this was a database once" * 1000)
    web = made(state)
    with pytest.raises(StoreError, match="not a database"):
        await web.policy()
    await web.close()


async def test_the_policy_does_not_wait_for_a_long_list_of_entries(state: Path) -> None:
    web = made(state)
    reading, may_end = threading.Event(), threading.Event()

    def listed() -> Any:
        with web.entries._reading() as db:
            reading.set()
            assert may_end.wait(LONG)
            return db.execute("SELECT COUNT(*) FROM entries").fetchone()[0]

    listing = asyncio.create_task(web.run_long(listed))
    assert await asyncio.to_thread(reading.wait, LONG)
    async with asyncio.timeout(LONG / 2):
        policy = await web.policy()
    assert policy.revision.endswith("+1")
    assert not listing.done()
    may_end.set()
    assert await listing == 1
    await web.close()
