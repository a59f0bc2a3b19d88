"""Sessions: a cookie is worth its token and no more, and wrong tokens cost their sender time."""

from __future__ import annotations

import base64
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import URLSafeTimedSerializer

from gateway.errors import StoreError
from gateway.httpsettings import HttpSettings
from gateway.tokens import Scope, Token, Tokens
from gateway.web import sessions as module
from gateway.web.sessions import FAILURE_WINDOW, FAILURES, Sessions, same, sent_token

ADDRESS = "192.0.2.1"
WRONG = "cg_00000000_" + "A" * 43


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
def token(tokens: Tokens) -> Token:
    found = tokens.find(tokens.create("ops", [Scope.READ]), time.time())
    assert found is not None
    return found


@pytest.fixture
def sessions(tmp_path: Path, tokens: Tokens) -> Sessions:
    return Sessions(tmp_path, tokens, HttpSettings(session=3600.0))


class Clock:
    """Both clocks of the module ``time``, which go when they are told to."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("itsdangerous.timed.time", clock)
    return clock


def test_a_cookie_is_known_by_every_process_with_the_same_state(
    tmp_path: Path, tokens: Tokens, sessions: Sessions, token: Token
) -> None:
    cookie = sessions.begin(token)
    again = Sessions(tmp_path, tokens, HttpSettings())
    for known in (sessions, again):
        principal = known.by_cookie(cookie)
        assert principal is not None
        assert (principal.name, principal.source) == ("ops", "page")
        assert principal.may(Scope.READ)
        assert not principal.may(Scope.WRITE)


def test_a_cookie_of_another_state_is_forged(
    tmp_path: Path, tokens: Tokens, sessions: Sessions, token: Token
) -> None:
    (tmp_path / "other").mkdir()
    other = Sessions(tmp_path / "other", tokens, HttpSettings())
    assert sessions.by_cookie(other.begin(token)) is None


def test_no_changed_cookie_is_good(sessions: Sessions, token: Token) -> None:
    cookie = sessions.begin(token)
    for place, sign in enumerate(cookie):
        # The last sign of base64 has bits that say nothing: another sign in another place is used.
        other = "A" if sign not in "AB" else "z"
        changed = cookie[:place] + other + cookie[place + 1 :]
        if _bytes_of(changed) != _bytes_of(cookie):
            assert sessions.by_cookie(changed) is None, place
    assert sessions.by_cookie(cookie)


def _bytes_of(cookie: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "==") for part in cookie.split(".")]


@given(cookie=st.text() | st.from_regex(r"[\w.=-]+", fullmatch=True))
def test_any_other_text_is_no_cookie(tmp_path_factory: pytest.TempPathFactory, cookie: str) -> None:
    state = tmp_path_factory.mktemp("state")
    assert Sessions(state, Tokens(state), HttpSettings()).by_cookie(cookie) is None


@pytest.mark.parametrize("content", [[], ["a"], ["a", "b", "c"], "ab", None, 7, {"a": 1}])
def test_what_is_well_signed_but_of_another_make_is_no_cookie(
    tmp_path: Path, sessions: Sessions, content: object
) -> None:
    key = (tmp_path / "http.key").read_bytes()
    cookie = URLSafeTimedSerializer(key, salt="session").dumps(content)
    assert sessions.by_cookie(str(cookie)) is None
    sessions.end(str(cookie))


def test_a_session_ends_at_its_time(sessions: Sessions, token: Token, clock: Clock) -> None:
    cookie = sessions.begin(token)
    clock.now += 3600
    assert sessions.by_cookie(cookie)
    clock.now += 2
    assert sessions.by_cookie(cookie) is None


def test_a_session_ends_with_its_token(sessions: Sessions, tokens: Tokens, token: Token) -> None:
    cookie = sessions.begin(token)
    tokens.revoke("ops")
    assert sessions.by_cookie(cookie) is None


def test_each_session_has_a_secret_of_its_own(sessions: Sessions, token: Token) -> None:
    cookies = [sessions.begin(token) for _ in range(3)]
    found = [sessions.by_cookie(cookie) for cookie in cookies]
    secrets = {principal.csrf for principal in found if principal}
    assert len(secrets) == 3
    again = sessions.by_cookie(cookies[0])
    assert again is not None
    assert again.csrf in secrets
    assert not any(secret in cookie for secret in secrets for cookie in cookies)


def test_a_logout_ends_only_its_own_session(sessions: Sessions, token: Token) -> None:
    mine, other = sessions.begin(token), sessions.begin(token)
    sessions.end(mine)
    assert sessions.by_cookie(mine) is None
    assert sessions.by_cookie(other)


def test_what_was_ended_is_forgotten_when_it_would_have_ended_anyway(
    sessions: Sessions, token: Token, clock: Clock
) -> None:
    for _ in range(10):
        sessions.end(sessions.begin(token))
    assert len(sessions._ended) == 10
    clock.now += 3601
    last = sessions.begin(token)
    sessions.end(last)
    assert len(sessions._ended) == 1
    assert sessions.by_cookie(last) is None


def test_a_wrong_token_counts_against_its_address_only(sessions: Sessions, clock: Clock) -> None:
    for _ in range(FAILURES):
        assert sessions.barred(ADDRESS) == 0
        assert sessions.login(WRONG, ADDRESS) is None
        clock.now += 1
    assert 0 < sessions.barred(ADDRESS) <= FAILURE_WINDOW
    assert sessions.barred("192.0.2.2") == 0


def test_an_address_is_heard_again_when_it_was_told(sessions: Sessions, clock: Clock) -> None:
    for _ in range(3 * FAILURES):
        sessions.failed(ADDRESS)
    wait = sessions.barred(ADDRESS)
    clock.now += wait - 1.5
    assert sessions.barred(ADDRESS)
    clock.now += 1.5
    assert sessions.barred(ADDRESS) == 0


def test_a_good_token_costs_nothing(sessions: Sessions, tokens: Tokens) -> None:
    text = tokens.create("person", [Scope.READ])
    for _ in range(2 * FAILURES):
        assert sessions.login(f" {text}\n", ADDRESS)
    assert sessions.barred(ADDRESS) == 0


def test_many_addresses_take_no_more_room_and_free_nobody_who_goes_on(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ADDRESSES", 50)
    for number in range(500):
        sessions.failed(f"2001:db8::{number:x}")
        if number % 20 == 0:
            sessions.failed(ADDRESS)
        assert len(sessions._failures) <= 50
    assert sessions.barred(ADDRESS)
    for _ in range(100):
        sessions.failed(ADDRESS)
    assert len(sessions._failures[ADDRESS]) == FAILURES


def test_the_key_is_private_and_a_torn_one_is_made_again(tmp_path: Path, tokens: Tokens) -> None:
    key = tmp_path / "http.key"
    Sessions(tmp_path, tokens, HttpSettings())
    assert key.stat().st_mode & 0o777 == 0o600
    first = key.read_bytes()
    key.write_bytes(first[:7])
    Sessions(tmp_path, tokens, HttpSettings())
    assert len(key.read_bytes()) == len(first)
    assert key.read_bytes() != first


def test_a_planted_key_is_refused(tmp_path: Path, tokens: Tokens) -> None:
    known = tmp_path / "known"
    known.write_bytes(b"k" * 32)
    (tmp_path / "http.key").symlink_to(known)
    with pytest.raises(StoreError, match=r"http\.key"):
        Sessions(tmp_path, tokens, HttpSettings())


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        (basic(b"anybody:abc"), "abc"),
        (basic(b":a:b"), "a:b"),
        (basic(b"abc"), ""),
        (basic(b"a:\xff"), ""),
        ("Basic ???", ""),
        ("Digest abc", ""),
        ("", ""),
    ],
)
def test_a_token_is_sent_as_bearer_or_as_a_password(header: str, token: str) -> None:
    assert sent_token({"authorization": header}) == token
    assert sent_token({}) == ""


@given(header=st.text())
def test_no_header_breaks_the_reading(header: str) -> None:
    assert isinstance(sent_token({"authorization": header}), str)
    assert isinstance(sent_token({"authorization": "Basic " + header}), str)


def test_nothing_is_not_the_same_as_nothing() -> None:
    assert not same("", "")
    assert same("é", "é")
    assert not same("a", "b")
