"""The pure parts of the benchmarks: ratios, targets, the report, the tables, lists and callers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench import corpus, result, tables
from bench.report import report
from bench.result import Result, number
from bench.run import PROGRAMS
from bench.targets import TARGETS, Target, judged

FAST = next(target for target in TARGETS if target.program == "fastagi")


def found(target: Target, *values: float) -> Result:
    made = Result(target.program, "a setting", date="2026-01-02 03:04 UTC")
    made.ratio(target.ratio, values, [1.0] * len(values))
    return made


def word_of(target: Target, made: Result | None) -> str:
    (one,) = (one for one in judged(lambda _: made) if one.target is target)
    return one.word


def test_a_ratio_is_taken_round_by_round_and_told_by_its_median() -> None:
    made = Result("x")
    made.ratio("ours / theirs", [2.0, 30.0, 8.0], [1.0, 10.0, 2.0])
    (ratio,) = made.ratios
    assert list(ratio.values) == [2.0, 3.0, 4.0]
    assert ratio.median == 3.0
    assert ratio.spread == "2 to 4"


def test_rounds_of_different_numbers_make_no_ratio() -> None:
    with pytest.raises(ValueError, match="zip"):
        Result("x").ratio("ours / theirs", [1.0, 2.0], [1.0])


def test_a_target_is_met_up_to_its_very_value() -> None:
    assert word_of(FAST, found(FAST, FAST.most, FAST.most, 99.0)) == "met"
    assert word_of(FAST, found(FAST, FAST.most * 1.01)) == "missed"


def test_a_target_without_its_ratio_is_not_measured() -> None:
    assert word_of(FAST, None) == "not measured"
    assert word_of(FAST, Result(FAST.program)) == "not measured"


def test_every_target_is_of_a_program_of_the_suite_and_named_once() -> None:
    assert {target.program for target in TARGETS} <= set(PROGRAMS)
    names = [(target.program, target.ratio) for target in TARGETS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.123"), (1.0, "1"), (17.31, "17.3"), (180.4, "180"), (12345.6, "12,346")],
)
def test_figures_are_told_with_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def test_the_report_tells_machine_targets_and_programs() -> None:
    made = found(FAST, FAST.most / 2)
    made.row("a server, CPU of a call", [10.0, 20.0, 30.0], "us")
    made.note("a peer is not measured")
    text = report(PROGRAMS, lambda program: made if program == FAST.program else None, "a machine")
    assert "\n## Machine\n\na machine\n" in text
    assert f"| {FAST.says} | `fastagi` | ≤ {FAST.most:g} | 1 | 1 to 1 | met |" in text
    assert "\n| a server, CPU of a call | 20 us | 10 to 30 |\n" in text
    assert "\na setting. 2026-01-02 03:04 UTC.\n" in text
    assert "\n- a peer is not measured\n" in text
    assert text.count("not measured |") == len(TARGETS) - 1


def test_a_result_is_read_as_it_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "RESULTS", tmp_path / "results")
    made = found(FAST, 1.5, 2.5)
    made.row("a server", [3.0], "us")
    made.finish()
    assert result.read(FAST.program) == made
    assert result.read("another") is None


def test_a_table_takes_its_place_and_leaves_the_text_around_it() -> None:
    text = "before\n<!-- growth: ingest -->\nold\n<!-- end -->\nafter\n"
    rows = [{"stored": 1000, "gateway": 20_000.4, "by_cpu": 30_000.0}]
    made = tables.put(text, {"ingest": rows})
    assert made.startswith("before\n")
    assert made.endswith("<!-- end -->\nafter\n")
    assert "old" not in made
    assert "| 1,000 | 20,000 | 30,000 |  |" in made
    assert tables.put(made, {"ingest": rows}) == made


def test_half_of_the_callers_are_covered_and_each_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CACHE", tmp_path)
    monkeypatch.setattr(corpus, "CALLERS", 2_000)
    entries = corpus.corpus(500)
    lines = (entries / "block.txt").read_text().split()
    assert len(lines) == 500
    begins = tuple(line[1:-1] for line in lines if line.endswith("*"))
    exact = {line[1:] for line in lines if not line.endswith("*")}
    asked = [line.split() for line in (entries / "callers.txt").read_text().splitlines()]
    assert sum(letter == "b" for _, letter in asked) == len(asked) // 2 == 1_000
    for digits, letter in asked:
        assert len(digits) == 11
        assert (letter == "b") == (digits in exact or digits.startswith(begins))


def test_the_corpus_is_the_same_in_every_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = []
    for name in ("one", "other"):
        random.seed()
        monkeypatch.setattr(corpus, "CACHE", tmp_path / name)
        monkeypatch.setattr(corpus, "CALLERS", 100)
        texts.append((corpus.corpus(50) / "callers.txt").read_text())
    assert texts[0] == texts[1]
