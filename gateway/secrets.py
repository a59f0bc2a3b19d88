"""Where a secret of the settings comes from: the environment, else a credential of systemd, else a
file, else the YAML.

A credential is named as the variable is, in small letters: ``CALLGATE_AGI_SECRET`` is
``callgate_agi_secret`` (systemd.exec(5), LoadCredential=).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.errors import ConfigError, Fault
from gateway.files import Unreadable, read_file
from gateway.yamlfile import Document, KeyPath
from gateway.yamlmodel import Section, capped

_MOST: Final = 64 * 2**10
"""Bytes of a file that holds one secret."""
_URL_SECRET: Final = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_PASSWORD: Final = re.compile(r"[!-~](?:[ -~]{0,126}[!-~])?")


def url_secret(secret: str) -> str:
    """A secret that can stand in a URL. Raises ValueError."""
    if not _URL_SECRET.fullmatch(secret):
        raise ValueError("must be 1 to 128 letters, digits or . _ ~ - (it travels in a URL)")
    return secret


def password(text: str) -> str:
    """A password that can be sent on one line. Raises ValueError."""
    if not _PASSWORD.fullmatch(text):
        raise ValueError("must be 1 to 128 printable ASCII characters")
    return text


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret: its key, the variable that overrides it, and its rule."""

    path: KeyPath
    variable: str
    check: Callable[[str], str]

    def read(
        self, root: Section, document: Document, environ: Mapping[str, str], base: Path
    ) -> str:
        """Its value; a file is relative to ``base``. Raises ConfigError."""
        section = _section(root, self.path)
        key = str(self.path[-1])
        at = (*self.path[:-1], f"{key}_file")
        written, file = getattr(section, key), getattr(section, f"{key}_file")
        if key in section.model_fields_set and written and file:
            message = f"{key} and {key}_file exclude each other"
            raise ConfigError([document.fault(at, message, key=True)])
        if self.variable in environ:
            return self._checked(environ[self.variable], Fault("", 0, 0, self.variable, ""))
        if credential := self._credential(environ):
            return self._from_file(credential, Fault(credential, 0, 0, "", ""))
        if not file:
            return str(written)
        return self._from_file(os.path.normpath(base / file), document.fault(at, ""))

    def _credential(self, environ: Mapping[str, str]) -> str:
        """The file in which systemd hands it over; empty when it hands over none."""
        folder = environ.get("CREDENTIALS_DIRECTORY", "")
        path = os.path.join(folder, self.variable.lower())
        return path if folder and os.path.exists(path) else ""

    def _from_file(self, path: str, where: Fault) -> str:
        try:
            text = read_file(path, _MOST).decode()
        except Unreadable as error:
            raise ConfigError([_told(where, str(error))]) from None
        except UnicodeDecodeError:
            raise ConfigError([_told(where, "cannot be read: it is not text")]) from None
        return self._checked(text.strip(), where)

    def _checked(self, secret: str, where: Fault) -> str:
        try:
            return self.check(secret)
        except ValueError as error:
            message = f"the secret {error}"
        raise ConfigError(capped([_told(where, message)]))


def _told(where: Fault, message: str) -> Fault:
    return Fault(where.file, where.line, where.column, where.key, message)


def put(root: Any, path: KeyPath, value: str) -> Any:
    """The model with one key replaced: the same one when it has that value already."""
    name = str(path[0])
    old = getattr(root, name)
    new = value if len(path) == 1 else put(old, path[1:], value)
    return root if new == old else root.model_copy(update={name: new})


def _section(root: Section, path: KeyPath) -> Section:
    """The section that a key stands in."""
    for name in path[:-1]:
        root = getattr(root, str(name))
    return root
