"""What the pages take from others is what was published, said where, and may be given on."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "gateway/web/static/vendor"
README = (VENDOR / "README.md").read_text()
ROW = re.compile(r"^\| `([^`]+)` \|.* `([0-9a-f]{64})` \|$", re.M)
ASSETS = (".js", ".css")


def test_every_file_is_the_one_that_was_published() -> None:
    found = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.suffix in ASSETS
    }
    assert found
    assert found == dict(ROW.findall(README))


def test_every_package_keeps_its_licence() -> None:
    folders = [path for path in VENDOR.iterdir() if path.is_dir()]
    assert folders
    assert [folder.name for folder in folders if not (folder / "LICENSE").read_text()] == []


def test_no_host_is_named() -> None:
    assert "://" not in README
