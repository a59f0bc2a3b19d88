"""Files that are sent: as the body itself (``curl -T``), or as the file of a form.

Rule: the body is read by the handler, after it is known who sends it: nobody else fills a disk.
It lies in a file without a name, which is gone with the request or its job.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, cast

from fastapi import Request
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from gateway.web.context import Web
from gateway.web.problems import Problem

_MEMORY = 2**20
"""Bytes of a file that need no disk; and what is written to one at once."""
_TEXT = 4 * 2**20
"""Bytes of a field."""
_FORM = "multipart/form-data"
_BINARY = {"type": "string", "contentMediaType": "application/octet-stream"}


@dataclass(slots=True)
class Sent:
    """A file at its beginning, its name as the sender has it, and the other fields of its form."""

    file: BinaryIO
    name: str = ""
    fields: dict[str, list[str]] = field(default_factory=dict)
    kept: bool = False

    def keep(self) -> BinaryIO:
        """The file, which outlives its request; whoever takes it closes it."""
        self.kept = True
        return self.file


def taking(*media: str) -> dict[str, Any]:
    """The body in the OpenAPI document: text of these types, or a form with a ``file``."""
    content: dict[str, Any] = {name: {"schema": {"type": "string"}} for name in media}
    form = {"type": "object", "properties": {"file": _BINARY}, "required": ["file"]}
    content[_FORM] = {"schema": form}
    return {"requestBody": {"required": True, "content": content}}


@asynccontextmanager
async def sent(request: Request, web: Web, text: str = "") -> AsyncIterator[Sent]:
    """What was sent, until the end of the context if it is not kept. Problem 422 for no file.

    ``text`` is a field of the form that may have what the file would.
    """
    found = await _received(request, web, text)
    try:
        yield found
    finally:
        if not found.kept:
            await web.run(found.file.close)


def in_words(error: ValidationError) -> str:
    """What is wrong with the fields of a form."""
    return "; ".join(
        f"{item['loc'][0]}: {item['msg'].removeprefix('Value error, ')}" for item in error.errors()
    )


async def _received(request: Request, web: Web, text: str) -> Sent:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        return await _of_form(request, text)
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(_MEMORY))  # noqa: SIM115
    try:
        await _copy(request, web, file)
    except BaseException:
        file.close()
        raise
    return Sent(file)


async def _of_form(request: Request, text: str) -> Sent:
    form = await request.form(max_files=1, max_fields=50, max_part_size=_TEXT)
    fields: dict[str, list[str]] = {}
    found: UploadFile | None = None
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            found = value
        else:
            fields.setdefault(name, []).append(value)
    if found is not None and (found.filename or found.size):
        return Sent(found.file, found.filename or "", fields)
    written = fields.get(text, [""])[0]
    if not written.strip():
        raise Problem(422, "choose a file: the form has none", title="No file")
    return Sent(BytesIO(written.encode()), "", fields)


async def _copy(request: Request, web: Web, file: BinaryIO) -> None:
    waiting, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        waiting += chunk
        if len(waiting) >= _MEMORY:
            piece = bytes(waiting)
            await web.run(lambda: file.write(piece))  # noqa: B023
            waiting.clear()
    if not size:
        raise Problem(422, "the body is empty: send the file as the body, or as a form")
    piece = bytes(waiting)
    await web.run(lambda: file.write(piece))
    await web.run(lambda: file.seek(0))
