"""How the servers that the tests talk to are got and found."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from support import servers

SCRIPT = Path(__file__).parent / "install-servers"
OLD = ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-pushgateway", "promtool"]
PLACES = {"": OLD, "new": OLD, "debian13": ["prometheus-pushgateway"]}

# Stand-ins: apt-get notes how it is called and downloads a file for each package, dpkg-deb unpacks a program from each.
APT_GET = """#!/bin/sh
echo "$*" >>"$NOTES"
[ "$1" != download ] || [ -z "$OFFLINE" ] || { echo "E: offline" >&2; exit 100; }
[ "$1" = download ] || exit "${OFFLINE:-0}"
cp "$APT_CONFIG" "$NOTES.config"
shift 2
for package; do : >"$package.deb"; done
"""
DPKG_DEB = '#!/bin/sh\nmkdir -p "$3/usr/bin"; name=$(basename "$2" .deb); cp "$0" "$3/usr/bin/$name"\n'


class Checkout:
    """A checkout with the script and nothing else, on a machine whose only package tools are stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes = folder / "notes"
        self.programs = folder / "programs"
        for path in (folder / "tests", self.programs):
            path.mkdir()
        shutil.copy(SCRIPT, folder / "tests")
        for name in ("awk", "basename", "cat", "chmod", "cp", "dirname", "mkdir", "mktemp", "mv", "rm", "sed", "sh"):
            (self.programs / name).symlink_to(str(shutil.which(name)))
        for name, text in (("apt-get", APT_GET), ("dpkg-deb", DPKG_DEB), ("apt-cache", "#!/bin/sh\n")):
            self.add(name, text)

    def add(self, name: str, text: str = "#!/bin/sh\n") -> None:
        """Put a program on PATH."""
        (self.programs / name).write_text(text)
        (self.programs / name).chmod(0o755)

    def install(self, *arguments: str, **environment: str) -> str:
        """Run the script, which must succeed; return what it says."""
        variables = {"PATH": str(self.programs), "NOTES": str(self.notes), "TMPDIR": str(self.folder), **environment}
        script = self.folder / "tests" / SCRIPT.name
        ran = subprocess.run([script, *arguments], env=variables, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (0, "")
        assert not list(self.folder.glob("tmp*"))
        return ran.stderr

    def unpacked(self) -> dict[str, list[str]]:
        """Return the programs in each folder."""
        found = {place: self.folder / ".servers" / place / "usr" / "bin" for place in PLACES}
        return {place: sorted(program.name for program in path.glob("*")) for place, path in found.items()}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh one."""
    return Checkout(tmp_path)


def test_both_generations_are_unpacked_and_then_left_alone(checkout: Checkout) -> None:
    assert checkout.install() == ""
    assert checkout.unpacked() == PLACES
    called = checkout.notes.read_text()
    assert called.count("update") == 3
    assert checkout.install() == ""
    assert checkout.notes.read_text() == called


def test_what_the_stack_starts_can_be_unpacked_alone(checkout: Checkout) -> None:
    assert checkout.install("stack") == ""
    assert checkout.unpacked() == {
        "": ["prometheus", "prometheus-alertmanager", "prometheus-pushgateway", "promtool"],
        "new": [],
        "debian13": [],
    }
    called = checkout.notes.read_text()
    checkout.install("stack")
    assert checkout.notes.read_text() == called


def test_the_stack_itself_says_what_is_missing_where_there_is_no_apt(checkout: Checkout) -> None:
    (checkout.programs / "apt-get").unlink()
    assert checkout.install("stack") == ""


def test_apts_own_state_is_not_touched(checkout: Checkout) -> None:
    checkout.install()
    config = (checkout.folder / "notes.config").read_text()
    for place in ("Dir::State::lists", "Dir::Cache", "Dir::Etc::sourceparts"):
        assert f'{place} "{checkout.folder}' in config


def test_what_is_on_path_is_not_got_again(checkout: Checkout) -> None:
    for name in ("prometheus", "promtool", "pushgateway"):
        checkout.add(name)
    assert checkout.install() == ""
    assert checkout.unpacked() == PLACES | {"": ["prometheus-alertmanager", "prometheus-node-exporter"]}


def test_without_a_network_or_apt_nothing_is_unpacked_and_it_says_so(checkout: Checkout) -> None:
    for missing in ("E: offline", "not found"):
        said = checkout.install(OFFLINE="100")
        assert missing in said
        assert said.count("What needs them will be left out.") == 3
        assert checkout.unpacked() == {place: [] for place in PLACES}
        (checkout.programs / "apt-get").unlink(missing_ok=True)


def test_ci_may_lack_the_newer_generation_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(servers, "PATHS", dict.fromkeys(servers.PATHS, str(tmp_path)))
    for ci in ("true", ""):
        monkeypatch.setenv("CI", ci)
        for generation in ("new", "debian13"):
            with pytest.raises(pytest.skip.Exception, match=rf"^needs promtool \({generation}\)$"):
                servers.find("promtool", generation=generation)
    with pytest.raises(pytest.skip.Exception, match=r"^needs promtool$"):
        servers.find("promtool", generation="old")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs promtool, which CI must have"):
        servers.find("promtool", generation="old")


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 1\n", "no program"])
def test_a_newer_one_that_does_not_start_is_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    monkeypatch.setattr(servers, "PATHS", {"new": str(tmp_path)})
    (tmp_path / "promtool").write_text(program)
    (tmp_path / "promtool").chmod(0o755)
    with pytest.raises(pytest.skip.Exception, match=r"needs promtool \(new\)"):
        servers.find("promtool", generation="new")
