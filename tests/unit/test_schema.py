"""The shipped JSON Schemas: made from the models, and of one mind with the loader on shape."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.errors import ConfigError
from gateway.policy import schema
from gateway.policy.document import PolicyDocument
from gateway.policy.schema import SCHEMAS, schema_of, schema_text
from gateway.settings import Settings

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
POLICIES = ROOT / "tests" / "policies"
POLICY_SCHEMA = schema_of(PolicyDocument)
SETTINGS_SCHEMA = schema_of(Settings)

UNSEEN = {
    "bad-expiry": "calendar and clock",
    "bad-number": "libphonenumber",
    "bad-short": "what digits are",
    "bad-text-file": "another file",
    "bad-csv-rows": "another file",
    "bad-csv-header": "another file",
    "bad-timezone": "the time zone database",
    "binding-allow": "two keys",
    "binding-match": "two keys",
    "blacklist-that-allows": "two keys",
    "did-in-two-campaigns": "two places",
    "drop-active": "two keys",
    "duplicate-key": "the parser keeps one",
    "duplicate-list-name": "two places",
    "empty-list": "files and two keys",
    "empty-prefix": "what a prefix is",
    "key-not-text": "the parser",
    "match-with-entries": "two keys",
    "match-with-entry-keys": "two keys",
    "tag": "the parser",
}
"""Bad policies whose faults no schema sees, and what it would have to know."""
NO_YAML = {
    "billion-laughs",
    "control-character",
    "not-utf8",
    "recursive-alias",
    "syntax",
    "tab",
    "too-deep",
    "two-documents",
    "unknown-alias",
}
"""Bad policies that do not get as far as a schema."""


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2's core schema, which is what editors read."""


CoreLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    CoreLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first
    )


CoreLoader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def as_an_editor_reads(path: Path) -> Any:
    return yaml.load(path.read_text("utf-8"), CoreLoader)


def problems(document: Any, of: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft7Validator(of)
    return [error.message for error in validator.iter_errors(document)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_shipped_schema_is_that_of_the_model(name: str) -> None:
    assert (CONFIG / name).read_text("utf-8") == schema_text(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schema_is_one(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(schema_of(SCHEMAS[name]))


def test_both_schemas_are_written_into_a_folder(tmp_path: Path) -> None:
    schema.main([str(tmp_path)])
    assert {path.name for path in tmp_path.iterdir()} == set(SCHEMAS)
    assert json.loads((tmp_path / "policy.schema.json").read_text()) == POLICY_SCHEMA


def test_every_key_is_documented_in_the_schema() -> None:
    for made in (POLICY_SCHEMA, SETTINGS_SCHEMA):
        sections = [made, *made["definitions"].values()]
        entries = [
            part for item in sections for part in item.get("anyOf", []) if "properties" in part
        ]
        for section in [*sections, *entries]:
            for key, value in section.get("properties", {}).items():
                assert value.get("description"), f"{key} of {section.get('description')}"


@pytest.mark.parametrize("path", sorted((POLICIES / "good").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_good_policy_fits_the_schema(path: Path) -> None:
    assert problems(as_an_editor_reads(path), POLICY_SCHEMA) == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_shipped_file_fits_its_schema_and_names_it(name: str) -> None:
    path = CONFIG / name.replace(".schema.json", ".yaml")
    assert problems(as_an_editor_reads(path), schema_of(SCHEMAS[name])) == []
    assert path.read_text().startswith(f"# yaml-language-server: $schema=./{name}\n")


@pytest.mark.parametrize("path", sorted((POLICIES / "bad").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_fault_of_shape_is_one_to_the_schema_too(path: Path) -> None:
    if path.stem in NO_YAML:
        assert "lists.nuisance.action" not in path.with_suffix(".txt").read_text()
        return
    if path.stem == "key-not-text":
        with pytest.raises(yaml.YAMLError):
            as_an_editor_reads(path)
        return
    found = problems(as_an_editor_reads(path), POLICY_SCHEMA)
    assert bool(found) is (path.stem not in UNSEEN), found


def test_every_exemption_is_a_bad_policy() -> None:
    assert {*UNSEEN, *NO_YAML} <= {path.stem for path in (POLICIES / "bad").glob("*.yaml")}


@pytest.mark.parametrize(
    "text",
    [
        "agi: {listen: 4573}",
        "agi: {deadline: 1}",
        "agi: {max_connections: many}",
        "journal: {durability: none}",
        "journal: {segment_size: 16}",
        "log: {level: loud}",
        "reload: {watch: maybe}",
        "statee: x",
    ],
)
def test_bad_settings_are_bad_to_the_schema_too(text: str) -> None:
    assert problems(yaml.load(text, CoreLoader), SETTINGS_SCHEMA)
    with pytest.raises(ConfigError):
        Settings.parse(text.encode(), Path("callgate.yaml"), {})


def test_an_editor_takes_unquoted_numbers_for_integers_and_the_schema_lets_it() -> None:
    text = "lists: {a: {action: block, numbers: [+33123456789, {number: 0033123456789}]}}"
    document = yaml.load(text, CoreLoader)
    assert document["lists"]["a"]["numbers"][0] == 33123456789
    assert problems(document, POLICY_SCHEMA) == []
