"""What a test measures beside what it asserts: printed, seen with ``pytest -s`` (or ``-rP``)."""

from __future__ import annotations


def measured(what: str, **figures: float) -> None:
    """One line: ``what: name=value …``."""
    text = " ".join(f"{name}={value:g}" for name, value in figures.items())
    print(f"\n{what}: {text}")
