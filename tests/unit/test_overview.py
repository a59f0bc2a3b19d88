"""The first page: what it ranks."""

from __future__ import annotations

from pathlib import Path

from gateway.attempts.erasure import ERASED
from gateway.attempts.model import Attempt
from gateway.attempts.store import AttemptStore
from gateway.web.pages.overview import TOP, _top_numbers


def blocked(serial: int, caller: str) -> Attempt:
    """By its E.164 number, where the text is one."""
    return Attempt(
        id=f"id-{serial:06}",
        at=1_700_000_000.0 + serial,
        direction="inbound",
        verdict="block",
        reason="list",
        revision="0123456789ab+0",
        caller=caller,
        caller_e164=caller if caller.startswith("+") else "",
        callee_e164="+33140000000",
    )


def test_numbers_that_were_erased_are_not_ranked_and_take_no_place(tmp_path: Path) -> None:
    numbers = [f"+3316200000{digit}" for digit in range(TOP + 1)]
    callers = [ERASED] * 5 + numbers[:1] * 3 + numbers[1:]
    store = AttemptStore(tmp_path / "attempts.db")
    store.add([blocked(serial, caller) for serial, caller in enumerate(callers)], [])
    ranked = _top_numbers(store, 0.0)
    store.close()
    assert ranked == [(numbers[0], 3), *[(number, 1) for number in numbers[1:TOP]]]
