"""Which plugins are let in, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.plugin_runs import RUNS, python, run_one
from support.reading import value
from support.servers import Server
from support.strangers import install


def notes(folder: Path, *names: str) -> Path:
    """Install plugins that write their names down when a run starts; return where."""
    seen = folder / "seen"
    for name in names:
        source = f"""
            from gangplank import hookimpl
            @hookimpl
            def gangplank_run_started(run):
                with open({str(seen)!r}, "a") as file: print({name!r}, file=file)
            """
        install(folder, name, source)
    return seen


@pytest.mark.parametrize(
    ("variables", "left"),
    [
        ({}, "a b c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "b"}, "a c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "b, a"}, "c"),
        ({"GANGPLANK_DISABLE_PLUGINS": "none-such"}, "a b c"),
        ({"GANGPLANK_DISABLE_PLUGINS": ""}, "a b c"),
        *(({"GANGPLANK_DISABLE_PLUGINS": every}, "") for every in ("all", "ALL", "1", "true", "a all")),
        ({"GANGPLANK_PLUGINS": "c b"}, "b c"),
        ({"GANGPLANK_PLUGINS": ""}, ""),
        ({"GANGPLANK_PLUGINS": " , "}, ""),
        ({"GANGPLANK_PLUGINS": "a,b", "GANGPLANK_DISABLE_PLUGINS": "a"}, "b"),
        ({"GANGPLANK_PLUGINS": "all"}, ""),  # a name like any other
    ],
)
def test_the_environment_says_which_are_used(
    variables: dict[str, str], left: str, gateway: Server, tmp_path: Path
) -> None:
    seen = notes(tmp_path, "a", "b", "c")
    done = run_one(tmp_path, gateway.address, **variables)
    assert (seen.read_text().split() if seen.exists() else []) == left.split()
    said = "GANGPLANK_PLUGINS names all, but no such plugin is installed\n"
    assert done.stderr == (said if variables == {"GANGPLANK_PLUGINS": "all"} else "")


def test_one_that_is_switched_off_is_not_imported(gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "hangs", "import time; time.sleep(600)")
    assert run_one(tmp_path, gateway.address, GANGPLANK_DISABLE_PLUGINS="hangs").stderr == ""
    assert run_one(tmp_path, gateway.address, GANGPLANK_PLUGINS="").stderr == ""


def test_an_allowed_one_that_is_not_installed_is_one_warning(gateway: Server, tmp_path: Path) -> None:
    seen = notes(tmp_path, "a")
    code = RUNS.format(address=gateway.address, options={}) * 2
    done = python(tmp_path, code, GANGPLANK_PLUGINS="a, missing")
    assert done.stderr == "GANGPLANK_PLUGINS names missing, but no such plugin is installed\n"
    assert seen.read_text().split() == ["a", "a"]


def test_two_of_one_name_are_an_error_that_names_both_and_the_cure(gateway: Server, tmp_path: Path) -> None:
    for name in ("first", "second"):
        install(tmp_path, name, "", plugin="same")
    said = run_one(tmp_path, gateway.address).stdout
    assert said.startswith("ConfigurationError: two plugins claim the name 'same': ")
    assert "first 1.0 (first)" in said
    assert "second 1.0 (second)" in said
    assert "GANGPLANK_DISABLE_PLUGINS=same" in said
    assert python(tmp_path, "import gangplank").stderr == ""  # importing us is never broken
    for cure in ({"GANGPLANK_DISABLE_PLUGINS": "same"}, {"GANGPLANK_PLUGINS": ""}):
        assert run_one(tmp_path, gateway.address, **cure).stdout == ""
    (tmp_path / "second-1.0.dist-info" / "entry_points.txt").unlink()
    assert run_one(tmp_path, gateway.address).stdout == ""


def test_one_that_takes_our_own_name_is_refused(gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "impostor", "", plugin="gangplank")
    said = run_one(tmp_path, gateway.address).stdout
    assert said.startswith(
        "ConfigurationError: two plugins claim the name 'gangplank': gangplank itself and impostor 1.0"
    )
    assert run_one(tmp_path, gateway.address, GANGPLANK_DISABLE_PLUGINS="gangplank").stdout == ""


@pytest.mark.parametrize("target", ["no such module", "json:", "json:nonesuch", "json:dumps.x", "..", ":x", "1"])
def test_an_entry_point_that_names_nothing_is_one_warning_by_name(target: str, gateway: Server, tmp_path: Path) -> None:
    seen = notes(tmp_path, "a")
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text(f"[gangplank]\nwrong = {target}\n")
    said = run_one(tmp_path, gateway.address).stderr
    if target != "json:":  # which is json
        assert said.startswith("The plugin wrong cannot be loaded: ")
        assert said.count("\n") == 1
    assert seen.read_text() == "a\n"


@pytest.mark.parametrize("group", ["gangplank", "others"])
def test_entry_points_that_cannot_be_read_end_no_training(group: str, gateway: Server, tmp_path: Path) -> None:
    install(tmp_path, "wrong", "")
    (tmp_path / "wrong-1.0.dist-info" / "entry_points.txt").write_text(f"[{group}]\ngarbage\n")
    run_one(tmp_path, gateway.address)
    assert value(gateway, "gangplank_run_state", state="finished") == 1


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        pytest.param(
            "def refuse(): raise importlib.metadata.PackageNotFoundError\nimportlib.metadata.distributions = refuse",
            "The installed packages cannot be listed: PackageNotFoundError",
            id="no package has metadata",
        ),
        pytest.param(
            "def refuse(context): raise PermissionError('a folder')\nsys.meta_path[-1].find_distributions = refuse",
            "The installed packages cannot be listed: PermissionError: a folder",
            id="a folder of the path that must not be read",
        ),
        pytest.param(
            "sys.path += ['/dev/null', 1]", "The installed packages cannot be listed: TypeError", id="an odd path"
        ),
    ],
)
def test_packages_that_cannot_be_listed_end_no_training(
    broken: str, said: str, gateway: Server, tmp_path: Path
) -> None:
    done = python(
        tmp_path, f"import importlib.metadata, sys\n{broken}\n" + RUNS.format(address=gateway.address, options={})
    )
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1
    assert value(gateway, "gangplank_run_state", state="finished") == 1


@pytest.mark.parametrize("metadata", ["", "Name: a\n", "Version: 1\n", "Name: \xff\nVersion: \xff\n", None])
def test_metadata_that_is_incomplete_ends_no_training(metadata: str | None, gateway: Server, tmp_path: Path) -> None:
    notes(tmp_path, "a")
    path = tmp_path / "a-1.0.dist-info" / "METADATA"
    if metadata is None:
        path.unlink()
    else:
        path.write_bytes(metadata.encode("latin-1"))
    assert run_one(tmp_path, gateway.address).stdout == ""
    assert value(gateway, "gangplank_run_state", state="finished") == 1
