"""The JSON Schemas of policy.yaml and callgate.yaml, made from the models that read them.

Draft-07, because that is what YAML language servers know. ``python -m gateway.policy.schema
config`` writes both; a test holds the files against the models.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.policy.document import PolicyDocument
from gateway.settings import Settings

SCHEMAS: dict[str, type[BaseModel]] = {
    "policy.schema.json": PolicyDocument,
    "callgate.schema.json": Settings,
}
"""The model of each schema file."""
_DRAFT = "http://json-schema.org/draft-07/schema#"


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of a file that holds ``model``."""
    made = model.model_json_schema(ref_template="#/definitions/{model}")
    definitions = made.pop("$defs", {})
    body: dict[str, Any] = _tidied(made)
    return {"$schema": _DRAFT} | body | {"definitions": _tidied_values(definitions)}


def schema_text(model: type[BaseModel]) -> str:
    """The schema as it is kept in a file."""
    return json.dumps(schema_of(model), indent=2, ensure_ascii=False) + "\n"


def _tidied(schema: Any) -> Any:
    """Without generated titles, and without defaults that are no YAML values of their key."""
    if isinstance(schema, list):
        return [_tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "title"}
    if not isinstance(kept.get("default"), str | bool) or kept["default"] == "":
        kept.pop("default", None)
    if "patternProperties" in kept:
        kept["additionalProperties"] = False
    named = ("properties", "patternProperties")
    return {
        key: _tidied_values(value) if key in named else _tidied(value)
        for key, value in kept.items()
    }


def _tidied_values(named: dict[str, Any]) -> dict[str, Any]:
    """Of a mapping whose keys are names, which may be ``title`` or ``default`` too."""
    return {name: _tidied(value) for name, value in named.items()}


def main(arguments: list[str]) -> None:
    """Write both schemas into a folder."""
    for name, model in SCHEMAS.items():
        (Path(arguments[0]) / name).write_text(schema_text(model), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
