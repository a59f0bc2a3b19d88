"""Fuzz one target, led by the coverage of our code: ``python -m tests.fuzz.run TARGET [option]…``.

It begins with the corpus and what earlier runs kept in ``.cache/fuzz-corpus``; options are those of
libFuzzer. An input that breaks a promise is written beside and ends the run: it goes into
``tests/fuzz/corpus`` by hand once it is mended. ``make fuzz`` runs every target for a time.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.corpus import corpus

KEPT = Path(__file__).parents[2] / ".cache" / "fuzz-corpus"


def main(target: str, *options: str) -> None:
    """Does not return: libFuzzer ends the process."""
    logging.disable(logging.CRITICAL)
    folder = KEPT / target
    folder.mkdir(parents=True, exist_ok=True)
    for _, data in corpus(target):
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    broken = f"-artifact_prefix={KEPT}/{target}-"
    atheris.Setup([sys.argv[0], *options, broken, str(folder)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
