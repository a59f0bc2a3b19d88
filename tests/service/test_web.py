"""The HTTP side as a process of the gateway's: it comes back, and it goes when it should."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.browser.site import Site

PATIENCE = 60.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A gateway of its own, to be hurt."""
    site = Site(tmp_path / "site")
    site.start()
    yield site
    site.stop()


def http_side(site: Site) -> int:
    """The process id of whatever answers; it changes when the process does."""
    children = Path(f"/proc/{site._process.pid}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        if b"gateway.web" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def healthy(site: Site) -> bool:
    try:
        return httpx.get(f"{site.url}/healthz", trust_env=False, timeout=PATIENCE).is_success
    except httpx.TransportError:
        return False


def test_the_http_side_that_dies_is_started_again_on_the_same_port(site: Site) -> None:
    first = http_side(site)
    assert first
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while http_side(site) in (0, first):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert healthy(site)
    text = httpx.get(
        f"{site.url}/metrics", auth=("x", site.token), trust_env=False, timeout=PATIENCE
    ).text
    assert "callgate_http_restarts_total 1" in text


def test_it_goes_with_the_gateway_also_when_that_is_killed(site: Site) -> None:
    child = http_side(site)
    site.kill()
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{child}/cmdline").exists() and is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(site.url.rpartition(":")[2])), 5)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_port_that_is_taken_is_told_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site = Site(tmp_path / "site")
        site.config.write_text(site.config.read_text().replace(":0", f":{port}"))
        with pytest.raises(RuntimeError, match=r"http\.listen: cannot listen on 127\.0\.0\.1"):
            site.start()


@pytest.mark.parametrize("path", ["/v1/attempts/stream", "/parts/live"])
def test_a_stream_that_is_open_ends_with_the_gateway_and_is_no_fault(site: Site, path: str) -> None:
    with (
        httpx.Client(auth=("x", site.token), trust_env=False, timeout=PATIENCE) as client,
        client.stream("GET", site.url + path) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == ": here"
        site.stop()
        assert not [line for line in lines if line not in (": here", "")]
    assert "Traceback" not in site.output
    assert "graceful" not in site.output
