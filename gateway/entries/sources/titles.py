"""What columns of people's files are called, in many languages, and what each of them holds.

Rule: a whole name that is known counts before one of its words, and a word of telephones before one
of numbers. What a name says twice, in different words, it does not say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

PHONES = (
    *("phone", "phones", "telephone", "telephones", "tel", "number", "msisdn", "e164", "mobile"),
    *("phonenumber", "telephonenumber", "mobilenumber", "cellnumber", "cell", "cellphone"),
    *("mobilephone", "contactnumber", "callee", "dnis", "landline"),
    *("numero", "portable", "fixe", "gsm", "telefon", "telefonnummer", "rufnummer", "nummer"),
    *("handy", "handynummer", "mobil", "mobilnummer", "mobiltelefon", "festnetz"),
    *("telefono", "movil", "celular", "telefone", "telemovel", "cellulare", "fisso"),
    *("telefoon", "telefoonnummer", "mobiel", "puhelin", "puhelinnumero", "matkapuhelin"),
    *("telefonszam", "cislo", "numer", "komorka", "telefonnumer", "tlf", "mobilnr", "telnr"),
    *("телефон", "номер", "мобильный", "τηλεφωνο", "κινητο", "טלפון", "هاتف", "電話", "電話番号"),
    *("电话", "手机", "전화번호", "전화", "โทรศัพท์"),
)
"""Words, without accents and in small letters, that a column of telephone numbers is called by."""

_NUMBERS = frozenset({"number", "numero", "nummer", "numer", "cislo", "номер"})
"""Those of them that other numbers are called by, too."""
_CALLERS = ("callerid", "caller")

_REASONS = (
    *("reason", "description", "note", "notes", "comment", "comments", "remark", "remarks"),
    *("motif", "raison", "commentaire", "commentaires", "remarque", "libelle", "grund"),
    *("bemerkung", "bemerkungen", "notiz", "kommentar", "beschreibung", "anmerkung", "motivo"),
    *("razon", "comentario", "comentarios", "nota", "descripcion", "observaciones", "descricao"),
    *("motivazione", "descrizione", "reden", "opmerking", "omschrijving", "syy", "orsak"),
    *("begrunnelse", "begrundelse", "powod", "uwagi", "opis", "duvod", "poznamka", "megjegyzes"),
    *("причина", "комментарий", "αιτια", "σχολιο", "סיבה", "سبب", "理由", "原因", "备注", "사유"),
)
_EXPIRIES = (
    *("expires", "expiry", "expiresat", "expiration", "expirydate", "expirationdate", "until"),
    *("validuntil", "end", "enddate", "fin", "echeance", "ablauf", "ablaufdatum", "ende"),
    *("bis", "gultigbis", "gueltigbis", "enddatum", "caducidad", "vencimiento", "hasta"),
    *("scadenza", "vencimento", "validade", "vervaldatum", "verloopt", "einddatum", "utloper"),
    *("udlober", "paattyy", "waznosc", "wygasa", "konec", "lejarat", "истекает", "срок"),
    *("ληξη", "תפוגה", "期限", "到期", "만료"),
)
_PREFIXES = ("prefix", "prefixe", "prafix", "praefix", "prefijo", "prefisso", "prefixo", "vorwahl")

NAMES: Mapping[str, tuple[str, ...]] = {
    "number": (*PHONES, *_CALLERS),
    "prefix": _PREFIXES,
    "reason": _REASONS,
    "expires": _EXPIRIES,
}
"""What columns of a list hold, and the words that they may be called by."""

_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words(text: str) -> list[str]:
    """The words of a column's name, without accents and in small letters."""
    return _WORD.findall(folded(_HUMP.sub(" ", text)))


def folded(text: str) -> str:
    """Without accents and in small letters."""
    parted = unicodedata.normalize("NFKD", text).casefold()
    whole = "".join(sign for sign in parted if not unicodedata.combining(sign))
    return unicodedata.normalize("NFC", whole)


def places(header: Sequence[str]) -> dict[str, int]:
    """Which column, from 0, holds what of NAMES, as far as their names say it."""
    named = [words(cell) for cell in header]
    found: dict[str, int] = {}
    for what, called in NAMES.items():
        ranked = [
            (rank, place)
            for place, said in enumerate(named)
            if (rank := _rank(said, what, called)) is not None
        ]
        if ranked:
            found[what] = min(ranked)[1]
    return found


def _rank(said: Sequence[str], what: str, called: Sequence[str]) -> int | None:
    """How surely a name says what a column holds, 0 the surest; None: it does not."""
    whole = "".join(said)
    if whole in called:
        return called.index(whole)
    meant = {name for name, known in NAMES.items() if not set(said).isdisjoint(known)}
    if meant != {what}:
        return None
    return len(called) + (set(said) & set(called) <= _NUMBERS)


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first row names columns that are known, and has no number among them."""
    if any(_is_number(cell) for cell in cells):
        return False
    if len(cells) == 1:
        return any("".join(words(cells[0])) in called for called in NAMES.values())
    return bool(places(cells))


def _is_number(cell: str) -> bool:
    digits = sum(map(str.isdigit, cell))
    return digits > 3 or (digits > 0 and not any(map(str.isalpha, cell)))
