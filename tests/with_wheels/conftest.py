"""Wheels, built here and installed into environments that have nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.environments import EXAMPLE, PIP, ROOT, Environment, done


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the wheels of gangplank and of the example's adapter."""
    folder = tmp_path_factory.mktemp("wheels")
    done(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, EXAMPLE)
    assert sorted(wheel.name.split("-")[0] for wheel in folder.iterdir()) == ["gangplank", "gangplank_lightgbm"]
    return folder


@pytest.fixture(scope="module")
def make_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Environment]]:
    """Makes empty environments, and takes them away: a framework may be gigabytes."""
    made = []

    def make() -> Environment:
        made.append(Environment(tmp_path_factory.mktemp("environment")))
        return made[-1]

    yield make
    for environment in made:
        shutil.rmtree(environment.folder)
