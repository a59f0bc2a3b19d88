"""What is done by vectors is what the careful way does: the same keys, lines, faults, columns."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from gateway.policy import loader, vectors
from gateway.policy.index import Bulk, build_index
from gateway.policy.listfile import MAX_FAULTS, ListFile
from gateway.policy.model import Entry, EntryKind
from gateway.policy.sorting import Rows, sort_plainly
from gateway.policy.table import key_of
from gateway.policy.vectors import pack_lines, sort_vectors
from tests.support.policies import make_list
from tests.unit.test_index import LISTS, entry

CODES = st.sampled_from(sorted(map(str, COUNTRY_CODE_TO_REGION_CODE)))
NATIONAL = st.text("0123456789", max_size=14)
NUMBERS = st.tuples(CODES, NATIONAL).map(lambda parts: f"+{parts[0]}{parts[1]}")
ODD = st.sampled_from(
    [
        "",
        " ",
        "#",
        "# +33123456789",
        "*",
        "+",
        "+*",
        "+0",
        "nobody",
        "+33 1 62*",
        "+33162**",
        "\t+33162*\t",
        "+33123456789 # why",
        "0123456789",
        "00441632960000",
        "+٣٣١٢٣٤٥٦٧٨٩",
        "+33162\u00a0*",
        "\x0b+33162*",
        "été",
        "+330162*",
        "+3301",
        "+1\r+33162*",
        "*+33162*",
    ]
)
NEAR = st.text("+*# \r0123456789", max_size=20)
LINES = st.one_of(NUMBERS, NUMBERS.map(lambda text: text + "*"), ODD, NEAR)


def content(lines: list[str], end: str, last: bool, mark: bool) -> bytes:
    text = end.join(lines) + end * last
    return b"\xef\xbb\xbf" * mark + text.encode()


def taken(data: bytes, *, pack: bool, region: str | None = "FR") -> ListFile:
    found = ListFile("x.txt", "nuisance", region, int, pack=pack_lines if pack else None)
    found.read(data)
    return found


def told(found: ListFile) -> tuple[object, ...]:
    bulk = [(list(item.keys), list(item.lines), item.file, item.list) for item in found.bulk]
    return bulk, found.faults, found.entries


@given(
    st.builds(
        content,
        st.lists(LINES, max_size=30),
        st.sampled_from(["\n", "\r\n"]),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from([None, "FR", "IT"]),
)
def test_any_text_is_read_as_by_the_careful_reader(data: bytes, region: str | None) -> None:
    assert told(taken(data, pack=True, region=region)) == told(
        taken(data, pack=False, region=region)
    )


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_by_the_careful_reader(data: bytes) -> None:
    assert told(taken(data, pack=True)) == told(taken(data, pack=False))


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_text_is_read_in_pieces_as_in_one(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"+33{number:09d}{'*' * (number % 3 == 0)}" for number in range(10**8, 10**8 + 200)]
    data = "\n".join(["# head", *lines, "nobody", "", *lines[:3]]).encode()
    monkeypatch.setattr(vectors, "_CHUNK", chunk)
    assert told(taken(data, pack=True)) == told(taken(data, pack=False))
    assert len(taken(data, pack=True)) == 203


def test_a_file_of_another_kind_is_not_read_to_its_end() -> None:
    data = b"+33123456789\n" + b"nobody\n" * (MAX_FAULTS + 500)
    found = taken(data, pack=True)
    assert told(found) == told(taken(data, pack=False))
    assert len(found.faults) == MAX_FAULTS


@given(st.lists(entry(), max_size=40), st.integers(0, 12))
def test_columns_are_those_of_the_plain_sorter(entries: list[Entry], extra: int) -> None:
    plain_lines = [key_of(str(33 + place % 5), EntryKind.PREFIX) for place in range(extra)]
    bulk = [Bulk("blocked", plain_lines, range(extra), "a.txt", 7)] if extra else []
    plain = build_index(entries, LISTS, bulk, sort_plainly)
    quick = build_index(entries, LISTS, bulk, sort_vectors)
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder, "one"), Path(folder, "other")
        plain.save(one)
        quick.save(other)
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 2, 5000])
def test_columns_of_many_nested_rows_are_those_of_the_plain_sorter(size: int) -> None:
    chance = random.Random(size)
    digits = [str(chance.randrange(10 ** chance.randrange(1, 16))) for _ in range(size)]
    keys = [key_of(text, chance.choice(list(EntryKind))) for text in digits]
    rows = [Rows(0, keys, 0, 0, 1, range(size), 0)]
    plain, quick = sort_plainly(rows, 1), sort_vectors(rows, 1)
    assert {name: list(column) for name, column in plain.items()} == {
        name: list(column) for name, column in quick.items()
    }


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "LARGE_FILE", 1)
    monkeypatch.setattr(loader, "LARGE_INDEX", 1)


def policy(folder: Path) -> Path:
    (folder / "x.txt").write_text("+33123456789\n+33162*\n+33162*\n# end\n")
    path = folder / "policy.yaml"
    path.write_text("lists: {a: {action: block, expires: 2090-01-01, files: [x.txt]}}\n")
    return path


@pytest.mark.usefixtures("large")
def test_a_large_policy_is_loaded_as_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = loader.load(policy(tmp_path))
    monkeypatch.undo()
    plain = loader.load(policy(tmp_path))
    assert quick.counts == plain.counts == {"a": 3, "blacklist": 0}
    assert list(quick.policy.index.entries()) == list(plain.policy.index.entries())


WITHOUT_NUMPY: dict[str, str] = {
    "builds a gateway": "import gateway.app.gateway",
    "answers calls beside others": "import gateway.workers.worker",
    "serves pages": "import gateway.web.app",
    "begins a command": "import gateway.cli",
    "opens an index": """
from pathlib import Path
from gateway.policy.generation import open_generation
found = open_generation(Path(sys.argv[1]), verify=True).policy
assert found.index.matches("33162000000")
""",
    "checks a draft": """
from pathlib import Path
from gateway.policy import loader
loader.LARGE_FILE = loader.LARGE_INDEX = 1
folder = Path(sys.argv[2])
loaded = loader.load_draft((folder / "policy.yaml").read_bytes(), folder, "policy.yaml")
assert len(loaded.policy.index) == 3
""",
    "loads a small policy": """
from pathlib import Path
from gateway.policy.loader import load
assert len(load(Path(sys.argv[2], "policy.yaml")).policy.index) == 3
""",
}


@pytest.mark.parametrize("code", WITHOUT_NUMPY.values(), ids=WITHOUT_NUMPY)
def test_numpy_is_not_loaded_by_a_process_that(
    code: str, tmp_path: Path, generation: Callable[[Path], Path]
) -> None:
    where = generation(policy(tmp_path))
    program = f"import sys\n{code}\nassert 'numpy' not in sys.modules"
    command = [sys.executable, "-c", program, str(where), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (said.returncode, said.stderr) == (0, "")


@pytest.fixture
def generation(tmp_path: Path) -> Callable[[Path], Path]:
    from gateway.policy.generation import Generation, save_generation

    def save(path: Path) -> Path:
        loaded = loader.load(path)
        counts = loaded.policy.index.counts()
        where = tmp_path / "generation"
        where.mkdir()
        save_generation(Generation(policy=loaded.policy, written=counts, totals=counts), where)
        return where

    return save


def test_lists_that_are_not_there_are_left_out() -> None:
    lists = (make_list("other", "block", 0),)
    assert len(build_index([], lists, (), sort_vectors)) == 0
