"""YAML as a tree of raw text: nothing is resolved, and every value knows where it stands.

YAML's own resolver would make ``+33162`` an integer, ``0044207`` octal, ``NO`` false and ``12:30``
a number of minutes. Here every scalar is the text that was written; only a plain empty value,
``~`` and ``null`` are None. The tree is built from the C parser's events instead of its composed
nodes, because composing recurses in C and a deeply nested file would crash the interpreter.
"""

from __future__ import annotations

import bisect
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from gateway.errors import ConfigError, Fault

MAX_DEPTH = 50
"""How deep mappings and lists may nest."""
MAX_ALIASED = 10_000
"""How many values all aliases of a file may stand for, so that a small file stays small."""

KeyPath = tuple[str | int, ...]
Place = tuple[int, int]
"""A line and a column, from 1."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_KNOWN_TAGS = frozenset({None, "!", *(f"tag:yaml.org,2002:{t}" for t in ("str", "map", "seq"))})


@dataclass(slots=True)
class Document:
    """What a file holds: dicts, lists, str and None, with the place of every key and value.

    ``faults`` are those that do not hinder reading on. What a later step finds unusable it takes
    out with ``drop``, so that the rest can be checked in the same report; paths are then those of
    what is left, and are reported as written.
    """

    file: str
    value: Any = None
    faults: list[Fault] = field(default_factory=list)
    values: dict[KeyPath, Place] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    damaged: set[KeyPath] = field(default_factory=set)
    _dropped: dict[KeyPath, list[int]] = field(default_factory=dict)

    def place(self, path: KeyPath, *, key: bool = False) -> Place:
        """Where a value stands, or its key; the nearest one around it if it is not written."""
        written = self._as_written(path)
        if key and written in self.keys:
            return self.keys[written]
        while written and written not in self.values:
            written = written[:-1]
        return self.values.get(written, (0, 0))

    def fault(
        self, path: KeyPath, message: str, *, key: bool = False, near: KeyPath | None = None
    ) -> Fault:
        """A fault about the value at a path, or about its key; ``near`` is where to look."""
        line, column = self.place(path if near is None else near, key=key)
        return Fault(self.file, line, column, key_text(self._as_written(path)), message)

    def has(self, path: KeyPath) -> bool:
        """Whether a value is written at a path."""
        return self._as_written(path) in self.values

    def drop(self, path: KeyPath) -> None:
        """Take a value out; every value around it counts as damaged."""
        written = self._as_written(path)
        self.damaged.update(path[:length] for length in range(len(path)))
        parent = self.at(path[:-1])
        last = path[-1]
        if isinstance(parent, list) and isinstance(last, int) and last < len(parent):
            del parent[last]
            bisect.insort(self._dropped.setdefault(written[:-1], []), int(written[-1]))
        elif isinstance(parent, dict):
            parent.pop(last, None)

    def at(self, path: KeyPath) -> Any:
        """The value at a path, None where there is none."""
        found = self.value
        for part in path:
            try:
                found = found[part]
            except (KeyError, IndexError, TypeError):
                return None
        return found

    def _as_written(self, path: KeyPath) -> KeyPath:
        if not self._dropped:
            return path
        written: KeyPath = ()
        for part in path:
            if isinstance(part, int):
                for gone in self._dropped.get(written, ()):
                    part += gone <= part
            written = (*written, part)
        return written


def key_text(path: KeyPath) -> str:
    """The path as people write it: ``lists.nuisance.prefixes[1]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")


def read_yaml(data: bytes, file: str) -> Document:
    """Read one document. ``file`` is the name that faults carry.

    Duplicate keys (the first counts), keys that are no text and tags are faults of the document.
    Raises ConfigError for bytes that are not UTF-8, broken syntax, several documents, aliases
    that recurse or swell, and too deep nesting.
    """
    text = decode_utf8(data, file)
    document = Document(file)
    builder = _Builder(document)
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            builder.take(event)
    except yaml.YAMLError as error:
        raise ConfigError([*document.faults, _syntax_fault(error, text, file)]) from None
    except _Refused as error:
        raise ConfigError([*document.faults, error.fault]) from None
    return document


def shown(path: Path) -> str:
    """A path as people name it from where they are: relative when it is below this folder."""
    try:
        here, absolute = Path.cwd(), path.absolute()
    except OSError:  # this folder is gone
        return str(path)
    below = len(here.parts) > 1 and absolute.is_relative_to(here)
    return os.path.normpath(absolute.relative_to(here) if below else path)


def decode_utf8(data: bytes, file: str) -> str:
    """The text of a file, without its byte order mark. Raises ConfigError when it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - before.rfind(b"\n")
        message = f"not UTF-8: byte 0x{data[error.start]:02X}"
        raise ConfigError([Fault(file, line, column, "", message)]) from None


def _syntax_fault(error: yaml.YAMLError, text: str, file: str) -> Fault:
    if isinstance(error, ReaderError):  # its position counts bytes
        before = text.encode()[: error.position].decode(errors="ignore")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Fault(file, line, column, "", f"a control character (U+{error.character:04X})")
    mark = getattr(error, "problem_mark", None)
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    if mark and text[mark.index : mark.index + 1] == "\t":
        return Fault(file, line, column, "", "a tab; YAML is indented with spaces")
    return Fault(file, line, column, "", f"not YAML: {_problem(error)}")


def _problem(error: yaml.YAMLError) -> str:
    """What the parser says. It stops where it can no longer go on, often after what is wrong."""
    parts = (getattr(error, "problem", None), getattr(error, "context", None))
    problem = " ".join(part for part in parts if part) or str(error)
    mark, begun = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if mark and begun and begun.line < mark.line:
        problem += f" that began on line {begun.line + 1}"
    return f"{problem} (here or just before)" if mark and mark.line else problem


class _Refused(Exception):
    """A fault after which nothing more can be read."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


_NO_KEY = object()
_DROPPED = object()


@dataclass(slots=True)
class _Frame:
    """A mapping or list that is still open, and the key that waits for its value."""

    value: Any
    path: KeyPath
    anchor: str | None
    size_before: int
    key: Any = _NO_KEY


class _Builder:
    """Takes events, grows the document. ``size`` counts values, those behind aliases too."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.size = 0
        self.aliased = 0
        self.documents = 0

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, {} if isinstance(event, yaml.MappingStartEvent) else [])
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise _Refused(self._fault(event, "a second document; only one is read"))

    def _scalar(self, event: Any) -> None:
        self.size += 1
        self._check_tag(event)
        plain_null = event.implicit[0] and event.value in _NULLS and not self._wants_key()
        value = None if plain_null else event.value
        if event.anchor:
            self.anchors[event.anchor] = (value, 1)
        self._add(value, event)

    def _alias(self, event: Any) -> None:
        name = event.anchor
        if name not in self.anchors:
            quoted = f"no value is called '{name}'; text that begins with * needs quotes"
            raise _Refused(self._fault(event, quoted))
        known = self.anchors[name]
        if known is None:
            raise _Refused(self._fault(event, f"the alias *{name} stands inside what it names"))
        value, size = known
        self.size += size
        self.aliased += size
        if self.aliased > MAX_ALIASED:
            swollen = f"aliases stand for more than {MAX_ALIASED:,} values"
            raise _Refused(self._fault(event, swollen))
        self._add(value, event)

    def _open(self, event: Any, value: Any) -> None:
        if len(self.stack) == MAX_DEPTH:
            raise _Refused(self._fault(event, f"nested more than {MAX_DEPTH} deep"))
        self._check_tag(event)
        path = self._next_path()
        before = self.size
        self.size += 1
        if event.anchor:
            self.anchors[event.anchor] = None
        self._add(value, event)
        self.stack.append(_Frame(value, path, event.anchor, before))

    def _close(self) -> None:
        frame = self.stack.pop()
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.value, self.size - frame.size_before)

    def _wants_key(self) -> bool:
        frame = self.stack[-1] if self.stack else None
        return frame is not None and isinstance(frame.value, dict) and frame.key is _NO_KEY

    def _next_path(self) -> KeyPath:
        if not self.stack:
            return ()
        frame = self.stack[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value))
        return (*frame.path, frame.key) if isinstance(frame.key, str) else frame.path

    def _add(self, value: Any, event: Any) -> None:
        if self._wants_key():
            self._take_key(value, event)
            return
        path = self._next_path()
        frame = self.stack[-1] if self.stack else None
        if frame is None:
            self.document.value = value
        elif isinstance(frame.value, list):
            frame.value.append(value)
        else:
            key, frame.key = frame.key, _NO_KEY
            if key is _DROPPED:
                return
            frame.value[key] = value
        self.document.values[path] = _place(event)

    def _take_key(self, key: Any, event: Any) -> None:
        frame = self.stack[-1]
        if not isinstance(key, str):
            self.document.faults.append(self._fault(event, "a key must be text"))
            frame.key = _DROPPED
        elif key in frame.value:
            frame.key = key
            first = self.document.keys[self._next_path()][0]
            twice = f"duplicate key; it is also on line {first}"
            self.document.faults.append(self._fault(event, twice))
            frame.key = _DROPPED
        else:
            frame.key = key
            self.document.keys[(*frame.path, key)] = _place(event)

    def _check_tag(self, event: Any) -> None:
        if event.tag not in _KNOWN_TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"the tag {tag}; tags have no meaning here, values are read as text"
            self.document.faults.append(self._fault(event, message))

    def _fault(self, event: Any, message: str) -> Fault:
        return Fault(self.document.file, *_place(event), key_text(self._next_path()), message)


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1
