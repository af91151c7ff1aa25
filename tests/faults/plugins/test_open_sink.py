"""Where plugins send pages to: gangplank_open_sink."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gangplank
from gangplank.core.page.page import Page
from support.plugin_runs import run_one
from support.reading import value
from support.servers import Server
from support.strangers import install

OPENS = """
import gangplank
class Kafka:
    def __init__(self, address): self.address = address
    def __str__(self): return self.address
    def send(self, page, timeout):
        with open({file!r}, "ab") as file: file.write(page.identified().text())
    def close(self): pass
@gangplank.hookimpl
def gangplank_open_sink(address):
    with open({file!r} + ".asked", "a") as file: print(address, file=file)
    {more}
    return Kafka(address) if address.startswith("kafka://") else None
"""


def opener(folder: Path, name: str = "kafka", more: str = "pass") -> Path:
    """Install a plugin that opens `kafka://`; return where its pages arrive, and `.asked` what it was asked."""
    pages = folder / f"{name}.pages"
    install(folder, name, OPENS.format(file=str(pages), more=more))
    return pages


def asked(pages: Path) -> list[str]:
    path = Path(f"{pages}.asked")
    return path.read_text().splitlines() if path.exists() else []


def test_a_plugin_opens_a_scheme_of_its_own(tmp_path: Path) -> None:
    pages = opener(tmp_path)
    done = run_one(tmp_path, "kafka://broker:9092/metrics")
    assert (done.stdout, done.stderr) == ("", "")
    last = pages.read_text().rpartition("# HELP gangplank_train_loss")[2]
    assert re.search(r'^gangplank_train_loss\{.*job="digits",phase="train".*\} 0\.5$', last, re.MULTILINE)
    assert re.search(r'^gangplank_run_state\{.*state="finished"\} 1\.0$', last, re.MULTILINE)
    assert asked(pages) == ["kafka://broker:9092/metrics"]


def test_the_first_by_name_that_answers_opens(tmp_path: Path) -> None:
    first, second = opener(tmp_path, "a"), opener(tmp_path, "b")
    run_one(tmp_path, "kafka://broker:1")
    assert first.exists()
    assert not asked(second)


@pytest.mark.parametrize(
    "address", ["{gateway}", "http://{gateway}", "HTTP://{gateway}", "file://{folder}/digits.prom"]
)
def test_schemes_of_ours_cannot_be_taken_over(address: str, gateway: Server, tmp_path: Path) -> None:
    pages = opener(tmp_path, more="return Kafka(address)")
    assert run_one(tmp_path, address.format(gateway=gateway.address, folder=tmp_path)).stderr == ""
    assert not asked(pages)
    assert not pages.exists()
    assert (tmp_path / "digits.prom").exists() or value(gateway, "gangplank_train_loss") == 0.5


def test_a_scheme_of_ours_is_the_users_to_take(gateway: Server) -> None:
    sent: list[Page] = []

    class Own:
        def send(self, page: Page, timeout: float) -> None:
            sent.append(page)

        def close(self) -> None:
            pass

    with gangplank.run(gateway.address, "digits", sink=lambda address: Own()) as run:
        run.record({"loss": 0.5}, epoch=0)
    assert sent[-1].metrics["loss"][0] == 0.5
    assert "gangplank_train_loss" not in gateway.metrics()


def test_a_scheme_that_nobody_knows_is_an_error_that_lists_who_was_asked(tmp_path: Path) -> None:
    assert "host:port, http://, https://, file:///, scrape://)" in run_one(tmp_path, "nats://broker:1").stdout
    pages = opener(tmp_path)
    said = run_one(tmp_path, "nats://me:canary@broker:1").stdout
    assert said.startswith("ConfigurationError: nats://broker:1: the scheme is not built in (host:port, http://")
    assert "nor known to the plugins kafka: " in said
    assert "gangplank plugins" in said
    assert asked(pages) == ["nats://broker:1"]


def test_one_that_raises_is_named_and_the_next_is_asked(tmp_path: Path) -> None:
    opener(tmp_path, "a", more="raise RuntimeError('half open')")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert "; a raised RuntimeError: half open" in said
    pages = opener(tmp_path, "b")
    assert run_one(tmp_path, "kafka://broker:1").stdout == ""
    assert pages.exists()


def test_one_that_ends_the_process_is_named(tmp_path: Path) -> None:
    opener(tmp_path, "a", more="raise SystemExit('half open')")
    assert "; a raised SystemExit: half open" in run_one(tmp_path, "kafka://broker:1").stdout


@pytest.mark.parametrize("what", ["'kafka'", "Kafka", "object()"])
def test_what_is_no_sink_is_refused_with_the_plugins_name(what: str, tmp_path: Path) -> None:
    opener(tmp_path, more=f"return {what}")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert said.startswith("ConfigurationError: ")
    assert "the plugin kafka" in said


def test_the_cure_that_one_gives_is_the_users(tmp_path: Path) -> None:
    opener(tmp_path, more="raise gangplank.ConfigurationError('name a topic: kafka://broker/topic')")
    said = run_one(tmp_path, "kafka://broker:1").stdout
    assert said == "ConfigurationError: name a topic: kafka://broker/topic\n"


def test_credentials_in_an_address_are_refused_and_not_shown(tmp_path: Path) -> None:
    pages = opener(tmp_path)
    said = run_one(tmp_path, "kafka://me:canary@broker:9092/metrics").stdout
    assert said.startswith(
        "ConfigurationError: kafka://broker:9092/metrics: the plugin kafka does not receive the credentials"
    )
    assert "canary" not in said
    assert asked(pages) == ["kafka://broker:9092/metrics"]
    assert not pages.exists()


@pytest.mark.parametrize("secret", ["ca/nary", "c@nary", "ca nary", "ca\nnary", "ca?nary"])
def test_credentials_that_are_malformed_are_not_shown_either(secret: str, tmp_path: Path) -> None:
    pages = opener(tmp_path)
    said = run_one(tmp_path, f"kafka://me:{secret}@broker:9092").stdout
    assert said.startswith("ConfigurationError: ")
    assert "nary" not in said + "".join(asked(pages))
    assert not pages.exists()
