"""The decision alone: its cost at a million entries beside a thousand, and of reading numbers."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence

from gateway import numbers
from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.index import Bulk, build_index
from gateway.policy.model import Action, EntryKind, ListDef, Origin, Policy

ROUNDS = 7
CALLS = 20_000


def policy_of(size: int) -> tuple[Policy, list[str]]:
    """A policy of half numbers and half prefixes, and numbers of which half are covered."""
    chance = random.Random(size)
    exact = [f"33{chance.randrange(10**8, 10**9)}" for _ in range(size // 2)]
    prefixes = [f"33{chance.randrange(10**6, 10**8)}" for _ in range(size // 2)]
    lists = (ListDef(name="nuisance", action=Action.BLOCK, order=0, origin=Origin("bench")),)
    index = build_index(
        (),
        lists,
        [
            Bulk("nuisance", EntryKind.NUMBER, exact, range(len(exact)), "numbers.txt"),
            Bulk("nuisance", EntryKind.PREFIX, prefixes, range(len(prefixes)), "prefixes.txt"),
        ],
    )
    plan = NumberPlan.build(region="FR")
    hits = [f"+{chance.choice(exact)}" for _ in range(CALLS // 2)]
    others = [f"+33{chance.randrange(10**8, 10**9)}" for _ in range(CALLS // 2)]
    asked = hits + others
    chance.shuffle(asked)
    return Policy(revision="bench", lists=lists, index=index, plan=plan), asked


def cost(work: Callable[[str], object], items: Sequence[str]) -> float:
    """Microseconds of CPU for each item."""
    started = time.process_time()
    for item in items:
        work(item)
    return (time.process_time() - started) / len(items) * 1e6


def decisions() -> None:
    pairs = {size: policy_of(size) for size in (1_000, 1_000_000)}
    figures: dict[int, list[float]] = {size: [] for size in pairs}
    for _ in range(ROUNDS):
        for size, (policy, asked) in pairs.items():
            calls = {
                text: Call(direction=Direction.INBOUND, caller=text, callee="+33140000000", at=1.0)
                for text in asked
            }
            figures[size].append(
                cost(lambda text, calls=calls, policy=policy: decide(calls[text], policy), asked)
            )
    medians = {size: statistics.median(values) for size, values in figures.items()}
    for size, median in medians.items():
        print(f"decide, {size:>9,} entries  {median:7.2f} us")
    print(f"ratio                       {medians[1_000_000] / medians[1_000]:7.2f}")


def readings() -> None:
    plan = NumberPlan.build(region="FR")
    forms = {"E.164": "+33{}", "00": "0033{}", "national": "0{}"}
    for warm in (False, True):
        for name, form in forms.items():
            subscribers = range(140_000_000, 140_000_000 + 5_000)
            texts = [form.format(subscriber) for subscriber in subscribers]
            if warm:
                texts = texts[:1_000]
                cost(lambda text: numbers.read(text, plan), texts)
            state = "warm" if warm else "cold"
            print(
                f"read, {name:<8} {state}  {cost(lambda t: numbers.read(t, plan), texts):7.2f} us"
            )


if __name__ == "__main__":
    decisions()
    readings()
