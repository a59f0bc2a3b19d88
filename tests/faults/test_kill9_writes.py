"""kill -9 in the middle of a write: the old or the new, never a mixture, and what was told stays.

Changes go in over HTTP, by the command line's socket and into the log directly, at once. A writer
keeps what it was answered; the whole gateway is killed after some number of answers, many times.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.control.client import ControlClient
from gateway.entries import Asked, EntryStore, ManagedEntry, NewChange, Op
from gateway.errors import ControlError
from gateway.policy.model import Campaign
from gateway.review.contacts import uploaded
from gateway.tokens import Scope, Tokens
from tests.browser.site import Site

ROUNDS = 4
ANSWERS = [1, 3, 10, 40]
KILLS = 40
SEED = 20_261_122
LONG = 60.0
SIZES = (200, 20_000)

TOKENS = """
import os, sys
from pathlib import Path
from gateway.tokens import Scope, Tokens
tokens = Tokens(Path(sys.argv[1]))
place = 0
while True:
    place += 1
    name = f"{sys.argv[2]}-{place}"
    os.write(1, (tokens.create(name, [Scope.READ]) + "\\n").encode())
    if place % 3 == 0:
        tokens.revoke(name)
        os.write(1, b"gone " + name.encode() + b"\\n")
"""

CONTACTS = """
import os, sys
from pathlib import Path
from gateway.policy.model import Campaign
from gateway.review.contacts import Upload
from gateway.review.labels import Labels
from tests.support.policies import make_list, make_policy
labels = Labels(make_policy([make_list("nuisance")]), "sale", 0.0)
place = int(sys.argv[2])
while True:
    place += 1
    size = (200, 20_000)[place % 2]
    with Upload(Campaign(name="sale"), Path(sys.argv[1])) as upload:
        upload.write(b"phone,mark\\n")
        for row in range(size):
            upload.write(b"+3316200%04d,%d\\n" % (row % 10_000, place))
        upload.keep(labels)
    os.write(1, b"%d\\n" % place)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def killed(process: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    """Kill a writer a moment after one of its lines; every line that it printed whole."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(chance.choice([1, 1, 2, 5]))]
    time.sleep(chance.random() / 100)
    process.kill()
    rest = process.communicate()[0]
    return [line.decode().rstrip() for line in [*lines, *rest.splitlines(keepends=True)]]


def test_a_file_of_tokens_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    chance, told, gone = random.Random(SEED), dict[str, str](), set[str]()
    for place in range(KILLS // 2):
        for line in killed(start(TOKENS, tmp_path, f"round{place}"), chance):
            if line.startswith("gone "):
                gone.add(line.removeprefix("gone "))
            else:
                told[line] = line.split("_")[1]
        kept = {token.id: token for token in Tokens(tmp_path).all()}
        lost = [text for text, one in told.items() if one not in kept]
        # The last one of a round may have been revoked, and nobody was told.
        assert len(lost) - len(gone) in range(place + 2)
        assert not gone & {token.name for token in kept.values()}
        assert len(kept) + len(gone) - len(told) <= place + 1
    assert len(told) >= KILLS // 2
    text = Tokens(tmp_path).create("after", [Scope.READ])
    assert Tokens(tmp_path).find(text, 0)


def test_uploaded_contacts_are_the_old_or_the_new_file(tmp_path: Path) -> None:
    chance, last = random.Random(SEED), 0
    path = uploaded("sale", tmp_path)
    assert Campaign(name="sale").name == path.stem
    for _ in range(KILLS // 2):
        last = int(killed(start(CONTACTS, tmp_path, last), chance)[-1])
        head, *rows = path.read_text().splitlines()
        assert head == "phone,mark"
        [mark] = {row.partition(",")[2] for row in rows}
        assert int(mark) in (last, last + 1), "at most the one that nobody was told of"
        assert len(rows) == SIZES[int(mark) % 2]
        last = int(mark)
    assert path.stat().st_mode & 0o777 == 0o600


Told = list[tuple[int, Op, str]]
"""Revision, change and digits of each answer."""


class Writers:
    """Three ways in, each with numbers of its own, one change after the other."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.state = site.config.parent.parent / "state"
        self.entries = EntryStore(self.state / "entries.db")
        self.told: Told = []
        self._more = threading.Condition()
        self._end = threading.Event()
        self._last = 0

    def digits(self) -> str:
        with self._more:
            self._last += 1
            return f"336{self._last:08d}"

    def tell(self, rev: int, op: Op, digits: str) -> None:
        with self._more:
            self.told.append((rev, op, digits))
            self._more.notify_all()

    def over_http(self) -> None:
        headers = {"Authorization": f"Bearer {self.site.token}"}
        client = httpx.Client(
            base_url=self.site.url, headers=headers, trust_env=False, timeout=LONG
        )
        with client, suppress(httpx.TransportError, httpx.HTTPStatusError):
            while not self._end.is_set():
                digits = self.digits()
                answer = client.post("/v1/entries", json={"number": f"+{digits}"})
                rev = answer.raise_for_status().json()["rev"]
                self.tell(rev, Op.ADD, digits)
                answer = client.post(f"/v1/changes/{rev}/undo")
                self.tell(answer.raise_for_status().json()["rev"], Op.UNDO, digits)

    def over_the_socket(self) -> None:
        client = ControlClient(self.state / "control.sock", who="ops")
        with suppress(ControlError):
            while not self._end.is_set():
                digits = self.digits()
                [added] = client.add([Asked(number=f"+{digits}")])
                self.tell(added["rev"], Op.ADD, digits)
                [edited] = client.edit([Asked(number=f"+{digits}", reason="seen twice")])
                self.tell(edited["rev"], Op.EDIT, digits)

    def into_the_log(self) -> None:
        while not self._end.is_set():
            digits = self.digits()
            for op in (Op.ADD, Op.REMOVE):
                done = self.entries.apply(NewChange(op=op, digits=digits, who="ops", source="cli"))
                self.tell(done.rev, op, digits)
            self._end.wait(0.01)

    def run(self, answers: int, end: Callable[[], None]) -> None:
        """Have all three write until there are so many answers more; then ``end`` comes first."""
        wanted = len(self.told) + answers
        self._end.clear()
        ways = (self.over_http, self.over_the_socket, self.into_the_log)
        threads = [threading.Thread(target=way) for way in ways]
        for thread in threads:
            thread.start()
        try:
            with self._more:
                assert self._more.wait_for(lambda: len(self.told) >= wanted, LONG)
            end()
        finally:
            self._end.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    """A gateway in a folder with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="cg") as folder:
        site = Site(Path(folder) / "site")
        yield site
        site.stop()


def check_log(writers: Writers) -> None:
    """Every answer stands in the log once, and the entries are what the log says."""
    changes = writers.entries.changes_since(0)
    assert [change.rev for change in changes] == list(range(1, len(changes) + 1))
    logged: Told = []
    entries: dict[int, ManagedEntry] = {}
    for change in changes:
        either = change.after or change.before
        assert either is not None
        logged.append((change.rev, change.op, either.digits))
        entries.pop(either.id, None)
        if change.after:
            entries[either.id] = change.after
    assert not Counter(writers.told) - Counter(logged), "an answer that is not in the log"
    assert len(set(writers.told)) == len(writers.told)
    once = Counter((op, digits) for _, op, digits in logged)
    assert set(once.values()) == {1}
    assert {item.id: item for item in writers.entries.managed()} == entries


def test_every_change_that_was_answered_outlives_the_gateway(site: Site) -> None:
    chance = random.Random(SEED)
    site.start()
    writers = Writers(site)
    for answers in chance.sample(ANSWERS, ROUNDS):
        before = len(writers.told)
        writers.run(answers, site.kill)
        check_log(writers)
        assert len(writers.told) >= before + answers
        site.stop()  # closes what it wrote to
        site.start()
    writers.run(30, lambda: None)
    check_log(writers)
    last = next(digits for _, op, digits in reversed(writers.told) if op is Op.EDIT)
    answer = httpx.post(
        f"{site.url}/v1/check",
        json={"number": f"+{last}"},
        auth=("x", site.token),
        trust_env=False,
        timeout=LONG,
    )
    assert answer.json()["action"] == "block"
    writers.entries.close()
