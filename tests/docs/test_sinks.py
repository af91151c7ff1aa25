"""What docs/sinks.md says to write works."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import gangplank
from gangplank.core.plugins import loading, registry
from support.reading import eventually, samples, value
from support.servers import Server, find, free_port

PAGE = Path(__file__).parents[2] / "docs" / "sinks.md"


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("config", snippets("yaml"))
def test_promtool_takes_a_configuration(config: str, tmp_path: Path) -> None:
    assert "honor_labels: true" in config
    (tmp_path / "prometheus.yml").write_text(config)
    checked = [find("promtool"), "check", "config", str(tmp_path / "prometheus.yml")]
    assert subprocess.run(checked, capture_output=True, check=False).returncode == 0


def test_the_scripts_do_what_they_say(gateway: Server, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    for script in snippets("python"):
        for written, there in (
            ("/var/lib/prometheus/node-exporter", str(tmp_path)),
            ("/var/log", str(tmp_path)),
            ("127.0.0.1:9091", gateway.address),
            ("127.0.0.1:9464", f"127.0.0.1:{free_port()}"),
        ):
            script = script.replace(written, there)  # noqa: PLW2901
        exec(script, names)  # noqa: S102  our own page
        if "exporter" in names:
            names.pop("exporter").close()
    assert value(gateway, "gangplank_run_epoch") == 3
    (loss,) = samples((tmp_path / "digits.prom").read_text(), "gangplank_train_loss")
    assert loss.value == 0.5
    assert (tmp_path / "digits.log").read_text().count("# TYPE gangplank_train_loss gauge") >= 1
    assert str(names["gangplank_open_sink"]("append:///x")) == "append:///x"


def test_a_package_opens_addresses_of_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ((name, module),) = tomllib.loads(snippets("toml")[0])["project"]["entry-points"]["gangplank"].items()
    folder = tmp_path.joinpath(*module.split("."))
    folder.parent.mkdir()
    (folder.parent / "__init__.py").touch()
    *_, sink, plugin = snippets("python")
    folder.with_suffix(".py").write_text(sink.partition("\nwith ")[0] + plugin)
    monkeypatch.syspath_prepend(tmp_path)
    entry = EntryPoint(name, module, "gangplank")
    monkeypatch.setattr(registry, "installed", lambda: (loading.loaded(entry.load(), name, "a package", module),))
    exporter = gangplank.Exporter(f"append://{tmp_path}/log", "digits")
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: "gangplank_train_loss" in (tmp_path / "log").read_text())
    assert exporter.addresses == (f"append://{tmp_path}/log",)
