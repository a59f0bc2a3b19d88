"""Which entries in plain form, ``+`` and digits, are sound by their beginning and length alone.

Rule: what is called sound here is taken as it stands by ``read_number_entry``, or as a prefix by
``read_starred_entry`` (tests hold them together). What is not may be sound too: ask them.
"""

from __future__ import annotations

from functools import cache

from gateway.numbers.metadata import LONGEST, Rules, rules_for

HEAD = 4
"""Digits that are looked at: a country code of three at most, and the first behind it."""
_DIGITS = frozenset("0123456789")
_NONE: frozenset[int] = frozenset()
_ANY = frozenset(range(HEAD, LONGEST + 1))


def sound_lengths(head: str) -> tuple[frozenset[int], frozenset[int]]:
    """How many digits numbers, and prefixes, have that begin with these four and are sound."""
    if head[0] == "0":
        return _NONE, _NONE
    rules = rules_for(head)
    if rules is None:
        return _NONE, _ANY
    first = head[len(rules.code)]
    kept = rules.trunk[:1] == first
    dropped = first in _dropped(rules)
    lengths = frozenset(len(rules.code) + size for size in rules.possible)
    return (_NONE if dropped else lengths & _ANY), (_NONE if kept else _ANY)


@cache
def _dropped(rules: Rules) -> frozenset[str]:
    """The digits with which begins what may be dropped or changed behind the country code."""
    begins, _ = first_digits(rules.parsing)
    return begins


def first_digits(pattern: str) -> tuple[frozenset[str], bool]:
    """With which digits a match can begin, and whether it can be empty.

    Understands what libphonenumber writes: digits, classes, groups, ``|``, ``?`` and counts. Of
    anything else a match may begin with any digit.
    """
    found: frozenset[str] = frozenset()
    empty = False
    for branch in _branches(pattern):
        begins, nothing = _of_branch(branch)
        found |= begins
        empty |= nothing
    return found, empty


def _of_branch(branch: str) -> tuple[frozenset[str], bool]:
    if not branch:
        return frozenset(), True
    if branch.startswith("(?!)"):
        return frozenset(), False
    atom = _first_atom(branch)
    rest = branch[len(atom) :]
    if atom.isdigit():
        begins, empty = frozenset(atom), False
    elif atom.startswith("(") and not atom.startswith(("(?!", "(?=", "(?<")):
        begins, empty = first_digits(atom[1:-1].removeprefix("?:"))
    else:
        begins, empty = _of_class(atom)
    if rest[:1] in ("?", "*") or rest.startswith("{0"):
        empty = True
    if not empty:
        return begins, False
    after, nothing = _of_branch(rest.lstrip("?*+") if rest[:1] != "{" else rest.partition("}")[2])
    return begins | after, nothing


def _of_class(atom: str) -> tuple[frozenset[str], bool]:
    """``[08]``, ``[2-5]``; of ``\\d`` and all else any digit."""
    if not atom.startswith("[") or atom[1] == "^" or "\\" in atom:
        return _DIGITS, atom[0] not in "[\\"
    begins, inside = set[str](), atom[1:-1]
    for place, sign in enumerate(inside):
        if sign == "-":
            low, high = int(inside[place - 1]), int(inside[place + 1])
            begins |= set(map(str, range(low, high + 1)))
        else:
            begins.add(sign)
    return frozenset(begins), False


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
