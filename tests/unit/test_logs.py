"""Log lines: for people, for machines, and without numbers when asked."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import select
import threading
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from gateway.logs import Background, Seldom, background, dropped, masked, setup


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(format: str, *, level: str = "info", mask: bool = False) -> io.StringIO:
    stream = io.StringIO()
    setup(level, format, mask=mask, stream=stream)
    return stream


def test_a_text_line_has_time_level_logger_and_message() -> None:
    stream = written("text")
    logging.getLogger("gateway.x").warning("policy %s kept", "abc")
    line = stream.getvalue()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z WARNING gateway\.x: .+ kept\n", line)


def test_a_json_line_is_one_object_with_its_extra_fields() -> None:
    stream = written("json")
    logging.getLogger("gateway.x").info("two\nlines", extra={"revision": "abc+1"})
    [line] = stream.getvalue().splitlines()
    record = json.loads(line)
    assert (record["level"], record["message"]) == ("info", "two\nlines")
    assert record["revision"] == "abc+1"


@pytest.mark.parametrize("format", ["text", "json"])
def test_an_exception_leaves_its_trace(format: str) -> None:
    stream = written(format)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("gateway.x").exception("cannot")
    assert "ValueError: broken" in stream.getvalue()


def test_what_is_below_the_level_is_not_written() -> None:
    stream = written("text", level="warning")
    logging.getLogger("gateway.x").info("quiet")
    assert stream.getvalue() == ""


def test_setting_up_twice_does_not_write_twice() -> None:
    written("text")
    stream = written("text")
    logging.getLogger("gateway.x").info("once")
    assert stream.getvalue().count("once") == 1


@pytest.mark.parametrize("format", ["text", "json"])
def test_numbers_are_masked_when_asked(format: str) -> None:
    stream = written(format, mask=True)
    logging.getLogger("gateway.x").info("call from %s", "+33123456789")
    assert "+********789" in stream.getvalue()
    assert "33123456789" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "0612345678",
        "'0612345678'",
        "caller=0612345678,",
        "sip:0612345678@192.0.2.1",
        "SIP:+33612345678@192.0.2.1",
        "tel:+33612345678;x",
        "PJSIP/0612345678-00000001",
        "agi://192.0.2.1/inbound/carrier/%2B33612345678/x",
        "00000000033612345678",
        "x-+33612345678-y",
    ],
)
def test_a_number_is_masked_wherever_a_pbx_writes_it(text: str) -> None:
    assert "612345" not in masked(text)
    assert "678" in masked(text)
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1:4573", "2026-11-22T16:11:36", "revision 0123abcdef01+17", "603", "1234567a"),
        *("revision 0123abcdef01+1234567", "0mws1vlop-0towwdvvrvey-0-005u"),
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_what_is_no_phone_number_stays_readable(text: str) -> None:
    assert masked(text) == text


def test_the_file_watcher_is_quiet_about_every_file_that_changes() -> None:
    stream = written("text")
    logging.getLogger("watchfiles.main").info("1 change detected")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("format", ["text", "json"])
def test_what_a_terminal_would_obey_is_escaped(format: str) -> None:
    stream = written(format)
    hostile = "\x1b[2J \x9b31m \x7f \u2028 \u2029 \u202e \u2066 \x85 \r \udcff"
    try:
        raise ValueError(hostile)
    except ValueError:
        logging.getLogger("gateway.x").exception("from %s", hostile, extra={"who": hostile})
    assert stream.getvalue().replace("\n", "").isprintable()
    assert "2J" in stream.getvalue()


def test_no_text_of_a_peer_forges_a_log_line() -> None:
    stream = written("text")
    logging.getLogger("gateway.x").info("from %s", "x\n2026-11-22T16:11:36.123Z INFO all is well")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("from x")
    assert second == "  2026-11-22T16:11:36.123Z INFO all is well"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Its two ends; the reading one is closed last, so that a thread that waits goes on."""
    ends = os.pipe()
    yield ends
    os.close(ends[0])
    os.close(ends[1])


def all_of(descriptor: int) -> str:
    """What lies in a pipe now."""
    found = b""
    while select.select([descriptor], [], [], 0)[0] and (data := os.read(descriptor, 1 << 16)):
        found += data
    return found.decode()


def test_a_stalled_reader_of_the_log_stalls_nobody(pipe: tuple[int, int]) -> None:
    """Far more than the pipe and the queue can hold is logged: whoever waited would wait here."""
    reading, writing = pipe
    with background("info", "text", descriptor=writing):
        for _ in range(3000):
            logging.getLogger("gateway.x").info("x" * 1000)
        lost = dropped()
        handler = logging.getLogger().handlers[0]
        assert lost > 0
        assert isinstance(handler, Background)
        done = threading.Event()

        def read() -> None:
            text = ""
            while f"{lost} lines before this one were dropped" not in text:
                text = text[-4000:] + os.read(reading, 1 << 16).decode()
            done.set()

        threading.Thread(target=read, daemon=True).start()
        assert done.wait(30)


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_are_written_in_their_order_and_the_last_at_the_end(
    pipe: tuple[int, int], blocking: bool
) -> None:
    reading, writing = pipe
    os.set_blocking(writing, blocking)
    with background("info", "text", descriptor=writing):
        for number in range(100):
            logging.getLogger("gateway.x").info("line %d", number)
    assert [int(line.split()[-1]) for line in all_of(reading).splitlines()] == list(range(100))


def test_a_log_that_cannot_be_written_is_counted_and_raises_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = Background(writing)
    writer.setFormatter(logging.Formatter("%(message)s"))
    writer.handle(logging.makeLogRecord({"msg": "x"}))
    writer.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    writer.close()
    writer.close()
    os.close(writing)
    assert writer.dropped >= 2


def test_a_writer_ends_and_never_writes_to_whoever_has_the_descriptor_next() -> None:
    reading, writing = os.pipe()
    writer = Background(writing)
    writer.setFormatter(logging.Formatter("%(message)s"))
    for _ in range(200):
        writer.handle(logging.makeLogRecord({"msg": "x" * 1000}))
    os.close(reading)
    os.close(writing)
    others, theirs = os.pipe()
    os.dup2(theirs, writing)
    writer.handle(logging.makeLogRecord({"msg": "not yours"}))
    writer.close()
    writer._thread.join(30)
    assert not writer._thread.is_alive()
    assert all_of(others) == ""
    for descriptor in {others, theirs, writing}:
        os.close(descriptor)


def test_what_a_peer_can_cause_at_will_is_logged_seldom() -> None:
    stream = written("text")
    times = chain([0.0], repeat(1.0, 500), [61.0])
    seldom = Seldom(logging.getLogger("gateway.x"), most=10, period=60, clock=lambda: next(times))
    for number in range(501):
        seldom.warning("hostile %d", number)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 12
    assert "490 more lines" in lines[10]
    assert "hostile 500" in lines[11]
