"""Reload: one path, one swap; a failure changes nothing; what was good outlives a restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.entries import EntryStore, NewChange, Op, Status
from gateway.errors import ConfigError, EntryError
from gateway.metrics import Metrics
from gateway.policy.decide import decide
from gateway.policy.model import Action, EntryKind
from gateway.reload import Generations, PolicyStore
from gateway.watch import Watcher
from tests.support.policies import inbound

POLICY = """\
numbering: {region: FR}
lists:
  nuisance:
    action: block
    prefixes: [+33162]
    files: [lists/nuisance.txt]
  partners:
    action: allow
    numbers: ["+33162999999"]
"""
LISTED = "+33987654321\n+33987654322\n"
RESULTS = ("loaded", "failed", "refused")
LONG = 30
"""Seconds after which a test that waits for an event has failed."""


class Place:
    """A folder with a policy, a state directory, and stores on them."""

    def __init__(self, root: Path) -> None:
        self.config = root / "config"
        self.state = root / "state"
        self.policy = self.config / "policy.yaml"
        self.listed = self.config / "lists" / "nuisance.txt"
        self.listed.parent.mkdir(parents=True)
        self.state.mkdir()
        self.policy.write_text(POLICY)
        self.listed.write_text(LISTED)
        self.entries = EntryStore(self.state / "entries.db")
        self.metrics = Metrics()

    def store(self) -> PolicyStore:
        generations = Generations(self.state / "last-good", self.state / "entries.db")
        return PolicyStore(self.policy, self.entries, generations, self.metrics)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.entries.close()


def blocked(store: PolicyStore, caller: str) -> bool:
    return decide(inbound(caller), store.current).action is Action.BLOCK


def add(digits: str, kind: EntryKind = EntryKind.NUMBER, list_name: str = "blacklist") -> NewChange:
    return NewChange(op=Op.ADD, who="alice", source="cli", list=list_name, kind=kind, digits=digits)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - the state of another task, which has no event
            await asyncio.sleep(0.02)


async def test_a_policy_is_loaded_with_its_list_files_and_managed_entries(place: Place) -> None:
    place.entries.apply(add("33611111111"))
    store = place.store()
    result = await store.start()
    assert result.ok
    assert (result.lists, result.entries) == (3, 5)
    assert store.current.revision.endswith("+1")
    assert blocked(store, "+33162000000")
    assert blocked(store, "+33987654322")
    assert blocked(store, "+33611111111")
    assert not blocked(store, "+33162999999")
    assert place.metrics.value("callgate_policy_entries", list="nuisance") == 3
    assert place.metrics.value("callgate_policy_last_reload_successful") == 1


async def test_a_reload_takes_what_was_changed(place: Place) -> None:
    store = place.store()
    await store.start()
    before = store.current
    place.policy.write_text(POLICY.replace("+33162]", "+33162, +33163]"))
    result = await store.reload()
    assert (result.status, result.entries) == ("loaded", 5)
    assert blocked(store, "+33163000000")
    assert before.revision != store.current.revision
    assert len(before.index) == 4


async def test_a_bad_file_keeps_the_last_good_policy_and_says_where(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    store = place.store()
    await store.start()
    before = store.current
    place.policy.write_text(POLICY.replace("+33162]", "+33162, nonsense]") + "surprise: 1\n")
    result = await store.reload()
    assert (result.status, result.revision) == ("failed", before.revision)
    assert store.current is before
    assert store.degraded
    assert len(result.faults) == 2
    assert "policy.yaml:5:" in caplog.text
    assert "policy.yaml:10:1: surprise" in caplog.text
    assert place.metrics.value("callgate_policy_last_reload_successful") == 0
    assert place.metrics.value("callgate_policy_degraded") == 1
    place.policy.write_text(POLICY)
    assert (await store.reload()).ok
    assert not store.degraded


async def test_a_last_good_policy_of_an_older_format_is_compiled_anew_at_the_start(
    place: Place,
) -> None:
    assert (await place.store().start()).ok
    kept = place.state / "last-good" / "current"
    facts = (kept / "policy.json").read_bytes()
    (kept / "policy.json").write_bytes(facts.replace(b'"format":2', b'"format":1'))
    index = (kept / "index").read_bytes()
    (kept / "index").write_bytes(b"CALLGATE-INDEX-1" + index[16:])
    store = place.store()
    assert (await store.start()).ok
    assert not store.degraded
    assert blocked(store, "+33162000000")
    assert (kept / "index").read_bytes() == index


async def test_emptying_a_list_needs_force(place: Place) -> None:
    mine = "  blacklist: {action: block, numbers: [+33633333333]}\n"
    place.policy.write_text(POLICY + mine)
    store = place.store()
    await store.start()
    before = store.current
    place.policy.write_text(POLICY)
    result = await store.reload()
    assert result.status == "refused"
    assert result.faults == ("list blacklist would lose all of its 1 entries",)
    assert store.current is before
    assert blocked(store, "+33633333333")
    assert (await store.reload(force=True)).ok
    assert not blocked(store, "+33633333333")


async def test_a_list_file_that_turns_out_empty_needs_force(place: Place) -> None:
    text = POLICY.replace("    prefixes: [+33162]\n", "")
    place.policy.write_text(text)
    store = place.store()
    await store.start()
    place.listed.write_text("# nobody\n")
    result = await store.reload()
    assert result.status == "failed"
    assert "it has no entries and no match" in result.faults[0]
    assert blocked(store, "+33987654321")
    assert (await store.reload(force=True)).ok
    assert not blocked(store, "+33987654321")


async def test_a_list_that_may_be_empty_needs_no_force(place: Place) -> None:
    store = place.store()
    await store.start()
    text = POLICY.replace('    numbers: ["+33162999999"]\n', "    may_be_empty: true\n")
    place.policy.write_text(text)
    assert (await store.reload()).ok


async def test_dropping_more_than_half_of_the_entries_needs_force(place: Place) -> None:
    place.listed.write_text("".join(f"+3398765{number}\n" for number in range(1000, 1010)))
    store = place.store()
    await store.start()
    place.listed.write_text("".join(f"+3398765{number}\n" for number in range(1000, 1003)))
    result = await store.reload()
    assert result.faults == ("of 12 entries only 5 would be left",)
    assert (await store.reload(force=True)).ok
    place.listed.write_text("+33987651000\n")
    assert (await store.reload()).ok, "3 of 5 left is more than half"


async def test_taking_managed_entries_away_is_no_drop(place: Place) -> None:
    store = place.store()
    place.entries.apply_all([add(str(33611111100 + number)) for number in range(20)])
    await store.start()
    await store.apply_changes(
        [
            NewChange(op=Op.REMOVE, who="a", source="cli", digits=str(33611111100 + number))
            for number in range(20)
        ]
    )
    assert (await store.reload()).ok
    assert store.totals["blacklist"] == 0


async def test_a_managed_change_is_in_force_on_the_next_call(place: Place) -> None:
    store = place.store()
    await store.start()
    assert not blocked(store, "+33611111111")
    [applied] = await store.apply_changes([add("33611", EntryKind.PREFIX)])
    assert applied.status is Status.ADDED
    assert blocked(store, "+33611111111")
    assert store.current.revision.endswith("+1")
    assert store.totals["blacklist"] == 1
    [applied] = await store.apply_changes(
        [NewChange(op=Op.UNDO, who="a", source="cli", rev=applied.rev)]
    )
    assert not blocked(store, "+33611111111")
    assert store.current.revision.endswith("+2")


async def test_an_entry_that_was_compiled_in_can_be_edited_removed_and_brought_back(
    place: Place,
) -> None:
    place.entries.apply(add("33611111111"))
    store = place.store()
    await store.start()
    who = {"who": "a", "source": "cli", "digits": "33611111111"}
    await store.apply_changes([NewChange(op=Op.EDIT, reason="why", **who)])  # type: ignore[arg-type]
    assert decide(inbound("+33611111111"), store.current).note == "why"
    [removed] = await store.apply_changes([NewChange(op=Op.REMOVE, **who)])  # type: ignore[arg-type]
    assert not blocked(store, "+33611111111")
    await store.apply_changes([NewChange(op=Op.UNDO, rev=removed.rev, **who)])  # type: ignore[arg-type]
    assert decide(inbound("+33611111111"), store.current).note == "why"
    assert store.totals["blacklist"] == 1


async def test_a_refused_change_leaves_the_policy_alone(place: Place) -> None:
    store = place.store()
    await store.start()
    before = store.current
    with pytest.raises(EntryError):
        await store.apply_changes([add("33611111111"), add("no digits")])
    assert store.current is before


async def test_what_another_process_wrote_is_absorbed(place: Place) -> None:
    store = place.store()
    await store.start()
    other = EntryStore(place.state / "entries.db")
    other.apply(add("33611111111"))
    other.close()
    await store.absorb()
    assert blocked(store, "+33611111111")


async def test_changes_made_while_a_policy_compiles_are_not_lost(place: Place) -> None:
    store = place.store()
    await store.start()
    reload = asyncio.create_task(store.reload())
    for number in range(30):
        await store.apply_changes([add(str(33611111100 + number))])
        await asyncio.sleep(0)
    assert (await reload).ok
    assert all(blocked(store, f"+{33611111100 + number}") for number in range(30))
    assert store.totals["blacklist"] == 30
    assert store.current.revision.endswith("+30")


async def test_many_changes_are_folded_into_the_compiled_table(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.reload.folding.FOLD_AFTER", 10)
    store = place.store()
    await store.start()
    first = store.last
    await store.apply_changes([add(str(33611111100 + number)) for number in range(12)])
    await until(lambda: store.last is not first)
    assert blocked(store, "+33611111105")
    assert len(store.current.index) == 16


async def test_an_entry_of_a_list_that_is_gone_is_inactive_until_the_list_is_back(
    place: Place,
) -> None:
    store = place.store()
    await store.start()
    await store.apply_changes([add("33611111111", list_name="elsewhere")])
    assert not blocked(store, "+33611111111")
    place.policy.write_text(POLICY + "  elsewhere: {action: block, may_be_empty: true}\n")
    assert (await store.reload()).ok
    assert blocked(store, "+33611111111")


async def test_a_start_with_a_broken_policy_runs_the_last_good_one(place: Place) -> None:
    first = place.store()
    await first.start()
    await first.apply_changes([add("33611111111")])
    place.policy.write_text("lists: [this is not a policy")
    again = place.store()
    result = await again.start()
    assert result.status == "failed"
    assert again.degraded
    assert again.current.revision == first.current.revision
    assert blocked(again, "+33162000000")
    assert blocked(again, "+33611111111"), "managed changes after it are in force"
    assert place.metrics.value("callgate_policy_degraded") == 1
    place.policy.write_text(POLICY)
    assert (await again.reload()).ok
    assert not again.degraded


async def test_a_restart_is_no_way_around_a_refusal(place: Place) -> None:
    place.listed.write_text("".join(f"+3398765{number}\n" for number in range(1000, 1010)))
    first = place.store()
    await first.start()
    place.listed.write_text("+33987651000\n")
    assert (await first.reload()).status == "refused"
    for _ in range(2):
        again = place.store()
        result = await again.start()
        assert (result.status, result.entries) == ("refused", 12)
        assert result.faults == ("of 12 entries only 3 would be left",)
        assert again.current.revision == first.current.revision
        assert "of 12 entries only 3 would be left" in again.degraded
        assert "callgate reload --force" in again.degraded
        assert place.metrics.value("callgate_policy_degraded") == 1
        assert blocked(again, "+33987651009")
    assert (await again.reload(force=True)).ok
    assert not again.degraded
    last = place.store()
    assert (await last.start()).ok
    assert not blocked(last, "+33987651009")


async def test_a_start_takes_what_a_reload_would_take(place: Place) -> None:
    await place.store().start()
    place.policy.write_text(POLICY.replace("+33162]", "+33162, +33163]"))
    again = place.store()
    assert (await again.start()).ok
    assert blocked(again, "+33163000000")


async def test_a_reload_during_a_start_waits_until_it_is_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.store().start()
    place.policy.write_text("broken: [")
    compile, over = Generations.compile, list[bool]()

    async def observed(generations: Generations, path: Path, **options: bool) -> object:
        over.append(starting.done())
        answer = await compile(generations, path, **options)
        place.policy.write_text(POLICY.replace("+33162]", "+33162, +33163]"))
        return answer

    monkeypatch.setattr(Generations, "compile", observed)
    store = place.store()
    starting = asyncio.create_task(store.start())
    await asyncio.sleep(0)
    reload = asyncio.create_task(store.reload())
    assert (await starting).status == "failed"
    assert (await reload).ok
    assert over == [False, True]
    assert blocked(store, "+33163000000")
    assert not store.degraded, "the last good policy must not come after the reload"


async def test_a_start_without_any_good_policy_is_refused_with_every_fault(place: Place) -> None:
    place.policy.write_text("surprise: 1\nlists: 3\n")
    with pytest.raises(ConfigError) as caught:
        await place.store().start()
    assert "policy.yaml:1:1: surprise" in str(caught.value)
    assert "no last good policy is kept" in str(caught.value)


async def test_a_damaged_last_good_policy_is_not_run(place: Place) -> None:
    await place.store().start()
    index = (place.state / "last-good" / "current" / "index").resolve()
    data = bytearray(index.read_bytes())
    data[-9] ^= 1
    index.write_bytes(data)
    place.policy.write_text("nonsense")
    with pytest.raises(ConfigError, match="damaged"):
        await place.store().start()


async def test_only_the_last_good_generation_stays_on_the_disk(place: Place) -> None:
    store = place.store()
    await store.start()
    await store.reload()
    place.policy.write_text("broken: [")
    await store.reload()
    kept = sorted(path.name for path in (place.state / "last-good").iterdir())
    assert kept == ["2", "current"]
    assert os.readlink(place.state / "last-good" / "current") == "2"


async def test_reloads_that_are_asked_for_at_once_share_a_run_of_their_kind(place: Place) -> None:
    store = place.store()
    await store.start()
    asked = [store.reload(), store.reload(force=True), store.reload(), store.reload(force=True)]
    one, forced, *others = await asyncio.gather(*asked)
    assert (one.ok, forced.ok) == (True, True)
    assert one is not forced
    assert others == [one, forced]
    assert place.metrics.value("callgate_policy_reloads_total", result="loaded") == 3


async def test_a_reload_under_way_is_not_that_of_who_asks_later(place: Place) -> None:
    store = place.store()
    await store.start()
    early = asyncio.create_task(store.reload())
    await until(lambda: store._reloading.locked())
    place.policy.write_text("surprise: 1\n")
    late = await asyncio.gather(*(store.reload() for _ in range(3)))
    assert early.done()
    assert {result.status for result in late} == {"failed"}
    results = [place.metrics.value("callgate_policy_reloads_total", result=one) for one in RESULTS]
    assert sum(results) == 3, "the start, the early one, and one for all that came later"


@asynccontextmanager
async def watched(place: Place, poll: float = 3600.0) -> AsyncIterator[PolicyStore]:
    store = place.store()
    await store.start()
    looked = asyncio.Event()
    original = store.changed

    async def changed() -> bool:
        answer = await original()
        looked.set()
        return answer

    store.changed = changed  # type: ignore[method-assign]
    task = asyncio.create_task(Watcher(store, poll=poll).run())
    await asyncio.wait_for(looked.wait(), LONG)
    try:
        yield store
    finally:
        task.cancel()
        await asyncio.wait([task])


def editor_rename(place: Place, text: str) -> None:
    """As vim and many others save: the old file is moved away, a new one takes its name."""
    place.policy.rename(place.policy.with_name("policy.yaml~"))
    place.policy.write_text(text)


def atomic_replace(place: Place, text: str) -> None:
    aside = place.policy.with_name(".policy.yaml.new")
    aside.write_text(text)
    aside.replace(place.policy)


def in_place(place: Place, text: str) -> None:
    place.policy.write_text(text)


@pytest.mark.parametrize("save", [editor_rename, atomic_replace, in_place])
async def test_a_saved_policy_is_seen(place: Place, save: Callable[[Place, str], None]) -> None:
    async with watched(place) as store:
        for prefix in ("+33163", "+33164"):
            save(place, POLICY.replace("+33162]", f"+33162, {prefix}]"))
            number = prefix + "000000"
            await until(lambda number=number: blocked(store, number))  # type: ignore[misc]


async def test_a_changed_list_file_is_seen(place: Place) -> None:
    async with watched(place) as store:
        with place.listed.open("a") as file:
            file.write("+33987654399\n")
        await until(lambda: blocked(store, "+33987654399"))


async def test_a_configmap_swap_is_seen(place: Place) -> None:
    """Kubernetes: names are links into ``..data``, itself a link that is replaced."""

    def publish(version: str, text: str) -> None:
        folder = place.config / f"..{version}"
        folder.mkdir()
        (folder / "policy.yaml").write_text(text)
        fresh = place.config / "..data_tmp"
        fresh.symlink_to(folder.name)
        fresh.replace(place.config / "..data")

    publish("1", POLICY)
    place.policy.unlink()
    place.policy.symlink_to("..data/policy.yaml")
    async with watched(place) as store:
        for version, prefix in (("2", "+33163"), ("3", "+33164")):
            publish(version, POLICY.replace("+33162]", f"+33162, {prefix}]"))
            number = prefix + "000000"
            await until(lambda number=number: blocked(store, number))  # type: ignore[misc]


async def test_a_list_file_in_a_new_folder_is_followed(place: Place) -> None:
    async with watched(place) as store:
        place.policy.write_text(POLICY.replace("nuisance.txt]", "nuisance.txt, more/list.txt]"))
        await until(lambda: store.last is not None and store.last.status == "failed")
        more = place.config / "more"
        more.mkdir()
        (more / "list.txt").write_text("+33987654398\n")
        place.policy.touch()
        await until(lambda: blocked(store, "+33987654398"))
        (more / "list.txt").write_text("+33987654397\n")
        await until(lambda: blocked(store, "+33987654397"))


async def test_the_poll_sees_what_no_event_told(place: Place) -> None:
    """A link in a folder between the two that are watched is turned to another file."""
    root = place.config.parent
    for name, number in (("far", "+33987654396"), ("farther", "+33987654395")):
        (root / name).mkdir()
        (root / name / "list.txt").write_text(f"{number}\n")
    hop = root / "between" / "hop"
    hop.parent.mkdir()
    hop.symlink_to(root / "far" / "list.txt")
    (place.config / "lists" / "link.txt").symlink_to(hop)
    place.policy.write_text(POLICY.replace("nuisance.txt]", "nuisance.txt, lists/link.txt]"))
    async with watched(place, poll=0.2) as store:
        assert blocked(store, "+33987654396")
        hop.unlink()
        hop.symlink_to(root / "farther" / "list.txt")
        await until(lambda: blocked(store, "+33987654395"))


async def test_a_bad_file_is_tried_once_and_not_again_until_it_changes(place: Place) -> None:
    async with watched(place, poll=0.05) as store:
        failures: Callable[[], float] = lambda: place.metrics.value(  # noqa: E731
            "callgate_policy_reloads_total", result="failed"
        )
        atomic_replace(place, "broken: [")
        await until(lambda: failures() == 1)
        looks = 0
        original: Callable[[], Awaitable[bool]] = store.changed

        async def counted() -> bool:
            nonlocal looks
            looks += 1
            return await original()

        store.changed = counted  # type: ignore[method-assign]
        place.policy.touch()
        await until(lambda: looks >= 5)
        assert failures() == 1
        atomic_replace(place, "broken: [[")
        await until(lambda: failures() == 2)


async def test_who_asks_is_told_which_lists_got_entries_once_they_are_in_force(
    place: Place,
) -> None:
    store = place.store()
    await store.start()
    told: list[tuple[frozenset[str], bool]] = []
    store.on_added = lambda lists: told.append((lists, blocked(store, "+33611111111")))
    await store.apply_changes([add("33611111111")])
    assert told == [(frozenset({"blacklist"}), True)]
    await store.apply_changes([add("33611111111")])
    await store.apply_changes(
        [NewChange(op=Op.REMOVE, who="a", source="cli", digits="33611111111")]
    )
    assert len(told) == 1, "an entry that was there, or goes, is not added"
