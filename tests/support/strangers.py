"""Distributions of strangers that announce themselves to gangplank, as `pip install` would leave them."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path


def install(folder: Path, name: str, source: str, *, plugin: str | None = None, version: str = "1.0") -> None:
    """Install a distribution of one module that announces itself as a plugin, by its own name or another."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[gangplank]\n{plugin or name} = {name}\n")


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment of a process that finds them, and in which gangplank is told nothing else."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GANGPLANK_")}
    return {**inherited, "PYTHONPATH": str(folder), **variables}
