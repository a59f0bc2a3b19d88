"""A worker decides by the edition in force, or not at all; and it comes to the parent's policy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gateway.entries import EntryStore, NewChange, Op
from gateway.errors import StoreError
from gateway.policy.generation import Generation, save_generation
from gateway.policy.model import EntryKind, Policy
from gateway.reload.editions import Step, step_to, taken
from gateway.reload.overlay import Laid, lay
from gateway.workers.page import Page
from gateway.workers.policy import WorkerPolicy
from tests.support.examples import tries
from tests.support.policies import make_list, make_policy, prefix


class NotReady(Exception):
    """What ends a worker, in a test."""


def _end() -> None:
    raise NotReady


@pytest.fixture
def page() -> Iterator[Page]:
    made = Page.create()
    yield made
    made.close()


POLICY = make_policy(
    [make_list("nuisance"), make_list("blacklist", order=1)], [prefix("nuisance", "33162")]
)
BASE = POLICY.revision.partition("+")[0]


def saved(folder: Path) -> str:
    folder.mkdir()
    save_generation(Generation(policy=POLICY, written={}, totals={}), folder)
    return str(folder)


def test_an_edition_decides_from_the_moment_it_is_in_force(page: Page, tmp_path: Path) -> None:
    policies = WorkerPolicy(page, _end)
    page.flip(4)
    policies.open(4, Step(f"{BASE}+0", directory=saved(tmp_path / "1")))
    first = policies.current
    assert (first.revision, policies.number) == (f"{BASE}+0", 4)
    policies.open(5, Step(f"{BASE}+1"))
    assert policies.current is first, "it is ready, not in force"
    page.flip(5)
    assert policies.current.revision == f"{BASE}+1"
    assert policies.current is policies.current


def test_one_that_was_made_ready_and_never_came_is_forgotten(page: Page, tmp_path: Path) -> None:
    policies = WorkerPolicy(page, _end)
    page.flip(1)
    policies.open(1, Step(f"{BASE}+0", directory=saved(tmp_path / "1")))
    assert policies.current.revision == f"{BASE}+0"
    policies.open(2, Step(f"{BASE}+1"))
    policies.open(3, Step(f"{BASE}+2"))
    page.flip(3)
    assert policies.current.revision == f"{BASE}+2"


def test_a_worker_that_has_not_the_edition_in_force_decides_nothing(
    page: Page, tmp_path: Path
) -> None:
    policies = WorkerPolicy(page, _end)
    page.flip(1)
    policies.open(1, Step(f"{BASE}+0", directory=saved(tmp_path / "1")))
    assert policies.current
    page.flip(2)
    with pytest.raises(NotReady):
        _ = policies.current


def test_a_generation_that_is_gone_is_told(page: Page, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        WorkerPolicy(page, _end).open(1, Step("x+0", directory=str(tmp_path / "none")))


def contents(policy: Policy) -> tuple[str, list[tuple[object, ...]]]:
    rows = [(e.list, e.kind, e.digits, e.reason, e.managed) for e in policy.index.entries()]
    return policy.revision, sorted(rows)


DIGITS = st.sampled_from([f"3361100000{n}" for n in range(5)])
CHANGE = st.tuples(st.sampled_from([Op.ADD, Op.REMOVE, Op.EDIT]), DIGITS)


@given(
    batches=st.lists(st.lists(CHANGE, min_size=1, max_size=4), max_size=8), most=st.integers(1, 6)
)
@tries(40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_steps_lead_to_the_policy_of_whoever_reads_the_log(
    batches: list[list[tuple[Op, str]]], most: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where more was changed than is laid at once, and what was told lies ahead."""
    folder = tmp_path_factory.mktemp("steps")
    entries = EntryStore(folder / "entries.db")
    try:
        laid = Laid.on(POLICY)
        step = step_to(laid, entries, POLICY, Path(saved(folder / "1")))
        follower = taken(step, None)
        assert contents(follower) == contents(laid.policy)
        for batch in batches:
            changes = [
                NewChange(op=op, who="a", source="cli", kind=EntryKind.NUMBER, digits=digits)
                for op, digits in batch
            ]
            told = tuple(zip(changes, entries.apply_all(changes), strict=True))
            before, laid = laid, lay(laid, entries, told, most=most, partly=True)
            follower = taken(step_to(laid, entries, before.ordered, None), follower)
            assert contents(follower) == contents(laid.policy)
    finally:
        entries.close()
