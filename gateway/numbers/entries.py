"""Entries of lists: a number or prefix as people write it, read once when a list is loaded.

The rule: what is written without ``+`` must say by an international or trunk prefix what it is;
anything doubtful is refused, and the message proposes the ``+`` form. Numbers are normalised as
``read`` does it, prefixes textually, so that an entry never silently misses what it names.
"""

from __future__ import annotations

from dataclasses import dataclass

from phonenumbers import ValidationResult

from gateway.errors import BadEntry
from gateway.numbers.clean import clean
from gateway.numbers.facts import is_valid
from gateway.numbers.metadata import (
    LONGEST,
    Rules,
    international,
    length_reason,
    national,
    rules_for,
    rules_of_region,
)
from gateway.numbers.plan import after_international_prefix, known_region

_SHORT = 6
_QUOTED = 80
ZERO_KEPT = frozenset({"IT", "SM", "VA"})
"""Regions whose numbers begin with a 0 that is dialled from everywhere."""
TRANSFORMED = frozenset({"AR", "BR", "MX"})
"""Regions where a national prefix comes with digits that change or vanish behind ``+``."""
_FAULTS: dict[int, str] = {
    ValidationResult.TOO_SHORT: "is too short for +{} (is it a prefix?)",
    ValidationResult.TOO_LONG: "is too long for +{}",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "lacks the area code of +{} (is it a prefix?)",
}
TOO_SHORT = (
    "too short for a whole number: taken as a prefix, it covers every number that begins with it"
)
_ANY_FORM = "all of it, with + and the country code"
_PREFIXES = (ValidationResult.TOO_SHORT, ValidationResult.IS_POSSIBLE_LOCAL_ONLY)


@dataclass(frozen=True, slots=True)
class Inferred:
    """What text without a type was taken for: ``kind`` is ``number`` or ``prefix``."""

    kind: str
    digits: str
    warning: str = ""


def read_number_entry(text: str, region: str | None) -> str:
    """E.164 digits of one exact number; raises ``BadEntry``."""
    digits = text[1:]
    if (
        text[:1] == "+"
        and digits.isdigit()
        and digits.isascii()
        and (e164 := international(digits))
    ):
        return e164
    digits, rules = _explicit(text, region, whole=True)
    e164 = international(digits) if rules is None else national(digits, rules.region, False)
    if not e164:
        raise BadEntry(_impossible(text, digits if rules is None else rules.code + digits))
    return e164


def read_prefix_entry(text: str, region: str | None) -> str:
    """Digits that E.164 numbers begin with, normalised as text; raises ``BadEntry``."""
    if text.endswith("*"):
        raise BadEntry(f"{_quoted(text)} ends in *: a prefix is written without it here")
    return _read_prefix(text, region)


def read_starred_entry(text: str, region: str | None) -> str:
    """The same of a prefix that is told by the star at its end: ``+33162*``."""
    begins = text.rstrip("* ")
    if not begins:
        raise BadEntry(f"{_quoted(text)} would be every number: write how they begin, as +33162*")
    return _read_prefix(begins, region)


def _read_prefix(text: str, region: str | None, *, whole: bool = False) -> str:
    """``whole``: whoever wrote it may as well have meant a number or short code."""
    digits = text[1:]
    if text[:1] != "+" or not digits.isdigit() or not digits.isascii():
        digits, rules = _explicit(text, region, whole=whole)
        if rules is not None:
            digits = rules.code + _textual(text, digits, rules)
    return _prefix(text, digits)


def read_short_entry(text: str) -> str:
    """Digits of an extension or short code, as they are dialled; raises ``BadEntry``."""
    digits = clean(text).text
    if not digits.isdigit() or len(digits) > LONGEST:
        raise BadEntry(f"{_quoted(text)} is no short number: 1 to {LONGEST} digits, without +")
    return digits


def infer_entry(text: str, region: str | None) -> Inferred:
    """Number or prefix, for sources that do not say which; raises ``BadEntry``.

    A prefix ends in ``*`` or is too short to be a number, all else is a number.
    """
    text = text.strip()
    if text.endswith("*"):
        return Inferred("prefix", read_starred_entry(text, region))
    try:
        digits = read_number_entry(text, region)
    except BadEntry as fault:
        digits = _read_prefix(text, region, whole=True)
        if len(digits) < 4 or length_reason(digits) in _PREFIXES:
            return Inferred("prefix", digits, TOO_SHORT)
        return Inferred("number", digits, str(fault))
    if is_valid(digits):
        return Inferred("number", digits)
    return Inferred("number", digits, f"+{digits} is in no range that is known to be in use")


def _quoted(text: str) -> str:
    """What was written, cut: a line of a broken file may have megabytes."""
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…")


def _explicit(text: str, region: str | None, *, whole: bool) -> tuple[str, Rules | None]:
    """Digits behind ``+``, or digits as dialled in a region whose rules come with them.

    ``whole``: a number may be meant, so that only a number that is possible is proposed.
    """
    cleaned, context, _ = clean(text)
    if context and cleaned.isdigit():
        return context + cleaned, None
    if cleaned[:1] == "+":
        return _behind_plus(text, cleaned[1:]), None
    if not cleaned.isdigit():
        raise BadEntry(_unreadable(text))
    name = known_region(region)
    if behind := after_international_prefix(cleaned, name):
        return _behind_plus(text, behind), None
    if cleaned.startswith("00") and not cleaned.strip("0"):
        raise BadEntry(f"{_quoted(text)} has nothing after the international prefix")
    if name is None:
        raise BadEntry(f"{_quoted(text)} needs a region or a +: {_without_region(cleaned, whole)}")
    return _national_digits(text, cleaned, rules_of_region(name), whole)


def _national_digits(text: str, digits: str, rules: Rules, whole: bool) -> tuple[str, Rules]:
    trunk = rules.trunk and digits.startswith(rules.trunk)
    if rules.region in TRANSFORMED and trunk:
        raise BadEntry(
            f"{_quoted(text)} has a national prefix, which is ambiguous in {rules.region}: "
            f"write {_transformed(digits, rules, whole)}"
        )
    nanp = rules.code == "1" and len(digits) == 10
    zero = rules.region in ZERO_KEPT and digits[0] == "0"
    if not (trunk or nanp or zero):
        raise BadEntry(
            f"{_quoted(text)} has neither +, international prefix nor trunk prefix: "
            + _advice(digits, rules, whole)
        )
    return digits, rules


def _advice(digits: str, rules: Rules, whole: bool) -> str:
    """What to write instead; few digits may be a short code, which is not the region's prefix."""
    found = _meant(digits, rules, whole)
    if len(digits) > _SHORT:
        return f"write {found or _ANY_FORM}"
    kind = "short" if whole else "short_prefix"
    short = f"a short code is of the kind {kind}"
    return f"write {found}; {short}" if found else f"{short}; a prefix begins with +"


def _meant(digits: str, rules: Rules, whole: bool) -> str:
    """The ``+`` forms that may have been meant; where there are two, with when it is which.

    The 33 of a French prefix is a country code, or how numbers behind +33 begin: nobody can tell.
    Of two whole numbers that are possible, one that is in use is meant.
    """
    abroad, home = digits if rules_for(digits) else "", rules.code + digits
    if whole:
        abroad, home = international(digits), national(digits, rules.region, False)
    forms = {
        abroad: " if it begins with a country code",
        home: f" if it is national ({rules.region})",
    }
    if not digits.startswith(rules.code):
        forms = dict(reversed(forms.items()))
    likely = [form for form in forms if form]
    if whole and len(likely) > 1:
        likely = [form for form in likely if is_valid(form)] or likely
    if len(likely) == 1:
        return f"+{likely[0]}"
    return ", ".join(f"+{form}{forms[form]}" for form in likely)


def _without_region(digits: str, whole: bool) -> str:
    if not whole and rules_for(digits):
        return f"write +{digits} if it begins with a country code"
    found = international(digits)
    return f"write +{found}" if found else "write + and the country code before it"


def _unreadable(text: str) -> str:
    if "*" in text.rstrip("* "):
        return f"{_quoted(text)} is no phone number: there is a * in it"
    if text.rstrip().endswith("*"):
        return f"{_quoted(text)} is no phone number: what ends in * is a prefix"
    return f"{_quoted(text)} is no phone number: write it as +33123456789"


def _behind_plus(text: str, digits: str) -> str:
    if not digits:
        raise BadEntry(f"{_quoted(text)} has nothing after +")
    if not digits.isdigit():
        raise BadEntry(_unreadable(text))
    return digits


def _textual(text: str, digits: str, rules: Rules) -> str:
    """Drop the trunk prefix of a national form once."""
    if not rules.trunk or not digits.startswith(rules.trunk):
        return digits
    rest = digits.removeprefix(rules.trunk)
    if not rest:
        raise BadEntry(f"{_quoted(text)} has nothing after the trunk prefix")
    if rest.startswith("0"):
        raise BadEntry(f"{_quoted(text)} is ambiguous: write it with + and the country code")
    return rest


def _prefix(text: str, digits: str) -> str:
    if not digits:
        raise BadEntry(f"{_quoted(text)} has nothing after +")
    if digits[0] == "0":
        raise BadEntry(f"{_quoted(text)}: no country code begins with 0")
    if len(digits) > LONGEST:
        raise BadEntry(f"{_quoted(text)} is longer than {LONGEST} digits")
    rules = rules_for(digits)
    if rules is None or not rules.trunk:
        return digits
    rest = digits[len(rules.code) :]
    kept = rest.startswith(rules.trunk) or (rest and rules.trunk.startswith(rest))
    if not kept or rules.can_begin(rest):
        return digits
    return _without_kept_trunk(text, rest, rules)


def _without_kept_trunk(text: str, rest: str, rules: Rules) -> str:
    """``+330162`` is ``+33162``, as ``+330162…`` is read; ``+330`` alone would be all of it."""
    shorter = rest.removeprefix(rules.trunk) if len(rest) > len(rules.trunk) else ""
    if not shorter or rules.region in TRANSFORMED:
        raise BadEntry(
            f"{_quoted(text)} keeps the national prefix {rules.trunk} behind the country code: "
            f"write +{rules.code}{shorter or ' and what follows it'}"
        )
    return rules.code + shorter


def _transformed(digits: str, rules: Rules, whole: bool) -> str:
    """The ``+`` form of digits with a national prefix; of a whole number, one that is possible."""
    possible = national(digits, rules.region, True) or international(digits)
    if whole and not possible:
        return _ANY_FORM
    return "+" + (possible or rules.code + digits.removeprefix(rules.trunk))


def _impossible(text: str, digits: str) -> str:
    rules = rules_for(digits)
    if rules is None:
        return f"{_quoted(text)} is no possible number: no country code begins +{digits[:3]}"
    reason = rules.reason(rules.significant(digits[len(rules.code) :]))
    what = _FAULTS.get(reason, "has a length that +{} does not use")
    return f"{_quoted(text)} is no possible number: it {what.format(rules.code)}"
