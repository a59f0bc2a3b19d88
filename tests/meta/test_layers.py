"""Imports point down only, and pure code stays pure.

A module may import a lower layer, or its own package. The layer of a module is that of the longest
name in ``LAYERS`` that covers it; a module that no name covers has no place in the design.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS = {
    "gateway": 0,  # the package itself: empty but for its docstring
    "gateway.errors": 0,
    "gateway.files": 1,
    "gateway.ownership": 1,
    "gateway.numbers": 1,
    "gateway.calls": 1,
    "gateway.settings": 1,
    "gateway.guardsettings": 1,
    "gateway.httpsettings": 1,
    "gateway.workersettings": 1,
    "gateway.tokens": 1,
    "gateway.secrets": 1,
    "gateway.addresses": 1,
    "gateway.networks": 1,
    "gateway.metrics": 1,
    "gateway.logs": 1,
    "gateway.loop": 1,
    "gateway.yamlfile": 1,
    "gateway.yamlmodel": 1,
    "gateway.protocols": 1,
    "gateway.policy": 2,
    "gateway.policy.compile": 5,  # the child process of a reload: it reads managed entries too
    "gateway.entries": 4,
    "gateway.pbx": 4,
    "gateway.attempts": 4,
    "gateway.reload": 5,
    "gateway.screener": 6,
    "gateway.watch": 6,
    "gateway.review": 6,
    "gateway.frontends": 7,
    "gateway.control": 7,
    "gateway.web": 8,
    "gateway.workers": 8,
    "gateway.app": 9,
    "gateway.cli": 10,
    "gateway.__main__": 11,
}

SAME_LAYER = {
    ("gateway.settings", "gateway.files"),
    ("gateway.secrets", "gateway.files"),
    ("gateway.settings", "gateway.yamlfile"),
    ("gateway.settings", "gateway.yamlmodel"),
    ("gateway.settings", "gateway.guardsettings"),
    ("gateway.settings", "gateway.httpsettings"),
    ("gateway.settings", "gateway.workersettings"),
    ("gateway.workersettings", "gateway.yamlmodel"),
    ("gateway.httpsettings", "gateway.addresses"),
    ("gateway.httpsettings", "gateway.yamlmodel"),
    ("gateway.tokens", "gateway.files"),
    ("gateway.tokens", "gateway.ownership"),
    ("gateway.settings", "gateway.secrets"),
    ("gateway.settings", "gateway.addresses"),
    ("gateway.guardsettings", "gateway.secrets"),
    ("gateway.guardsettings", "gateway.addresses"),
    ("gateway.guardsettings", "gateway.yamlfile"),
    ("gateway.guardsettings", "gateway.yamlmodel"),
    ("gateway.addresses", "gateway.yamlmodel"),
    ("gateway.networks", "gateway.yamlmodel"),
    ("gateway.settings", "gateway.networks"),
    ("gateway.httpsettings", "gateway.networks"),
    ("gateway.secrets", "gateway.yamlfile"),
    ("gateway.secrets", "gateway.yamlmodel"),
    ("gateway.yamlmodel", "gateway.yamlfile"),
}
"""Settings are read through the one YAML reader, which knows nothing of them."""

IMPURE = frozenset({"asyncio", "socket", "select", "ssl", "subprocess", "threading", "signal"})
CLOCKS = frozenset({"time"})
FILES = frozenset({"os", "pathlib", "io", "shutil", "tempfile"})

PURE = {
    "gateway.protocols": IMPURE | CLOCKS | FILES,
    "gateway.numbers": IMPURE | CLOCKS | FILES,
    "gateway.pbx": IMPURE | CLOCKS | FILES,
    "gateway.policy": IMPURE,
    "gateway.policy.model": IMPURE | CLOCKS | FILES,
    "gateway.policy.decide": IMPURE | CLOCKS | FILES,
    "gateway.policy.explain": IMPURE | CLOCKS | FILES,
    "gateway.policy.index": IMPURE | CLOCKS,
}


def modules() -> list[str]:
    return sorted(module_name(path) for path in (ROOT / "gateway").rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def covering(module: str, table: dict[str, object]) -> str | None:
    """The longest name in the table that is the module or one of its packages."""
    names = (name for name in table if module == name or module.startswith(name + "."))
    return max(names, key=len, default=None)


def imports(module: str) -> Iterator[str]:
    """Every imported module by its full name, wherever in the file the import stands."""
    known = set(modules())
    for node in ast.walk(ast.parse(source(module).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the layer"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def package(module: str) -> str:
    """What a module shares with its neighbours: its folder, or itself at the top level."""
    return ".".join(module.split(".")[:2])


def layer(module: str) -> int:
    name = covering(module, dict(LAYERS))
    assert name is not None
    return LAYERS[name]


@pytest.mark.parametrize("module", modules())
def test_every_module_has_a_layer(module: str) -> None:
    name = covering(module, dict(LAYERS))
    assert name != "gateway" or module == "gateway", f"{module} is in no layer of the design"


@pytest.mark.parametrize("module", modules())
def test_imports_point_down_only(module: str) -> None:
    for imported in imports(module):
        if not imported.startswith("gateway") or package(imported) == package(module):
            continue
        if (package(module), package(imported)) in SAME_LAYER:
            continue
        assert layer(imported) < layer(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", [name for name in modules() if covering(name, dict(PURE))])
def test_pure_code_reaches_for_no_clock_socket_or_file(module: str) -> None:
    name = covering(module, dict(PURE))
    assert name is not None
    reached = {imported.split(".")[0] for imported in imports(module)} & PURE[name]
    assert not reached, f"{module} imports {', '.join(sorted(reached))}"
