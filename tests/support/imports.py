"""Which module imports which, read from the syntax trees of src: nothing is imported to find out."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import gangplank

SOURCE = Path(gangplank.__file__).parent


def _dotted(file: Path) -> str:
    return ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = {_dotted(file): file for file in sorted(SOURCE.rglob("*.py"))}
MODULES = tuple(FILES)
PACKAGES = tuple(name for name, file in FILES.items() if file.name == "__init__.py")


def imports(module: str) -> set[str]:
    """Return all that a module imports, wherever in it, each with its full name."""
    return set(_imports(ast.parse(FILES[module].read_text())))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module_of(name: str) -> str:
    """Return the module that an imported name is, or is from."""
    return name if name in FILES else name.rpartition(".")[0]


def ours(module: str) -> set[str]:
    """Return the modules of gangplank that a module imports, without the lazy import of the root package.

    `gangplank.TrainTestExporter` is Keras' exporter, which imports the root package: the root imports it when the name
    is first used.
    """
    found = {_module_of(name) for name in imports(module) if is_within(name, "gangplank")}
    assert found <= FILES.keys()
    return {name for name in found if not (module == "gangplank" and is_within(name, "gangplank.keras"))}


def libraries(module: str) -> set[str]:
    """Return what a module imports of neither gangplank nor the standard library: the top-level names."""
    return {name.partition(".")[0] for name in imports(module)} - sys.stdlib_module_names - {"gangplank"}


def all_behind(module: str) -> set[str]:
    """Return the modules of gangplank that importing a module imports, itself included."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += ours(name)
    return found


def is_within(name: str, package: str) -> bool:
    """Return whether a dotted name is a package or something in it."""
    return f"{name}.".startswith(f"{package}.")


def within(package: str) -> list[str]:
    """Return the modules of a package, itself included."""
    found = [module for module in MODULES if is_within(module, package)]
    assert found
    return found
