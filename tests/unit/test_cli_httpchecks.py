"""What ``doctor`` says of the HTTP side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.cli.httpchecks import Behind, check_http
from gateway.settings import Settings
from gateway.tokens import Scope, Tokens


class Healthy(BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Where something healthy answers."""
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def settings(folder: Path, http: str) -> Settings:
    text = f"state: {folder}\nhttp: {http}\n"
    return Settings.parse(text.encode(), folder / "callgate.yaml", {})


def told(folder: Path, http: str) -> list[tuple[str, str]]:
    return [(item.status, item.text) for item in check_http(settings(folder, http))]


def test_nothing_is_said_of_what_is_off(tmp_path: Path) -> None:
    assert told(tmp_path, "{listen: off}") == []


def test_where_it_answers_and_has_a_token_all_is_well(tmp_path: Path, port: int) -> None:
    Tokens(tmp_path).create("one", [Scope.ADMIN])
    found = told(tmp_path, f'{{listen: "127.0.0.1:{port}"}}')
    assert found == [("ok", f"http://127.0.0.1:{port}/ answers")]


def test_what_somebody_else_answers_is_no_credit(tmp_path: Path, port: int) -> None:
    Tokens(tmp_path).create("one", [Scope.ADMIN])
    site = settings(tmp_path, f'{{listen: "127.0.0.1:{port}"}}')
    [remark] = check_http(site, Behind.NONE)
    assert (remark.status, remark.advice) == ("fail", "stop that, or set another http.listen")
    assert remark.text == (
        f"http://127.0.0.1:{port}/ is answered by something else: "
        "no gateway runs with these settings"
    )
    [remark] = check_http(site, Behind.SILENT)
    assert (remark.status, remark.text) == (
        "warn",
        f"http://127.0.0.1:{port}/ answers, but not the gateway behind it",
    )


def test_nobody_listening_is_a_failure(tmp_path: Path) -> None:
    Tokens(tmp_path).create("one", [Scope.ADMIN])
    [(status, text)] = told(tmp_path, '{listen: "127.0.0.1:1"}')
    assert (status, "does not answer" in text) == ("fail", True)


def test_a_listener_for_other_machines_wants_tls(tmp_path: Path, port: int) -> None:
    Tokens(tmp_path).create("one", [Scope.ADMIN])
    wide = f'{{listen: "0.0.0.0:{port}"}}'
    assert [status for status, _ in told(tmp_path, wide)] == ["ok", "warn"]
    behind = f'{{listen: "0.0.0.0:{port}", secure: true}}'
    assert [status for status, _ in told(tmp_path, behind)] == ["ok"]


def test_no_token_many_lasting_admins_and_a_broken_file_are_told(tmp_path: Path, port: int) -> None:
    http = f'{{listen: "127.0.0.1:{port}"}}'
    assert "there is no token" in told(tmp_path, http)[1][1]
    for name in ("one", "two"):
        Tokens(tmp_path).create(name, [Scope.ADMIN])
    assert "one, two" in told(tmp_path, http)[1][1]
    (tmp_path / "tokens.json").write_text("{")
    assert told(tmp_path, http)[1][0] == "fail"
