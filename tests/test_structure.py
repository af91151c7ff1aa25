"""The seams of the house: who imports whom, and what importing costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gangplank

SOURCE = Path(gangplank.__file__).parent
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "lightning", "pytorch_lightning"}


def modules(under: str) -> list[str]:
    """Return the modules of a package or of one file, by their dotted names below `gangplank`."""
    top = SOURCE / under
    files = sorted(top.rglob("*.py")) if top.is_dir() else [top.with_suffix(".py")]
    assert files
    return [str(file.relative_to(SOURCE).with_suffix("")).replace("/", ".").removesuffix(".__init__") for file in files]


def imports(module: str) -> set[str]:
    """Return what a module imports, wherever in it, type checking apart."""
    path = SOURCE / module.replace(".", "/")
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    return set(_imports(tree))


def _imports(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child)


def imports_any(module: str, packages: set[str]) -> set[str]:
    return {name for name in imports(module) for package in packages if f"{name}.".startswith(f"{package}.")}


@pytest.mark.parametrize("module", modules("core"))
def test_core_imports_no_framework_and_nothing_above_it(module: str) -> None:
    above = {f"gangplank.{name}" for name in ("keras", "lightning", "testing", "cli", "predict")}
    assert not imports_any(module, FRAMEWORKS | above)
    assert all(name.startswith("gangplank.core") for name in imports_any(module, {"gangplank"}))


@pytest.mark.parametrize("module", modules("keras"))
def test_an_adapter_imports_the_root_package_and_its_framework(module: str) -> None:
    inside = {name for name in imports_any(module, {"gangplank"}) if name.startswith("gangplank.keras")}
    assert all(name.split(".")[1] in gangplank.__all__ for name in imports_any(module, {"gangplank"}) - inside)
    assert not imports_any(module, FRAMEWORKS - {"keras"})


@pytest.mark.parametrize("module", modules("lightning"))
def test_lightnings_adapter_imports_the_root_package_and_its_framework(module: str) -> None:
    inside = {name for name in imports_any(module, {"gangplank"}) if name.startswith("gangplank.lightning")}
    assert all(name.split(".")[1] in gangplank.__all__ for name in imports_any(module, {"gangplank"}) - inside)
    assert not imports_any(module, FRAMEWORKS - {"lightning", "pytorch_lightning", "torch"})


def test_plugins_know_no_sink_and_no_adapter_by_name() -> None:
    assert imports_any("core.plugins", {"gangplank.core.sinks"}) == {"gangplank.core.sinks.Sink"}
    assert not imports_any("core.plugins", {"gangplank._builtin", "gangplank.core.exporter"})


@pytest.mark.parametrize(
    ("package", "at_home_in"),
    [
        ("prometheus_client", {"core.exposition", "core.page", "core.sinks", "testing", "cli"}),
        ("pluggy", {"core.hookspecs", "core.plugins"}),
        ("pytest", {"testing"}),
        ("rich", {"cli"}),
    ],
)
def test_a_library_stays_in_its_rooms(package: str, at_home_in: set[str]) -> None:
    rooms = {f"{room}." for room in at_home_in}
    users = {module for module in modules(".") if imports_any(module, {package})}
    assert users
    assert {user for user in users if not any(f"{user}.".startswith(room) for room in rooms)} == set()


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import gangplank", FRAMEWORKS | {"pytest", "rich", "sklearn", "gangplank.testing", "gangplank.cli"}),
        ("import gangplank.testing.gateway", FRAMEWORKS | {"pytest"}),
        ("import gangplank.cli", FRAMEWORKS | {"pytest", "rich", "sklearn"}),
    ],
)
def test_importing_imports_no_more_than_it_needs(statement: str, unwanted: set[str]) -> None:
    program = f"import sys; {statement}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert unwanted.isdisjoint(loaded)


def test_no_query_names_a_bucket() -> None:
    root = Path(__file__).parent.parent
    texts = [
        path
        for folder in ("src", "docs", "examples", "benchmarks")
        for path in (root / folder).rglob("*")
        if path.suffix in {".ipynb", ".json", ".md", ".py", ".sh", ".yaml", ".yml"}
    ]
    # Prometheus 2 and 3 spell whole numbers differently; all spell infinity alike.
    named = re.compile(r"""\ble\s*(?:=~?|![=~])\s*\\?["'](?!\+Inf)""")
    found = {path: named.findall(path.read_text()) for path in (root / "README.md", *texts)}
    assert len(found) > 100
    assert {path: queries for path, queries in found.items() if queries} == {}
    one = r"""x_bucket{le="0.5"} x_bucket{job="a", le!~"1|2"} x_bucket{le="+Inf"} "x_bucket{le=\"0\"}" """
    assert named.findall(one) == ['le="', 'le!~"', r"le=\""]


def test_the_public_names_are_these() -> None:
    assert gangplank.__all__ == [
        "HISTOGRAM_WEIGHT_BUCKETS_0_3",
        "HISTOGRAM_WEIGHT_BUCKETS_1_0",
        "Adapter",
        "ConfigurationError",
        "Credentials",
        "Delivery",
        "DeliveryError",
        "ExportError",
        "GangplankError",
        "Group",
        "Handler",
        "MetricError",
        "MissingExtraError",
        "Outcome",
        "Page",
        "Run",
        "RunInfo",
        "Sink",
        "Snapshot",
        "TrainTestExporter",
        "hookimpl",
    ]
    assert set(gangplank.__all__) <= set(dir(gangplank))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        gangplank.nonesuch  # noqa: B018
