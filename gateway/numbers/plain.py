"""Which entries in plain form, ``+`` and digits, are sound by their beginning and length alone.

Rule: what is called sound here is taken as it stands by ``read_number_entry``, or as a prefix by
``read_starred_entry`` (tests hold them together). What is not may be sound too: ask them.
"""

from __future__ import annotations

from functools import cache

from gateway.numbers.metadata import LONGEST, Rules, rules_for

HEAD = 5
"""Digits that are looked at: a country code of three at most, and two behind it."""
_BEHIND = 2
_DIGITS = frozenset("0123456789")
_REST = "."
"""Behind a beginning of which nobody knows how it goes on."""
_NONE: frozenset[int] = frozenset()
_ANY = frozenset(range(HEAD, LONGEST + 1))


def sound_lengths(head: str) -> tuple[frozenset[int], frozenset[int]]:
    """How many digits numbers, and prefixes, have that begin with these and are sound."""
    if head[0] == "0":
        return _NONE, _NONE
    rules = rules_for(head)
    if rules is None:
        return _NONE, _ANY
    national = head[len(rules.code) :]
    kept = rules.trunk[:1] == national[0]
    dropped = national.startswith(_dropped(rules))
    lengths = frozenset(len(rules.code) + size for size in rules.possible)
    return (_NONE if dropped else lengths & _ANY), (_NONE if kept else _ANY)


@cache
def _dropped(rules: Rules) -> tuple[str, ...]:
    """With what begins what may be dropped or changed behind the country code."""
    found = beginnings(rules.parsing, _BEHIND)
    return tuple({begin.rstrip(_REST) for begin in found if begin})


def beginnings(pattern: str, size: int) -> frozenset[str]:
    """The first ``size`` digits of every match of a pattern.

    What is shorter is a whole match, or has a ``.`` behind it: then anything may follow.
    Understands what libphonenumber writes: digits, classes, groups, ``|`` and ``?``. Of anything
    else a match may begin as it likes.
    """
    found = frozenset[str]().union(*(_of_branch(one, size) for one in _branches(pattern)))
    return frozenset(begin[:size] for begin in found)


def _of_branch(branch: str, size: int) -> frozenset[str]:
    if not branch or not size:
        return frozenset([""])
    if branch.startswith("(?!)"):
        return frozenset()
    atom = _first_atom(branch)
    rest = branch[len(atom) :]
    if rest[:1] in ("*", "+", "{"):
        return frozenset([_REST])
    optional = rest[:1] == "?"
    rest = rest[optional:]
    found = frozenset(
        begin + after
        for begin in _of_atom(atom, size)
        for after in ([""] if begin.endswith(_REST) else _of_branch(rest, size - len(begin)))
    )
    return found | _of_branch(rest, size) if optional else found


def _of_atom(atom: str, size: int) -> frozenset[str]:
    if atom.isdigit():
        return frozenset(atom)
    if atom == r"\d":
        return _DIGITS
    if atom[0] == "(" and (atom[1] != "?" or atom.startswith("(?:")):
        return beginnings(atom[1:-1].removeprefix("?:"), size)
    if atom[0] == "[" and atom[1] != "^" and "\\" not in atom:
        return _of_class(atom[1:-1])
    return frozenset([_REST])


def _of_class(inside: str) -> frozenset[str]:
    found = set[str]()
    for place, sign in enumerate(inside):
        if sign == "-":
            low, high = int(inside[place - 1]), int(inside[place + 1])
            found |= set(map(str, range(low, high + 1)))
        else:
            found.add(sign)
    return frozenset(found)


def _branches(pattern: str) -> list[str]:
    """What stands between the bars that are in no group."""
    depth, found = 0, [""]
    for sign in pattern:
        depth += (sign == "(") - (sign == ")")
        if sign == "|" and not depth:
            found.append("")
        else:
            found[-1] += sign
    return found


def _first_atom(branch: str) -> str:
    """One digit, class, escape or whole group."""
    if branch[0] == "\\":
        return branch[:2]
    if branch[0] == "[":
        return branch[: branch.index("]") + 1]
    depth = 0
    for place, sign in enumerate(branch):
        depth += (sign == "(") - (sign == ")")
        if not depth:
            return branch[: place + 1]
    return branch
