"""Tokens: shown once, kept as a hash, lost by no writer, and a bad file lets nobody in."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StoreError
from gateway.tokens import Scope, Tokens
from tests.support.closed import AsRoot

PROCESSES = 4
EACH = 6

WRITER = """
import sys
from pathlib import Path
from gateway.tokens import Scope, Tokens
tokens = Tokens(Path(sys.argv[1]))
sys.stdin.readline()
for place in range(int(sys.argv[3])):
    print(tokens.create(f"{sys.argv[2]}-{place}", [Scope.READ]), flush=True)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def tokens(state: Path) -> Tokens:
    return Tokens(state)


def test_a_token_is_found_by_its_text(tokens: Tokens) -> None:
    text = tokens.create("ops", [Scope.WRITE])
    found = tokens.find(text, time.time())
    assert found is not None
    assert (found.name, found.scopes) == ("ops", frozenset({Scope.WRITE}))
    assert tokens.by_id(found.id, time.time()) == found
    assert tokens.all() == [found]


def test_the_file_has_no_token_but_its_hash_and_is_private(tokens: Tokens, state: Path) -> None:
    text = tokens.create("ops", [Scope.READ])
    file = state / "tokens.json"
    kept = file.read_text()
    assert text not in kept
    assert text.rpartition("_")[2] not in kept
    assert hashlib.sha256(text.encode()).hexdigest() in kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


def test_two_tokens_have_nothing_in_common(tokens: Tokens) -> None:
    one, other = tokens.create("one", [Scope.READ]), tokens.create("other", [Scope.READ])
    assert one.split("_")[1:] != other.split("_")[1:]
    assert len(one) == len(other) == 55


@pytest.mark.parametrize(
    ("own", "implied"),
    [
        (Scope.READ, {Scope.READ}),
        (Scope.WRITE, {Scope.WRITE, Scope.READ}),
        (Scope.ADMIN, set(Scope)),
        (Scope.NUMBERS, {Scope.NUMBERS}),
        (Scope.SCREEN, {Scope.SCREEN}),
    ],
)
def test_a_wider_scope_has_the_narrower_ones_in_it(
    tokens: Tokens, own: Scope, implied: set[Scope]
) -> None:
    found = tokens.find(tokens.create("ops", [own]), 0)
    assert found is not None
    assert {scope for scope in Scope if found.may(scope)} == implied


def test_a_token_without_a_scope_may_nothing(tokens: Tokens) -> None:
    found = tokens.find(tokens.create("nobody", []), 0)
    assert found is not None
    assert not any(found.may(scope) for scope in Scope)


def test_a_revoked_token_is_unknown_to_whoever_knew_it(tokens: Tokens, state: Path) -> None:
    text, kept = tokens.create("leaver", [Scope.READ]), tokens.create("stays", [Scope.READ])
    assert tokens.find(text, 0)
    assert Tokens(state).revoke("leaver")
    assert tokens.find(text, 0) is None
    assert tokens.find(kept, 0)
    assert not tokens.revoke("leaver")


def test_a_token_is_revoked_by_its_id_too(tokens: Tokens) -> None:
    text = tokens.create("ops", [Scope.READ])
    assert tokens.revoke(text.split("_")[1])
    assert tokens.all() == []


def test_a_token_ends_at_its_time(tokens: Tokens) -> None:
    text = tokens.create("guest", [Scope.READ], expires=1000)
    identity = text.split("_")[1]
    assert tokens.find(text, 999.9)
    assert tokens.by_id(identity, 999.9)
    assert tokens.find(text, 1000) is None
    assert tokens.by_id(identity, 1000) is None


def test_a_name_is_given_once(tokens: Tokens) -> None:
    text = tokens.create("ops", [Scope.READ])
    with pytest.raises(ValueError, match="already"):
        tokens.create("ops", [Scope.ADMIN])
    found = tokens.find(text, 0)
    assert found is not None
    assert not found.may(Scope.WRITE)


@pytest.mark.parametrize("name", ["", " ops", "ops\n", "-ops", "a" * 65, "ö", "a/b"])
def test_a_name_that_could_be_mistaken_is_refused(tokens: Tokens, name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        tokens.create(name, [Scope.READ])
    assert tokens.all() == []


@given(text=st.text() | st.from_regex(r"cg_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", fullmatch=True))
def test_no_other_text_is_a_token(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tokens = Tokens(tmp_path_factory.mktemp("state"))
    assert tokens.find(text, 0) is None


def test_the_right_id_with_another_secret_is_no_token(tokens: Tokens) -> None:
    text = tokens.create("ops", [Scope.ADMIN])
    other = "B" if text[-1] == "A" else "A"
    assert tokens.find(text[:-1] + other, 0) is None
    assert tokens.find(text + "\n", 0) is None
    assert tokens.find(text.upper(), 0) is None


def test_processes_that_create_at_once_lose_none(state: Path) -> None:
    state.mkdir()
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state), f"writer{place}", str(EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for place in range(PROCESSES)
    ]
    for writer in writers:
        assert writer.stdin
        writer.stdin.write("go\n")
        writer.stdin.flush()
    told = [line for writer in writers for line in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0] * PROCESSES
    tokens = Tokens(state)
    assert len(told) == PROCESSES * EACH
    assert {token.id for token in tokens.all()} == {text.split("_")[1] for text in told}
    assert all(tokens.find(text, 0) for text in told)


def spoiled(good: bytes) -> list[bytes]:
    """Files that are no file of tokens any more."""
    whole = msgspec.json.decode(good)
    [token] = whole["tokens"]
    wrong = [{**token, "sha256": value} for value in ("", "é" * 64, "0" * 63, None)]
    wrong += [{**token, "scopes": ["root"]}, {**token, "id": "no id"}]
    return [
        b"",
        good[: len(good) // 2],
        b"\0" * len(good),
        b"[]",
        *(msgspec.json.encode({**whole, "tokens": [one]}) for one in wrong),
    ]


def test_a_damaged_file_lets_nobody_in_and_is_told(tokens: Tokens, state: Path) -> None:
    text = tokens.create("ops", [Scope.ADMIN])
    assert tokens.find(text, 0)
    file = state / "tokens.json"
    good = file.read_bytes()
    for number, bad in enumerate(spoiled(good)):
        file.write_bytes(bad)
        for known in (tokens, Tokens(state)):
            with pytest.raises(StoreError, match=r"tokens\.json"):
                known.find(text, 0)
            with pytest.raises(StoreError):
                known.by_id(text.split("_")[1], 0)
            with pytest.raises(StoreError):
                known.create(f"new-{number}", [Scope.READ])
        assert file.read_bytes() == bad, "what a person may repair is not overwritten"
    file.write_bytes(good)
    assert tokens.find(text, 0)


def test_a_file_that_is_gone_lets_nobody_in(tokens: Tokens, state: Path) -> None:
    text = tokens.create("ops", [Scope.ADMIN])
    assert tokens.find(text, 0)
    (state / "tokens.json").unlink()
    assert tokens.find(text, 0) is None


def test_a_planted_file_of_tokens_is_refused(tokens: Tokens, state: Path, tmp_path: Path) -> None:
    other = Tokens(tmp_path / "other")
    text = other.create("intruder", [Scope.ADMIN])
    state.mkdir()
    link = state / "tokens.json"
    link.symlink_to(tmp_path / "other" / "tokens.json")
    with pytest.raises(StoreError):
        tokens.find(text, 0)
    link.unlink()
    os.link(tmp_path / "other" / "tokens.json", link)
    with pytest.raises(StoreError, match="not a file of ours"):
        tokens.find(text, 0)
    link.unlink()
    os.mkfifo(link)
    with pytest.raises(StoreError):
        tokens.find(text, 0)


@pytest.mark.parametrize("name", ["tokens.lock", "tokens.new"])
def test_nothing_is_written_through_a_planted_link(
    tokens: Tokens, state: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state.mkdir()
    (state / name).symlink_to(victim)
    with pytest.raises(StoreError):
        tokens.create("ops", [Scope.READ])
    assert victim.read_text() == "precious"


def test_what_a_crash_left_aside_is_no_hindrance(tokens: Tokens, state: Path) -> None:
    state.mkdir()
    (state / "tokens.new").write_bytes(b'{"tokens": [{"half')
    text = tokens.create("ops", [Scope.READ])
    assert tokens.find(text, 0)
    assert not (state / "tokens.new").exists()


def test_what_root_makes_belongs_to_the_user_of_the_gateway(
    tokens: Tokens, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_root = AsRoot()
    monkeypatch.setattr("gateway.ownership.os", as_root)
    assert tokens.find(tokens.create("ops", [Scope.READ]), 0)
    owner = state.stat().st_uid
    assert {("tokens.lock", owner), ("tokens.new", owner)} <= set(as_root.given)
