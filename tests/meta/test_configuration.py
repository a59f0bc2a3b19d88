"""docs/configuration.md has every key of every section, in the words of the models."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from gateway import settings
from gateway.numbers import TYPES
from gateway.policy import document
from gateway.policy.lint import Code
from gateway.yamlmodel import Section

TEXT = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")

MODELS = sorted(
    {
        model
        for module in (document, settings)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Section)
    },
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    own = {"number", "prefix", "short", "short_prefix"}
    for name, field in model.model_fields.items():
        rows = [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |")]
        if name in own and issubclass(model, document.EntryDocument):
            assert f"`{name}` under" in TEXT
        else:
            assert any(row.endswith(f"| {field.description} |") for row in rows), name


@pytest.mark.parametrize("name", sorted({*TYPES} - {"unknown"}))
def test_every_type_of_number_is_named(name: str) -> None:
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("code", Code)
def test_every_finding_of_lint_is_explained(code: Code) -> None:
    assert f"\n| `{code}` | " in TEXT
