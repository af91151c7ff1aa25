"""Virtual environments that see nothing but what is installed into them."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "custom_adapter"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def done(*command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run what must succeed; what this process imports from is nothing to it."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "GANGPLANK_", "KERAS_"))}
    ended = subprocess.run(
        command, env={**env, **variables}, cwd=EXAMPLE, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended


@dataclass
class Environment:
    """An empty virtual environment."""

    folder: Path

    def __post_init__(self) -> None:
        done(sys.executable, "-m", "venv", "--without-pip", self.folder)
        self.python = self.folder / "bin" / "python"

    def install(self, *what: str | Path) -> None:
        """Install with the versions that development has."""
        constraints = ("--constraint", ROOT / "constraints.txt")
        done(*PIP, "--python", self.python, "install", "--quiet", *constraints, *what)

    def link(self, *, without: tuple[str, ...]) -> None:
        """Have there what is installed here, but for what begins with one of these names; installing takes minutes."""
        [packages] = self.folder.glob("lib/*/site-packages")
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if not entry.name.lower().startswith(without) and entry.suffix != ".pth":
                (packages / entry.name).symlink_to(entry)

    def installed(self) -> set[str]:
        """Return the names of the distributions that are there."""
        return {path.name.split("-")[0] for path in self.folder.glob("lib/*/site-packages/*.dist-info")}

    def run(self, *arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python there."""
        return done(self.python, *arguments, PYTHONDONTWRITEBYTECODE="1", **variables)
