"""What the compiling child reports is short, however broken the files: its reader answers calls."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.errors import ConfigError, Fault
from gateway.policy.compile import LONGEST, MOST, compile_policy, main
from gateway.policy.generation import REPORT, Report

MEGABYTES = "x" * 5_000_000


@pytest.mark.parametrize(
    ("policy", "listed"),
    [
        ("lists: {a: {action: block, files: [a.txt]}}", MEGABYTES),
        ("lists: {a: {action: block, files: [a.txt]}}", ("x" * 10_000 + "\n") * 500),
        (f"lists: {{a: {{action: {MEGABYTES}, numbers: [+33123456789]}}}}", ""),
        (f"lists: {{a: {{{MEGABYTES[:100_000]}: block}}}}", ""),
        (f"lists: {{a: {{action: block, numbers: ['{MEGABYTES}']}}}}", ""),
    ],
)
def test_megabytes_on_a_line_make_no_megabytes_of_report(
    tmp_path: Path, policy: str, listed: str
) -> None:
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "a.txt").write_text(listed)
    out = tmp_path / "out"
    out.mkdir()
    assert main([str(tmp_path / "policy.yaml"), str(tmp_path / "entries.db"), str(out)]) == 1
    data = (out / REPORT).read_bytes()
    assert msgspec.json.decode(data, type=Report).faults
    assert len(data) < 500_000


def test_thousands_of_faults_are_cut_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise ConfigError(Fault("x", line, 1, "k" * 1000, "m" * 1000) for line in range(3000))

    monkeypatch.setattr("gateway.policy.compile.load", load)
    report = compile_policy(tmp_path / "policy.yaml", None, tmp_path)
    assert len(report.faults) == MOST + 1
    assert report.faults[-1].message == "and 2,500 more"
    assert len(report.faults[0].message) == len(report.faults[0].key) == LONGEST
