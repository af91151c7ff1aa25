from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import gangplank
from gangplank.core import version
from gangplank.core.version import how_to_install

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXTS = [README, *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]


@pytest.mark.parametrize(
    ("released", "extras", "said"),
    [
        ("0.6.0.dev0", (), 'in a checkout of gangplank, run pip install "."'),
        ("0.6.0.dev0", ("jax", "demo"), 'in a checkout of gangplank, run pip install ".[jax,demo]"'),
        ("0.6.0", (), 'run pip install "gangplank"'),
        ("0.6.0", ("jax",), 'run pip install "gangplank[jax]"'),
    ],
)
def test_what_to_install_is_this_version(
    released: str, extras: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "VERSION", released)
    assert how_to_install(*extras) == said
    if extras:
        assert str(gangplank.MissingExtraError("x is missing", *extras)) == f"x is missing: {said}"


def test_the_readme_says_how_to_install_this_version() -> None:
    (commands,) = re.findall(r"\n## Install\n.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)
    assert commands.partition(" #")[0].strip() == how_to_install("tensorflow").rpartition("run ")[2]
    assert f"gangplank-{gangplank.__version__}-py3-none-any.whl" in README.read_text()


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text.relative_to(ROOT)))
def test_no_text_installs_another_gangplank(text: Path) -> None:
    """Only the README says how; the others name extras."""
    commands = re.findall(r"pip install +(?:-\S+ +)*[^`\n#]*?['\" ](gangplank(?![\w-])[^`\s]*)", text.read_text())
    assert commands == []


def test_the_extras_that_texts_name_are_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = set(re.findall(r"\bextras? `([\w-]+)`", " ".join(text.read_text() for text in TEXTS)))
    named |= set(re.findall(r"\[(\w+)\]", README.read_text().partition("\n## Install\n")[2].partition("\n## ")[0]))
    assert {"lightning", "cli", "jax"} <= named <= extras.keys()


def test_each_lowest_version_that_is_declared_is_the_one_that_is_tested() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = str([project["dependencies"], project["optional-dependencies"]])
    lowest = dict(re.findall(r"'([\w-]+)>=([\d.]+)'", declared))
    assert {"numpy", "pluggy", "prometheus-client", "keras", "jax", "lightning", "rich", "xgboost"} <= lowest.keys()
    pins = dict(line.split("==") for line in (ROOT / "constraints-lowest.txt").read_text().splitlines() if "==" in line)
    for name, least in lowest.items():
        assert re.fullmatch(rf"{re.escape(least)}(\.0)*", pins[name]), name


def test_the_classifiers_name_the_pythons_that_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)'", str(project["classifiers"]))
    assert project["requires-python"] == f">={named[0]}"
