"""The follower has what the gateway runs: its last good policy and every managed change since."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.entries import EntryStore, NewChange, Op
from gateway.errors import StoreError
from gateway.policy import generation as generations
from gateway.policy.decide import decide
from gateway.policy.generation import Generation, save_generation
from gateway.policy.loader import load
from gateway.policy.model import Policy
from gateway.reload import follower as module
from gateway.reload.follower import Follower
from gateway.reload.overlay import managed_seq
from tests.support.policies import inbound

POLICY = "numbering: {{region: FR}}\nlists: {{nuisance: {{action: block, prefixes: [+33{}]}}}}\n"


class Place:
    """A state directory that a gateway keeps its policies in."""

    def __init__(self, root: Path) -> None:
        self.path = root / "last-good"
        self.path.mkdir()
        self.database = root / "entries.db"
        self.entries = EntryStore(self.database)
        self._policy = root / "policy.yaml"
        self._last = 0

    def write(self, prefix: str) -> Path:
        """A generation that nobody is shown yet: it blocks what begins with ``+33`` and prefix."""
        self._policy.write_text(POLICY.format(prefix))
        rev, managed = self.entries.read()
        loaded = load(self._policy, managed=managed, managed_seq=rev)
        counts = loaded.policy.index.counts()
        self._last += 1
        kept = self.path / str(self._last)
        kept.mkdir()
        save_generation(Generation(policy=loaded.policy, written=counts, totals=counts), kept)
        return kept

    def show(self, kept: Path) -> None:
        """As ``Generations.keep`` does: the link first, then what it pointed to goes."""
        link = self.path / "current.new"
        link.symlink_to(kept.name)
        link.replace(self.path / "current")
        for other in self.path.iterdir():
            if other.name.isdigit() and other != kept:
                shutil.rmtree(other)

    def keep(self, prefix: str) -> None:
        self.show(self.write(prefix))

    def change(self, op: Op, digits: str) -> int:
        change = NewChange(op=op, who="ops", source="cli", list="nuisance", digits=digits)
        return self.entries.apply(change).rev


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.entries.close()


@pytest.fixture
def follower(place: Place) -> Iterator[Follower]:
    entries = EntryStore(place.database)
    yield Follower(place.path, entries)
    entries.close()


def blocked(policy: Policy, number: str) -> bool:
    return decide(inbound(number), policy).blocked


def test_there_is_no_policy_before_the_gateway_kept_one(place: Place, follower: Follower) -> None:
    with pytest.raises(StoreError, match="no policy is kept yet"):
        follower.current()
    with pytest.raises(StoreError):
        follower.written()
    place.keep("162")
    assert blocked(follower.current(), "+33162000000")


def test_it_follows_a_reload(place: Place, follower: Follower) -> None:
    for prefix in ("162", "163", "164"):
        place.keep(prefix)
        policy = follower.current()
        assert blocked(policy, f"+33{prefix}000000")
        assert not blocked(policy, "+33199000000")
    assert not blocked(follower.current(), "+33162000000")


def test_it_follows_managed_changes_of_others(place: Place, follower: Follower) -> None:
    place.keep("162")
    assert not blocked(follower.current(), "+33199000001")
    rev = place.change(Op.ADD, "33199000001")
    assert blocked(follower.current(), "+33199000001")
    assert managed_seq(follower.current()) == rev
    place.change(Op.REMOVE, "33199000001")
    assert not blocked(follower.current(), "+33199000001")


def test_a_managed_change_outlives_a_reload_that_has_it_compiled_in_or_not(
    place: Place, follower: Follower
) -> None:
    place.keep("162")
    place.change(Op.ADD, "33199000001")
    before = place.write("163")
    place.change(Op.ADD, "33199000002")
    assert blocked(follower.current(), "+33199000002")
    place.show(before)
    policy = follower.current()
    assert blocked(policy, "+33163000000")
    assert blocked(policy, "+33199000001")
    assert blocked(policy, "+33199000002")
    place.keep("164")
    assert {entry.digits for entry in follower.current().index.entries()} == {
        *("33164", "33199000001", "33199000002"),
    }


def test_nothing_is_opened_while_nothing_changes(
    place: Place, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keep("162")
    place.change(Op.ADD, "33199000001")
    policy = follower.current()

    def never(*_: object) -> None:
        raise AssertionError("it was opened, or laid, again")

    monkeypatch.setattr(module, "open_generation", never)
    monkeypatch.setattr(module, "lay", never)
    assert follower.current() is policy
    assert follower.current() is policy


def test_what_people_wrote_is_counted_without_managed_entries(
    place: Place, follower: Follower
) -> None:
    place.keep("162")
    place.change(Op.ADD, "33199000001")
    for _ in range(2):
        assert follower.written()["nuisance"] == 1
        assert follower.current().index.counts()["nuisance"] == 2


def test_a_generation_that_goes_while_it_is_opened_is_followed_by_the_next(
    place: Place, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keep("162")
    left = ["163", "164"]
    plain = generations.open_generation

    def unlucky(directory: Path) -> Generation:
        if left:
            place.keep(left.pop(0))
        return plain(directory)

    monkeypatch.setattr(module, "open_generation", unlucky)
    assert blocked(follower.current(), "+33164000000")


def test_a_policy_that_was_given_out_is_good_after_its_files_are_gone(
    place: Place, follower: Follower
) -> None:
    place.keep("162")
    policy = follower.current()
    place.keep("163")
    follower.current()
    assert blocked(policy, "+33162000000")


def test_a_generation_that_is_damaged_is_an_error_until_it_is_whole(
    place: Place, follower: Follower
) -> None:
    place.keep("162")
    follower.current()
    place.keep("163")
    facts = place.path / "2" / "policy.json"
    whole = facts.read_bytes()
    facts.write_bytes(whole[:-1])
    with pytest.raises(StoreError):
        follower.current()
    facts.write_bytes(whole)
    assert blocked(follower.current(), "+33163000000")


def test_what_is_no_link_is_an_error_of_the_store(place: Place, follower: Follower) -> None:
    (place.path / "current").mkdir()
    with pytest.raises(StoreError, match="Invalid argument"):
        follower.current()


def test_a_log_that_ends_before_the_policy_is_an_error(place: Place, tmp_path: Path) -> None:
    place.change(Op.ADD, "33199000001")
    place.keep("162")
    other = EntryStore(tmp_path / "older.db")
    with pytest.raises(StoreError, match="the log ends at change 0"):
        Follower(place.path, other).current()
    other.close()


def test_threads_that_ask_at_once_see_no_change_undone(place: Place, follower: Follower) -> None:
    """Whatever a thread sees has all that was told before it asked."""
    place.keep("162")
    told = [0]
    done = threading.Event()
    faults: list[str] = []

    def ask() -> None:
        while not done.is_set():
            known = told[0]
            seen = managed_seq(follower.current())
            if seen < known:
                faults.append(f"{seen} after {known}")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            told[0] = place.change(Op.ADD, f"331990{number:05d}")
            if number % 10 == 9:
                place.keep(f"16{number % 9}")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert sum(follower.current().index.counts().values()) == 61


def test_of_a_long_list_each_question_lays_a_part(
    place: Place, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STEP", 20)
    place.keep("162")
    digits = [f"336120{n:05}" for n in range(50)]
    for each in digits:
        place.change(Op.ADD, each)
    revisions = [managed_seq(follower.current()) for _ in range(4)]
    assert revisions == [20, 40, 50, 50]
    assert all(decide(inbound(f"+{each}"), follower.current()).blocked for each in digits)
