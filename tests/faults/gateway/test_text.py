"""Labels that are refused, and hostile text."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

import gangplank
from gangplank import ConfigurationError, DeliveryError
from gangplank.cli.remote.reader import GroupsReader
from gangplank.cli.remote.tables import JobMetrics
from gangplank.core.environment import INFO_LABELS, known_info
from gangplank.core.labels import RESERVED_LABELS
from gangplank.testing.gateway import Gateway
from support import proxy as proxies
from support.gateway_faults import put
from support.logged import warnings
from support.proxy import Proxy
from support.reading import samples, value
from support.servers import Server

# Row 19: labels that are refused


@pytest.mark.parametrize("label", sorted({*RESERVED_LABELS, *INFO_LABELS, "__name__", "__x", "mine"}))
def test_a_label_that_would_break_a_page_is_refused_with_the_cure(label: str) -> None:
    with pytest.raises(ConfigurationError, match=f"grouping_key: .*'{label}'.*rename it"):
        gangplank.run("gateway:1", "digits", grouping_key={label: "x"}, info={"mine": "x"})


@pytest.mark.parametrize("label", sorted({*RESERVED_LABELS, "__name__", "__x"}))
def test_a_label_that_would_break_the_info_is_refused_with_the_cure(label: str) -> None:
    with pytest.raises(ConfigurationError, match=f"info: .*'{label}'.*rename it"):
        gangplank.run("gateway:1", "digits", info={label: "x"})


# Row 23: hostile text

HOSTILE = {
    "lines": 'a\nb\r\n# TYPE gangplank_train_loss counter\ngangplank_train_loss{job="x"} 666\n',
    "quotes": 'a"} 666\ngangplank_train_evil{b="\\',
    "escapes": "a\x1b[31mred\x1b]0;title\x07\x9b2J\u202e\u2028b",
    "markup": "[bold red]a[/] [/nothing] [link=http://x]y",
    "long": "a" * 10_000,
    "nul": "a\x00b",
    "slashes": "../../a//b/./%2e%2e/?x=1#y",
}
SURROGATE = "a\udcffb"
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def placed(where: str, text: str) -> dict[str, Any]:
    """Return the arguments of a run that has a text somewhere."""
    options: dict[str, Any] = {"job": "digits"}
    if where == "info":
        options["info"] = {"note": text}
    elif where == "grouping_key":
        options["grouping_key"] = {"team": text}
    elif where in {"job", "run"}:
        options[where] = text
    return options


def is_quiet(line: str) -> bool:
    """Return whether a line is one line, and does nothing to a terminal."""
    return line.isprintable()


@hostile
@pytest.mark.parametrize("where", ["metric", "info", "grouping_key", "job", "run", "optimizer"])
def test_hostile_text_is_a_value_and_no_more(
    gateway: Server, where: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    options = placed(where, text)
    with Gateway() as embedded:
        for address in (gateway.address, embedded.address):
            with gangplank.run(address, ignore_exceptions=False, **options) as run:
                run.record(
                    {text if where == "metric" else "accuracy": 0.25, "loss": 0.5},
                    epoch=0,
                    learning_rates={text if where == "optimizer" else "sgd": 0.1},
                )
        pages = (gateway.metrics(), embedded.metrics())
    for page in pages:
        (loss,) = samples(page, "gangplank_train_loss")
        (info,) = samples(page, "gangplank_run_info")
        (rate,) = samples(page, "gangplank_train_learning_rate")
        found = {
            "info": info.labels.get("note"),
            "grouping_key": loss.labels.get("team"),
            "job": loss.labels["job"],
            "run": loss.labels["run"],
            "optimizer": rate.labels["optimizer"],
        }
        assert loss.value == 0.5
        assert found.get(where, text) == text
        assert "666" not in {line.rpartition(" ")[2] for line in page.splitlines() if not line.startswith("#")}
        assert not re.search("^gangplank_train_evil", page, re.MULTILINE)
        gauges = set(re.findall(r"^(gangplank_train_\w+){", page, re.MULTILINE))
        assert len(gauges) == 4  # two metrics, elapsed time, learning rate
        for family in gauges:
            assert len(family) < 200
    assert all(is_quiet(line) for line in warnings(caplog))


@pytest.mark.parametrize("where", ["info", "grouping_key", "job", "run"])
def test_what_is_no_unicode_is_refused_before_any_training(where: str) -> None:
    options = placed(where, SURROGATE)
    with pytest.raises(ConfigurationError, match="surrogate") as raised:
        gangplank.run("gateway:1", **options)
    assert is_quiet(str(raised.value))


def test_a_metric_whose_name_is_no_unicode_has_a_name(gateway: Server, caplog: pytest.LogCaptureFixture) -> None:
    with gangplank.run(gateway.address, "digits", ignore_exceptions=False) as run:
        run.record({SURROGATE: 0.25, "loss": 0.5}, epoch=0)
    assert value(gateway, "gangplank_train_a_b") == 0.25
    (said,) = warnings(caplog)
    assert is_quiet(said)


def test_an_optimizer_whose_name_is_no_unicode_costs_no_page(gateway: Server) -> None:
    with gangplank.run(gateway.address, "digits", ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0, learning_rates={SURROGATE: 0.1})
    assert value(gateway, "gangplank_train_loss") == 0.5


@pytest.mark.parametrize("variable", ["LOGNAME", "SLURM_JOB_ID"])
def test_an_environment_that_is_no_unicode_costs_no_page(
    gateway: Server, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, SURROGATE)
    known_info.cache_clear()
    try:
        with gangplank.run(gateway.address, "digits", ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
    finally:
        known_info.cache_clear()
    assert value(gateway, "gangplank_train_loss") == 0.5


@hostile
def test_a_gateways_answer_is_one_quiet_line(proxy: Proxy, text: str, caplog: pytest.LogCaptureFixture) -> None:
    proxy.behaviour = proxies.answers("400 Bad Request", text)
    run = gangplank.run(proxy.address, "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError, match="answered 400") as raised:
        run.start()
    (said,) = warnings(caplog)
    for line in (said, str(raised.value)):
        assert is_quiet(line)
        assert len(line) < 500


@pytest.mark.parametrize("status", ["\x1b[31m 666", "400 \x1b[31mred\x07", "200\x1b[31m OK"])
def test_a_status_line_is_quiet_too(proxy: Proxy, status: str, caplog: pytest.LogCaptureFixture) -> None:
    proxy.behaviour = proxies.answers(status)
    run = gangplank.run(proxy.address, "digits", ignore_exceptions=False)
    with pytest.raises(DeliveryError) as raised:
        run.start()
    (said,) = warnings(caplog)
    assert is_quiet(said)
    assert is_quiet(str(raised.value))


@hostile
def test_what_is_said_of_a_metric_or_a_failure_is_one_quiet_line(
    text: str, caplog: pytest.LogCaptureFixture, proxy: Proxy
) -> None:
    proxy.behaviour = proxies.answers("400 Bad Request", "no")
    run = gangplank.run(
        proxy.address, text, grouping_key={"team": text}, metrics=[text, f"{text} two", f"{text} three"]
    )
    run.record({text: 0.5, f"{text} two": "no number"}, epoch=0)
    run.finish()
    said = warnings(caplog)
    assert len(said) >= 3
    assert all(is_quiet(line) and len(line) < 1_500 for line in said)


@pytest.mark.parametrize(
    "text",
    [
        *(HOSTILE[name] for name in ("lines", "quotes", "escapes", "nul")),
        HOSTILE["markup"],
    ],
)
def test_a_table_shows_hostile_text_as_text(gateway: Server, text: str) -> None:
    with gangplank.run(gateway.address, "digits", grouping_key={"team": text}, ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0, learning_rates={text: 0.125})
    put(
        gateway,
        "digits/phase/train/k/v",
        f'# TYPE gangplank_run_state gauge\ngangplank_run_state{{state="{_label(text)}"}} 1\n',
    )
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=400)
    console.print(JobMetrics(GroupsReader().read(gateway.metrics())).table())
    for line in out.getvalue().splitlines():
        assert is_quiet(line.replace("\x1b[1m", "").replace("\x1b[0m", ""))  # rich's own bold
        assert line.strip() == "" or line.lstrip().startswith(("gangplank_...", "─", "run_", "<phase>_"))
    assert "<phase>_loss" in out.getvalue()


def _label(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
