"""Log lines: for people, for machines, and without numbers when asked."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from gateway.logs import masked, setup


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
    "text", ["127.0.0.1:4573", "2026-11-22T16:11:36", "revision 0123abcdef01+17", "603", "1234567a"]
)
def test_what_is_no_phone_number_stays_readable(text: str) -> None:
    assert masked(text) == text


def test_the_file_watcher_is_quiet_about_every_file_that_changes() -> None:
    stream = written("text")
    logging.getLogger("watchfiles.main").info("1 change detected")
    assert stream.getvalue() == ""
