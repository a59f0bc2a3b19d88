"""From raw text to typed settings: the scalar types of our YAML, and faults with their place.

Models are the single source of truth for keys, their documentation and the JSON Schema. Every
scalar arrives as text; a schema must also accept what an editor makes of it (``+33162`` without
quotes is an integer to an editor), which is what the ``WithJsonSchema`` of each type says.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from gateway.errors import Fault
from gateway.yamlfile import Document, KeyPath

Model = TypeVar("Model", bound=BaseModel)

SHOWN_FAULTS = 200
"""How many faults of one file are reported one by one."""

_ROUNDS = 10
"""How often what is left is looked at again; each time it has lost what was at fault."""

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION = r"(\d{1,9})(ms|s|m|h|d)"
_SIZE = r"(\d{1,9})(B|KiB|MiB|GiB)"
_TEXT_SCHEMA = {"type": ["string", "number", "boolean"]}


class Section(BaseModel):
    """A mapping of the YAML: immutable, and an unknown key is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_duration(text: str) -> float:
    """Seconds from ``500ms``, ``1s``, ``30m``, ``12h`` or ``90d``. Raises ValueError."""
    found = re.fullmatch(_DURATION, text, re.ASCII)
    if found is None:
        raise ValueError(f"must be a number with ms, s, m, h or d, such as 30m, not '{text}'")
    return int(found[1]) * _SECONDS[found[2]]


def parse_size(text: str) -> int:
    """Bytes from ``512KiB``, ``16MiB`` or ``1GiB``. Raises ValueError."""
    found = re.fullmatch(_SIZE, text, re.ASCII)
    if found is None:
        raise ValueError(f"must be a number with B, KiB, MiB or GiB, such as 16MiB, not '{text}'")
    return int(found[1]) * _BYTES[found[2]]


def _parse_flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(f"must be true or false, not '{text}'")
    return text.lower() == "true"


def parse_count(text: str) -> int:
    """A whole number of at most nine digits; ValueError says what was wrong."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(f"must be a whole number, not '{text}'")
    return int(text)


def from_text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse text; what is already a value of the type (a default, a test) passes through."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


Text = Annotated[str, WithJsonSchema(_TEXT_SCHEMA)]
"""Free text; an editor may take some of it for a number or a boolean."""
Digits = Annotated[str, WithJsonSchema({"type": ["string", "integer"]})]
"""A number, prefix, code or pattern as people write it."""
Flag = Annotated[bool, from_text(_parse_flag), WithJsonSchema({"type": "boolean"})]
Count = Annotated[int, from_text(parse_count), WithJsonSchema({"type": "integer", "minimum": 0})]
Duration = Annotated[
    float,
    from_text(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION}$"}),
]
Size = Annotated[
    int, from_text(parse_size), WithJsonSchema({"type": "string", "pattern": f"^{_SIZE}$"})
]


def validate(
    document: Document, model: type[Model], stand_ins: Mapping[str, str] = MappingProxyType({})
) -> tuple[Model | None, list[Fault]]:
    """The document as a model, and every fault of its shape.

    What is at fault is dropped, so that the rest can still be checked: the model is None only
    when nothing is left. ``stand_ins`` are values for required keys that are missing or wrong.
    """
    faults: list[Fault] | None = None
    for _ in range(_ROUNDS):
        try:
            return model.model_validate(document.value), faults or []
        except ValidationError as error:
            found = error.errors(include_url=False)
        if faults is None:
            faults = [_fault(document, details, model) for details in found]
        if any(not details["loc"] for details in found):
            break
        _mend(document, found, stand_ins)
    return None, faults or []


def _mend(document: Document, found: Iterable[ErrorDetails], stand_ins: Mapping[str, str]) -> None:
    """Take out what is at fault, from the ends of lists so that no item moves before its turn."""
    dropped: set[KeyPath] = set()
    for details in sorted(found, key=lambda details: _last_first(_path(details))):
        path, unknown = _path(details), details["type"] == "extra_forbidden"
        parent, key = document.at(path[:-1]), path[-1]
        if any(path[:length] in dropped for length in range(len(path))):
            continue
        if isinstance(parent, dict) and key in stand_ins and not unknown:
            parent[key] = stand_ins[str(key)]
            continue
        written = isinstance(key, int) or (isinstance(parent, dict) and key in parent)
        gone = path if written else path[:-1]
        if gone:
            document.drop(gone)
            dropped.add(gone)
        else:
            document.value = {}


def _last_first(path: KeyPath) -> list[tuple[int, str]]:
    """Orders the items of a list from its end, so that dropping one moves no other."""
    return [(-part, "") if isinstance(part, int) else (0, part) for part in path]


def capped(faults: Iterable[Fault]) -> list[Fault]:
    """The faults in the order of their places, at most SHOWN_FAULTS of each file one by one."""
    by_file: dict[str, list[Fault]] = {}
    for fault in faults:
        by_file.setdefault(fault.file, []).append(fault)
    shown = []
    for file, found in by_file.items():
        found.sort()
        shown += found[:SHOWN_FAULTS]
        if len(found) > SHOWN_FAULTS:
            more = f"and {len(found) - SHOWN_FAULTS:,} more faults in this file"
            shown.append(Fault(file, 0, 0, "", more))
    return shown


def suggestion(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known word that is nearest, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def either(words: Iterable[str]) -> str:
    """``'a', 'b' or 'c'``."""
    quoted = [f"'{word}'" for word in words]
    return " or ".join(filter(None, [", ".join(quoted[:-1]), quoted[-1]]))


def _path(details: ErrorDetails) -> KeyPath:
    return tuple(part for part in details["loc"] if part != "[key]")


def _fault(document: Document, details: ErrorDetails, model: type[BaseModel]) -> Fault:
    path = _path(details)
    kind = details["type"]
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        message = f"unknown key{suggestion(str(path[-1]), known)}"
        return document.fault(path, message, key=True)
    if kind == "missing":
        return document.fault(path, _message(details), near=path[:-1], key=True)
    return document.fault(path, _message(details), key="[key]" in details["loc"])


_SHAPES = {
    "string_type": "must be text",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of names to values",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number with its unit",
}


def _message(details: ErrorDetails) -> str:
    kind, value = details["type"], details["input"]
    if kind == "missing":
        return "this key is required"
    nothing = ", and there is nothing here" if value is None else ""
    if kind in _SHAPES:
        return _SHAPES[kind] + nothing
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']*)'", details["ctx"]["expected"])
        found = f", not '{value}'" if isinstance(value, str) else nothing
        return f"must be {either(words)}{found}"
    return details["msg"].removeprefix("Value error, ")


def _keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys of the section at a path: names and item numbers step into the type they hold."""
    found: Any = model
    for part in path:
        section = _section(found)
        if section is None:
            found = get_args(found)[-1] if get_args(found) else None
        else:
            item = section.model_fields.get(str(part))
            found = None if item is None else item.annotation
    section = _section(found)
    return [] if section is None else list(section.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The section that a type is, or may be beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next(filter(None, map(_section, get_args(annotation))), None)
    return None
