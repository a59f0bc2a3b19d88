"""``make audit`` never takes for good what could not be looked up, and runs what is pinned."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "deploy/audit"


def audit(tmp_path: Path, said: str, code: int) -> subprocess.CompletedProcess[str]:
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit {code}\n")
    tool.chmod(0o755)
    command = [str(AUDIT / "audit.sh"), str(tool), "requirements.lock"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("said", "code", "exit_code"),
    [
        ("No known vulnerabilities found", 0, 0),
        ("Found 2 known vulnerabilities in 1 package", 1, 1),
        ("Found 1 known vulnerability in 1 package", 1, 1),
        ("click: Dependency not found on PyPI and could not be audited: click (8.5.1)", 1, 3),
        ("requests.exceptions.ConnectionError: Name or service not known", 1, 3),
        ("", 127, 3),
    ],
)
def test_an_audit_says_whether_anything_is_known(
    tmp_path: Path, said: str, code: int, exit_code: int
) -> None:
    done = audit(tmp_path, said, code)
    assert done.returncode == exit_code
    assert said in done.stdout + done.stderr
    assert ("NOT AUDITED" in done.stderr) is (exit_code == 3)


def test_every_tool_of_the_audit_is_pinned_with_its_hashes() -> None:
    text = (AUDIT / "requirements.txt").read_text()
    pinned = re.findall(r"^([a-z0-9.-]+)==[^ ]+ \\\n    --hash=sha256:[0-9a-f]{64}", text, re.M)
    assert len(pinned) == len(re.findall(r"^[a-z]", text, re.M))
    assert set((AUDIT / "requirements.in").read_text().split()) <= set(pinned)
