"""What the pages take from others is what was published, said where, and may be given on."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "gateway/web/static/vendor"
README = (VENDOR / "README.md").read_text()
ROW = re.compile(r"^\| `(?P<file>[^`]+)` \|.*: `(?P<licence>[^`]+)` \| `(?P<sum>\w{64})` \|$", re.M)
ROWS = [match.groupdict() for match in ROW.finditer(README)]


def test_every_file_is_the_one_that_was_published() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.suffix in (".js", ".css")
    }
    assert found
    assert found == {row["file"]: row["sum"] for row in ROWS}


def test_every_file_has_its_licence_beside_it() -> None:
    assert {row["licence"] for row in ROWS} == {path.name for path in VENDOR.glob("*.LICENSE")}


def test_no_host_is_named() -> None:
    assert "://" not in README
