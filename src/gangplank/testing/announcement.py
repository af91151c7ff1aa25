"""The first part of the contract: an adapter announces itself, without importing its framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import ClassVar, NoReturn

import pytest

from gangplank import Adapter
from gangplank.core.plugins.registry import adapters, installed

MODULES_OF_A_PLUGIN = "import sys, gangplank.core.plugins.registry as plugins; plugins.adapters(); print(*sys.modules)"


class AnnouncedAdapter:
    """The tests that need no training.

    Attributes:
        adapter: the `Adapter.name` that is announced.
    """

    adapter: ClassVar[str]

    def test_it_announces_itself(self) -> None:
        """`gangplank adapters` lists it as available."""
        announced = [adapter.name for _, adapter in adapters()]
        if self.adapter not in announced:
            problems = "; ".join(
                f"{plugin.name} is {plugin.state}: {plugin.problem}" for plugin in installed() if plugin.problem
            )
            fail(
                f"no installed plugin announces an adapter {self.adapter!r}; announced are {announced}. Return it from "
                "gangplank_adapters, in the module that [project.entry-points.gangplank] in pyproject.toml names, and "
                f"pip install the package. {problems}"
            )
        listed = {found["name"]: found for found in json.loads(python("-m", "gangplank", "adapters", "--json"))}
        if self.adapter not in listed or not listed[self.adapter]["available"]:
            fail(f"`gangplank adapters` does not list it as available: {listed.get(self.adapter, sorted(listed))}")

    def test_naming_it_imports_no_framework(self) -> None:
        """Every training run imports the plugin's module if it is installed, whatever its framework."""
        plugin, adapter = self.announced()
        framework = adapter.framework.partition(".")[0]
        if framework in python("-c", MODULES_OF_A_PLUGIN, GANGPLANK_PLUGINS=plugin).split():
            fail(
                f"the module of the plugin {plugin!r} imports {framework}: move what needs it to another module, such "
                f"as that of the exporter ({adapter.exporter}); the plugin's module only names that"
            )

    def announced(self) -> tuple[str, Adapter]:
        """Return the plugin and the adapter; if it is not announced, skip: another test fails and says so."""
        for plugin, adapter in adapters():
            if adapter.name == self.adapter:
                return plugin, adapter
        pytest.skip(f"no adapter {self.adapter!r} is announced: see test_it_announces_itself")


def python(*arguments: str, **environment: str) -> str:
    """Return what Python prints, in a process with the import path of this one."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        fail(f"`python {' '.join(arguments)}` failed: {done.stderr}")
    return done.stdout


def fail(message: str) -> NoReturn:
    """Fail a test with a message that tells the author of the adapter how to fix it."""
    pytest.fail(message, pytrace=False)
