"""The rules of the house: which room imports which, and what importing costs. CONTRIBUTING.md has the map."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gangplank
import gangplank.testing
from gangplank import _builtin, hooks
from gangplank.core.sinks.address import BUILT_IN_SCHEMES
from support.imports import FILES, MODULES, PACKAGES, all_behind, imports, is_within, libraries, ours, within

FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "lightning", "pytorch_lightning", "xgboost"}
LIGHTNING = {"lightning", "pytorch_lightning", "torch"}

# Each room of the package, and the other rooms that it imports; an adapter's room is not listed here.
ROOMS: dict[str, set[str]] = {
    "core": set(),
    "_stand_in": set(),
    "predict": {"core"},
    "gangplank": {"core", "_stand_in", "predict"},  # the root package: the public names
    "hooks": {"core"},
    "_builtin": {"core"},
    "_torch": set(),  # what the adapters of frameworks on torch share
    "testing": {"gangplank", "hooks", "core", "_stand_in"},
    "monitoring": {"gangplank"},
    "cli": {"gangplank", "core", "testing", "monitoring"},
    "__main__": {"cli"},
}
ADAPTERS = {adapter.exporter.split(".")[1].partition(":")[0] for adapter in _builtin.ADAPTERS}
# What an adapter imports beside the package of its own name; one on torch imports `_torch` as well.
ITS_FRAMEWORK = {"lightning": {"pytorch_lightning", "torch"}, "transformers": {"torch"}}

# The files and wings of core, lowest first: each imports only from those above it in this list.
ORDER = {
    "version": "what to install, for the messages of errors",
    "errors": "everything raises them",
    "log": "reports errors",
    "ending": "how a run has ended, and a process: it knows neither",
    "caller": "who calls us: it knows no framework",
    "worker": "a thread: it knows nothing of its work",
    "lifecycle": "the process: it knows runs and senders as protocols only",
    "files": "reads what others have written, whatever it is",
    "labels": "checks names and values",
    "environment": "what the process knows of itself",
    "weights": "arrays and counts: it knows nothing of runs",
    "types": "the data that travels; a snapshot has weight counts",
    "page": "shows a snapshot",
    "sinks": "send a page",
    "options": "the types of the options, sinks and credentials among them",
    "settings": "the checked options",
    "recording": "makes snapshots as the settings say",
    "lifetime": "begins and ends a run",
    "run": "records, and calls hooks that it is given: it knows neither plugins nor delivery",
    "plugins": "the hooks speak of runs, snapshots and sinks; the plugins open sinks",
    "delivery": "opens the sinks, through the plugins, and sends pages",
    "exporter": "the plugin that delivers: it joins runs, plugins and delivery",
    "adapter": "what the exporters of all adapters have in common",
}

# Each library, and where it is imported; a framework is imported in its adapter, and in the demo.
LIBRARIES = {
    "numpy": {"core.weights", "cli", "predict"},
    "pluggy": {"core.plugins", "core.exporter"},
    "prometheus_client": {"core.page", "core.sinks", "predict", "cli", "testing"},
    "pytest": {"testing"},
    "rich": {"cli"},
    "sklearn": {"cli.demo"},
    "keras": {"cli.demo"},
    "torch": {"_torch"},
}


def room(module: str) -> str:
    """Return the room of a module: the first name below `gangplank`, or `gangplank` for the root package."""
    return module.split(".")[1] if "." in module else module


def wing(module: str) -> str:
    """Return the wing of core, or its file, that a module is in; an empty text for core's own `__init__`."""
    return module.removeprefix("gangplank.core").removeprefix(".").partition(".")[0]


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_the_rooms_that_it_may(module: str) -> None:
    here = room(module)
    assert here in ROOMS.keys() | ADAPTERS, f"gangplank.{here} is new: add it to ROOMS, or to _builtin.ADAPTERS"
    of_an_adapter = {"gangplank", "_torch"} if "torch" in ITS_FRAMEWORK.get(here, ()) else {"gangplank"}
    allowed = of_an_adapter if here in ADAPTERS else ROOMS[here]
    assert {room(name) for name in ours(module)} <= allowed | {here}


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) in ADAPTERS])
def test_an_adapter_imports_public_names_and_its_framework(module: str) -> None:
    here = room(module)
    outside = {name for name in imports(module) if is_within(name, "gangplank")}
    outside -= {name for name in outside if is_within(name, f"gangplank.{here}") or is_within(name, "gangplank._torch")}
    assert outside <= {f"gangplank.{name}" for name in gangplank.__all__}
    assert libraries(module) <= {here} | ITS_FRAMEWORK.get(here, set())


@pytest.mark.parametrize("module", [module for module in MODULES if room(module) not in ADAPTERS])
def test_a_library_is_imported_in_its_rooms_only(module: str) -> None:
    places = {library: LIBRARIES.get(library, set()) for library in libraries(module)}
    assert {
        library
        for library, rooms in places.items()
        if not any(is_within(module, f"gangplank.{name}") for name in rooms)
    } == set()


def test_the_order_of_core_names_each_wing_once() -> None:
    assert {wing(module) for module in within("gangplank.core")} - {""} == ORDER.keys()
    assert ours("gangplank.core") == set()


@pytest.mark.parametrize("module", [module for module in within("gangplank.core") if wing(module)])
def test_no_import_in_core_points_up(module: str) -> None:
    order = list(ORDER)
    lower = order[: order.index(wing(module)) + 1]
    assert {wing(name) for name in ours(module)} <= set(lower)


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_no_circle_between_what_stands_in_one_folder(package: str) -> None:
    # Any circle of modules is one between the children of the innermost folder that holds them all.
    def child(module: str) -> str:
        return module.removeprefix(package).removeprefix(".").partition(".")[0] or "__init__"

    graph: dict[str, set[str]] = {}
    for module in within(package):
        inside = {child(name) for name in ours(module) if is_within(name, package)}
        graph.setdefault(child(module), set()).update(inside - {child(module)})
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_outbox_knows_neither_plugins_nor_pages_nor_sinks() -> None:
    behind = all_behind("gangplank.core.delivery.outbox")
    assert {wing(module) for module in behind} == {"delivery", "errors", "log", "types", "version", "weights", "worker"}
    assert not {"pluggy", "prometheus_client"} & {library for module in behind for library in libraries(module)}


def test_plugins_know_no_sink_and_no_adapter_by_name() -> None:
    package = within("gangplank.core.plugins")
    sinks = {name for module in package for name in ours(module) if is_within(name, "gangplank.core.sinks")}
    assert sinks == {"gangplank.core.sinks.base", "gangplank.core.sinks.address"}
    words = {word for module in package for text in texts(module) for word in re.findall(r"\w+", text)}
    assert {"gangplank", "_builtin"} <= words
    assert not words & ({*_builtin.SINKS} | {adapter.name for adapter in _builtin.ADAPTERS})


def test_the_message_about_an_unknown_scheme_names_those_that_are_built_in() -> None:
    assert re.findall(r"(\w+)://", BUILT_IN_SCHEMES) == list(_builtin.SINKS)


def texts(module: str) -> set[str]:
    """Return the texts in a module's code, docstrings apart."""
    tree = ast.parse(FILES[module].read_text())
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    }


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import gangplank", FRAMEWORKS | {"pytest", "rich", "sklearn", "gangplank.testing", "gangplank.cli"}),
        ("import gangplank.hooks", FRAMEWORKS | {"pytest", "rich", "sklearn", "gangplank.testing", "gangplank.cli"}),
        ("import gangplank.testing", FRAMEWORKS | {"pytest"}),
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
    named = re.compile(r"""\ble\s*(?:=~?|![=~])\s*\\?["'](?!\+Inf|')""")
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
        "AdapterExporter",
        "ConfigurationError",
        "Credentials",
        "Delivery",
        "DeliveryError",
        "Destination",
        "Drift",
        "ExportError",
        "Exporter",
        "ExporterOptions",
        "GangplankError",
        "Group",
        "Handler",
        "KeywordOptions",
        "MetricError",
        "MissingExtraError",
        "Outcome",
        "Page",
        "PrometheusModel",
        "Run",
        "RunInfo",
        "Sink",
        "Snapshot",
        "TrainTestExporter",
        "hookimpl",
        "instrument",
        "run",
        "watch_caller",
    ]
    assert hooks.__all__ == [
        "gangplank_adapters",
        "gangplank_delivered",
        "gangplank_info",
        "gangplank_open_sink",
        "gangplank_run_finished",
        "gangplank_run_started",
        "gangplank_snapshot",
        "hookimpl",
        "register",
        "unregister",
    ]
    assert gangplank.testing.__all__ == ["AdapterContract", "MemorySink"]
    for module in (gangplank, hooks, gangplank.testing):
        assert set(module.__all__) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonesuch"):
        gangplank.nonesuch  # noqa: B018
