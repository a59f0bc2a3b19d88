"""What ``doctor`` says of one thing: in order, doubtful or broken, and what to do."""

from __future__ import annotations

from dataclasses import dataclass

AS_WHOM = "run doctor as the user of the gateway, or as root"
SOMETHING_ELSE = "is answered by something else: no gateway runs with these settings"
"""What follows the address of a listener."""


@dataclass(frozen=True, slots=True)
class Remark:
    """``status`` is ok, warn or fail; ``advice`` is empty when nothing is to be done."""

    status: str
    about: str
    text: str
    advice: str = ""


def ok(about: str, text: str) -> Remark:
    return Remark("ok", about, text)


def warn(about: str, text: str, advice: str = "") -> Remark:
    return Remark("warn", about, text, advice)


def fail(about: str, text: str, advice: str) -> Remark:
    return Remark("fail", about, text, advice)
