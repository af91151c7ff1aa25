"""The files that docs/write-an-adapter.md writes, installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "write-an-adapter.md"
BLOCK = re.compile(r"^```(?:python|toml)\n# (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def written() -> dict[str, str]:
    """Return the files, each by the name in the first line of its block."""
    return dict(BLOCK.findall(DOCS.read_text()))


def install(files: dict[str, str], folder: Path) -> None:
    """Write the files, and what pip would write beside them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    metadata = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    plugins = project["entry-points"]["gangplank"]
    lines = [f"{name} = {module}" for name, module in plugins.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[gangplank]", *lines, ""]))


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the files are installed."""
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments], env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )


def contract(folder: Path, *options: str) -> tuple[dict[str, str], str]:
    """Run the contract test; return the outcome of each test by its name, and all that was printed."""
    how = ["-v", "--tb=short", "--color=no", "-p", "no:cacheprovider"]
    done = python(folder, "-m", "pytest", *how, *options, "tests/test_contract.py")
    outcomes = re.findall(r"^\S+::(\w+)(?:\[(\w+)\])? (PASSED|FAILED|ERROR|SKIPPED)", done.stdout, re.MULTILINE)
    return {f"{name}[{case}]" if case else name: outcome for name, case, outcome in outcomes}, done.stdout + done.stderr
