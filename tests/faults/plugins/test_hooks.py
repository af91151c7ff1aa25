"""Every hook: how it is used, and that it is called."""

from __future__ import annotations

import inspect
import re
import textwrap
import typing
from pathlib import Path

import pytest

from gangplank.core.plugins import hookspecs
from support.plugin_runs import RUNS, python
from support.strangers import install

HOOKS = [name for name, function in vars(hookspecs).items() if hasattr(function, "gangplank_spec")]


def test_there_are_seven() -> None:
    assert len(HOOKS) == 7
    assert all(name.startswith("gangplank_") for name in HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_how_it_is_used(hook: str) -> None:
    function = getattr(hookspecs, hook)
    document = inspect.getdoc(function) or ""
    example = "\n".join(re.findall(r"^(?: {4}.*)?$", document, re.MULTILINE))
    defined = compile(textwrap.dedent(example), hook, "exec")
    assert "@hookimpl\n" in example
    assert hook in defined.co_names
    assert re.search(r"entry point `\w+ = \"\w+\"`", document), "how it is announced"
    hints = typing.get_type_hints(function)
    assert set(hints) == {*inspect.signature(function).parameters, "return"}
    assert typing.Any not in hints.values()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_tests_here(hook: str) -> None:
    tests = "".join(file.read_text() for file in Path(__file__).parent.glob("test_*.py"))
    assert tests.count(f"def {hook}(") > 0


def test_a_plugin_with_every_hook_is_told_by_each(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    lines = [
        "from gangplank import hookimpl",
        "class Nowhere:",
        "    def send(self, page, timeout): pass",
        "    def close(self): pass",
    ]
    for hook in HOOKS:
        parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
        note = f"    with open({str(seen)!r}, 'a') as file: print({hook!r}, file=file)"
        answers = {"gangplank_info": "{}", "gangplank_adapters": "[]", "gangplank_open_sink": "Nowhere()"}
        lines += ["@hookimpl", f"def {hook}({parameters}):", note, f"    return {answers.get(hook)}"]
    install(tmp_path, "everything", "\n".join(lines))
    code = RUNS.format(address="nowhere://", options={})
    done = python(tmp_path, f"{code}from gangplank.core.plugins import registry; registry.adapters()\n")
    assert (done.stdout, done.stderr) == ("", "")
    assert set(seen.read_text().split()) == set(HOOKS)
