"""The decision alone: its cost at a million entries beside a thousand, and of reading numbers.

Calls are by chance, half of them covered by an entry, and every verdict is compared. Numbers are
read as they come in E.164, as on every call; the cost of reading one is told beside, in each form,
cold (never seen) and warm.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.corpus import corpus
from bench.result import Result
from gateway import numbers
from gateway.calls import Call, Direction
from gateway.numbers import NumberPlan
from gateway.policy.decide import decide
from gateway.policy.loader import load
from gateway.policy.model import Policy

SIZES = (1_000, 1_000_000)
READ = 2_000
FORMS = {"E.164": "+33{}", "00": "0033{}", "national": "0{}"}


def policy_of(entries: int) -> Policy:
    """As the gateway loads it."""
    block = corpus(entries) / "block.txt"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.yaml"
        path.write_text(
            f"numbering: {{region: FR}}\nlists:\n  nuisance: {{action: block, files: [{block}]}}\n"
        )
        return load(path).policy


def calls_of(entries: int, count: int) -> list[tuple[Call, str]]:
    """So many calls and the letter that their verdict begins with."""
    lines = (corpus(entries) / "callers.txt").read_text().splitlines()[:count]
    pairs = (line.split() for line in lines)
    return [
        (Call(direction=Direction.INBOUND, caller=f"+{digits}", callee="+33140000000", at=1.0), is_)
        for digits, is_ in pairs
    ]


def cost(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Microseconds of CPU for each item."""
    count = 0
    started = time.process_time()
    for item in items:
        work(item)
        count += 1
    return (time.process_time() - started) / count * 1e6


def decisions(result: Result, rounds: int, count: int) -> None:
    policies = {size: policy_of(size) for size in SIZES}
    calls = {size: calls_of(size, count) for size in SIZES}
    figures: dict[int, list[float]] = {size: [] for size in SIZES}
    for counts in range(rounds + 1):
        for size, policy in policies.items():
            asked = [call for call, _ in calls[size]]
            figure = cost(lambda call, policy=policy: decide(call, policy), asked)
            if counts:
                figures[size].append(figure)
    for size, policy in policies.items():
        for call, letter in calls[size]:
            if not decide(call, policy).action.value.startswith(letter):
                sys.exit(f"{call.caller} among {size} entries is not decided right")
        result.row(f"decide, {size:,} entries", figures[size], "us")
    result.ratio("1,000,000 / 1,000 entries", figures[SIZES[1]], figures[SIZES[0]])


def readings(result: Result, rounds: int) -> None:
    plan = NumberPlan.build(region="FR")
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        subscribers = random.sample(range(140_000_000, 150_000_000), READ)
        for name, form in FORMS.items():
            texts = [form.format(subscriber) for subscriber in subscribers]
            for state in ("cold", "warm"):
                figure = cost(lambda text: numbers.read(text, plan), texts)
                found.setdefault(f"{name}, {state}", []).append(figure)
    for name, values in found.items():
        result.row(f"read, {name}", values, "us")
    for name in ("national", "00"):
        result.ratio(f"{name} / E.164, warm", found[f"{name}, warm"], found["E.164, warm"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="fewer calls and rounds")
    options = parser.parse_args()
    if options.quick:
        options.calls, options.rounds = 5_000, 3
    result = Result("decision", quick=options.quick)
    result.setting = f"{options.rounds} rounds of {options.calls:,} calls by chance, half covered"
    decisions(result, options.rounds, options.calls)
    readings(result, options.rounds)
    result.finish()


if __name__ == "__main__":
    main()
