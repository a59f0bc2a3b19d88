"""The corpus of hostile input: what was captured and its mutations, and what fuzzing found.

Rule: a mutation is kept as its edits, so that a thousand of them are some kilobytes and show what
was done: ``{"of": capture, "edits": [[at, bytes removed, text put in, times]]}``. Other input is
kept whole (``{"data": text}``). Texts are the bytes as Latin-1.

``python -m tests.fuzz.corpus`` makes the mutations anew; what was added by hand stays.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gateway.protocols.esl_headers import Headers

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "corpus"
MANY = 12
"""Mutations of each capture."""
Edit = tuple[int, int, str, int]
SPECIALS = (
    *("%0A", "%00", "%ff", "%", "%2", "%0a%0a", "%2F", "%2B", "${system(id)}", "\n", "\n\n", "\0"),
    *("\r\n", "\xff", "\xc3\xa9", "HANGUP\n", "\n200 result=1\n", "agi_callerid: +18005550000\n"),
    *("Content-Length: 5\n", "Content-Length: -1\n", "Content-Length: 99999999999\n"),
    *("Content-Type: text/disconnect-notice\n", "Event-Name: CHANNEL_DATA\n", "\u00a0", "&", "="),
    *(": ", "*", "[", "{", "- ", "&a ", "*a", "!!python/none ", "'", '"', "\t", "+", "/"),
)
LONG = ("A", "%0A", "\n", "a: ", "[", "+1", "agi_arg_1: x\n", "variable_x: y\n")


def seeds(target: str) -> Iterator[tuple[str, bytes]]:
    """The captures and good examples of a target, by name."""
    for pattern in _PATTERNS.get(target, ()):
        for path in sorted(ROOT.parent.glob(pattern)):
            name, data = str(path.relative_to(ROOT.parent)), path.read_bytes()
            yield name, data
            if name.endswith(".connect.bin"):  # without our dialplan, it tells no direction
                yield f"{name} inbound", data.replace(b"\n\n", _INBOUND)
    for number, text in enumerate(_TEXTS.get(target, ())):
        yield f"example {number}", text.encode()
    if target == "http":
        for name, data in seeds("esl"):
            if name.endswith(".connect.bin inbound"):
                yield name, lookup(data)


def lookup(data: bytes) -> bytes:
    """What mod_xml_curl posts of a channel, behind the query of its URL."""
    pairs = [("section", "dialplan"), ("Hunt-Context", "public"), *Headers(data.strip()).items()]
    form = "&".join(f"{name}={quote(value, safe='/')}" for name, value in pairs)
    return b"inbound=public&next=screened\n" + form.encode()


def _posted(path: str, body: str, *headers: str) -> str:
    """A request as ``tests.fuzz.asking`` takes it."""
    head = (f"POST {path} HTTP/1.1", "Host: localhost", "Authorization: Bearer @", *headers)
    return "\r\n".join((*head, "Content-Length: @", "", body))


_INBOUND = b"\nvariable_callgate_direction: inbound\n\n"
_PATTERNS = {
    "agi": ("tests/vectors/agi/*.bin",),
    "esl": ("tests/vectors/esl/*.bin",),
    "policy": ("tests/policies/good/*.yaml", "tests/policies/bad/*.yaml", "config/policy.yaml"),
    "settings": ("config/callgate.yaml", "tests/*/config/callgate.yaml"),
}
_TEXTS: dict[str, tuple[str, ...]] = {
    "numbers": (
        *("+33123456789", "0033123456789", "0123456789", "112", "1234", "anonymous", "+266696687"),
        *("tel:+15551234567;phone-context=+1", "sip:+33123456789@example.org;user=phone", ""),
        *(
            "*31*0123456789",
            "011 54 9 11 1234-5678",
            "+39 06 6982",
            "\uff0b\uff11\uff12",
            "+330123",
        ),
    ),
    "http": (
        '{"direction":"inbound","caller":"+33123456789","callee":"+33140000000","trunk":"t"}',
        "direction=inbound&caller=%2B33162000000&callee=%2B33140000000&caller_name=J%C3%A9",
        "call=screen/inbound/t5/-/%2B15551234567/%2B33140000000/allowed&channel_id=17953.4",
    ),
}
_JSON, _FORM, _PATH = _TEXTS["http"]
_LOOKUP = (
    "section=dialplan&Hunt-Context=public&Hunt-Caller-ID-Number=%2B33162000000"
    "&Hunt-Destination-Number=%2B33140000000&Unique-ID=u-1&variable_sip_from_display=J%C3%A9"
)
_TEXTS["web"] = (
    _posted("/v1/screen", _JSON, "Content-Type: application/json"),
    _posted("/v1/screen/asterisk", _FORM, "Content-Type: application/x-www-form-urlencoded"),
    _posted("/v1/screen/asterisk", _PATH, "Connection: close"),
    _posted("/v1/freeswitch/dialplan?inbound=public&next=screened&trunk=t5", _LOOKUP),
    _posted("/v1/screen", _JSON.replace("}", ',"report":true}'), "Origin: http://localhost"),
    _posted("/v1/screen", '5\r\n{"dir\r\n0\r\n\r\n', "Transfer-Encoding: chunked", "Expect: x"),
    "GET /v1/screen HTTP/1.0\r\nAuthorization: Basic eDp4\r\nCookie: a=b\r\n\r\n",
    "GET /readyz HTTP/1.1\r\nHost: [::1]:80\r\n\r\nGET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
_TEXTS["smuggled"] = (
    *('","caller":"+33611000000', "&caller=%2B33611000000", '"}', "\\", '\\","x":"'),
    *("&call=screen/inbound/t5/-/%2B33611000000/%2B33140000000/allowed", "&mode=report"),
    *("&Hunt-Context=screened&Hunt-Caller-ID-Number=%2B33611000000", "J\u00e9r\u00f4me, 3e"),
    *("&variable_callgate_direction=outbound&section=directory", '","report":true,"trunk":"t5'),
)


def mutations(data: bytes, chance: random.Random, count: int) -> Iterator[list[Edit]]:
    """Edits of one capture, of every kind in turn."""
    for number in range(count):
        yield [_KINDS[number % len(_KINDS)](data, chance)]


def _flip(data: bytes, chance: random.Random) -> Edit:
    at = chance.randrange(len(data))
    return at, 1, chr(data[at] ^ 1 << chance.randrange(8)), 1


def _cut(data: bytes, chance: random.Random) -> Edit:
    at = chance.randrange(len(data))
    return at, len(data) - at, "", 0


def _hole(data: bytes, chance: random.Random) -> Edit:
    return chance.randrange(len(data)), chance.randrange(1, 60), "", 0


def _twice(data: bytes, chance: random.Random) -> Edit:
    start, end = _line(data, chance)
    at, _ = _line(data, chance)
    return at, 0, data[start:end].decode("latin-1"), chance.choice((1, 1, 2))


def _swap(data: bytes, chance: random.Random) -> Edit:
    start, end = _line(data, chance)
    after = data.find(b"\n", end) + 1 or len(data)
    return start, after - start, (data[end:after] + data[start:end]).decode("latin-1"), 1


def _special(data: bytes, chance: random.Random) -> Edit:
    return chance.randrange(len(data) + 1), 0, chance.choice(SPECIALS), 1


def _at_line(data: bytes, chance: random.Random) -> Edit:
    return _line(data, chance)[0], 0, chance.choice(SPECIALS), 1


def _long(data: bytes, chance: random.Random) -> Edit:
    text = chance.choice(LONG)
    times = chance.choice((100, 5000, 20000, 70000)) // len(text)
    return chance.randrange(len(data) + 1), 0, text, times


_KINDS: tuple[Callable[[bytes, random.Random], Edit], ...] = (
    *(_special, _at_line, _flip, _twice, _swap, _cut, _special, _hole, _at_line, _flip, _special),
    _long,
)


def _line(data: bytes, chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(len(data))
    return data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1 or len(data)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """A capture after its edits, one after the other."""
    for at, removed, text, times in edits:
        data = data[:at] + text.encode("latin-1") * times + data[at + removed :]
    return data


def corpus(target: str) -> list[tuple[str, bytes]]:
    """Every input of a target, with a name that finds its line again."""
    of = dict(seeds(target))
    found: dict[bytes, str] = {}
    for name, data in of.items():
        found.setdefault(data, name)
    for number, row in enumerate(_rows(target), start=1):
        whole = row.get("data")
        made = edited(of[row["of"]], row["edits"]) if whole is None else whole.encode("latin-1")
        assert made not in found, f"{target}.jsonl line {number} is {found[made]}"
        found[made] = f"{target}.jsonl line {number}"
    return [(name, data) for data, name in found.items()]


def _rows(target: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{target}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def make(target: str) -> None:
    """Write the mutations of a target anew, in front of what was added by hand."""
    chance = random.Random(target)
    kept = [row for row in _rows(target) if "data" in row]
    known = {data for _, data in seeds(target)}
    rows: list[dict[str, Any]] = []
    for name, data in seeds(target):
        for edits in mutations(data, chance, MANY) if data else ():
            made = edited(data, edits)
            if made not in known:
                known.add(made)
                rows.append({"of": name, "edits": edits})
    lines = (json.dumps(row) for row in (*rows, *kept))
    (FOLDER / f"{target}.jsonl").write_text("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    for each in ("agi", "esl", "policy", "settings", "numbers", "http", "web", "smuggled"):
        make(each)
