"""`gangplank show`: what the gateway holds, each group apart, and nothing that a stranger's label can do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import gangplank as library
from gangplank.cli.remote.groups import format_age, format_duration, matching
from gangplank.cli.remote.reader import GroupsReader
from gangplank.core.sinks.credentials import PREFIX
from support.servers import USERS, free_port, pushgateway
from support.verbs import BUILD_INFO, either, gangplank, put, run_page, served


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty gateway of either kind."""
    with either(request) as address:
        yield address


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def rows(text: str) -> list[list[str]]:
    """Return the rows of the overview, as words."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(" ───"))
    return [line.split() for line in lines[begin + 1 : lines.index("", begin)] if line.strip()] if begin else []


def overview(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """Return the overview that `show` prints."""
    assert gangplank("show", *arguments) == 0
    text = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    return rows(text + "\n\n")


def train(address: str, job: str, loss: float, **options: object) -> None:
    """Run a training of two epochs."""
    buckets = library.HISTOGRAM_WEIGHT_BUCKETS_0_3
    settings: dict[str, object] = {"histogram_buckets": buckets, "ignore_exceptions": False, **options}
    with library.run(address, job, run="r1", **settings) as run:  # type: ignore[arg-type]
        for _ in run.epochs(2):
            run.record({"loss": loss}, weights=[[0.01, -0.2]])


def test_groups_that_differ_in_a_label_of_the_users_are_apart(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    train(address, "digits", 0.25)
    train(address, "digits", 0.75, grouping_key={"team": "vision"})
    put(address, "m 1\n", job="cron")
    assert gangplank("show", address) == 0
    out = capsys.readouterr().out
    assert [row[:5] for row in rows("\n".join(map(str.rstrip, out.splitlines())))] == [
        ["digits", "train", "r1", "finished", "2/2"],
        ["digits", "train", "team='vision'", "r1", "finished"],
    ]
    assert "1 other group, not gangplank's." in out
    plain, vision = out.split("job='digits'")[1:]
    assert vision.startswith(", team='vision'\n")
    for table, loss in ((plain, "0.25"), (vision, "0.75")):
        assert f"<phase>_loss{loss}" in table.replace(" ", "")
        assert "gangplank_train_model_weights" in table
        assert "<= -0.15" in table
        assert "█" in table


def test_metrics_are_shown_of_one_job(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(address, run_page(train_loss=0.5), job="a", phase="train")
    put(address, run_page(test_loss=0.5), job="b", phase="test")
    gangplank("show", address)
    assert "<phase>_loss" not in capsys.readouterr().out
    gangplank("show", address, "--job", "b")
    out = capsys.readouterr().out
    assert "<phase>_loss" in out
    assert "train" not in out
    assert [row[:2] for row in overview(capsys, address, "--phase", "train")] == [["a", "train"]]
    assert gangplank("show", address, "--job", "c") == 0
    assert f"The gateway on {address} has no matching group." in capsys.readouterr().out


def test_a_run_that_has_gone_silent_may_be_dead(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(address, run_page(beat=10, run_epoch=3, run_epochs_planned=20), job="alive", phase="train")
    put(address, run_page(beat=740, run_step=1200, run_steps_planned=5000), job="dead", phase="train")
    put(address, run_page("finished", beat=740), job="done", phase="train")
    alive, dead, done = (" ".join(row) for row in overview(capsys, address))
    assert alive.startswith("alive train running 3/20 ")
    assert dead.startswith("dead train running? (12 min) 1,200/5,000 ")
    assert dead.endswith(" s ago 12 min ago")
    assert done.startswith("done train finished ")


def test_a_trainer_whose_clock_is_ahead_does_not_live_for_ever() -> None:
    labels = '{instance="",job="a",phase="train"}'
    beat = f"gangplank_run_heartbeat_timestamp_seconds{labels} 9000\n"
    state = 'gangplank_run_state{instance="",job="a",phase="train",state="running"} 1\n'
    [group] = GroupsReader().read(f"{beat}{state}push_time_seconds{labels} 5000\npush_failure_time_seconds{labels} 0\n")
    assert group.is_alive(5100)
    assert group.describe_state(6200) == "running? (20 min)"
    assert format_age(group.run_value("heartbeat_timestamp_seconds"), 6200) == "46 min ahead"


def test_what_was_never_accepted_says_so(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(address, "m 1\nm 1\n", job="bad", phase="train", accepted=False)
    put(address, run_page(), job="good", phase="train")
    put(address, "m 1\nm 1\n", job="good", phase="train", accepted=False)
    bad, good = (" ".join(row) for row in overview(capsys, address))
    assert bad.startswith("bad train never accepted refused ")
    assert "s ago, a later one refused" in good


def test_json_is_strict_and_whole(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    position = {"run_epoch": 3, "run_epochs_planned": 4, "run_step": 30, "run_steps_planned": 40}
    page = run_page("failed", **position, train_loss=float("nan"), train_a=float("inf"))
    put(address, page + "# TYPE gangplank_train_b gauge\ngangplank_train_b -Inf\n", job="a", phase="train", team="x")
    put(address, "m 1\n", job="other")
    assert gangplank("show", address, "--json") == 0

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    [group] = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert group["labels"] == {"job": "a", "phase": "train", "team": "x"}
    assert [group[name] for name in ("run", "state", "epoch", "epochs_planned")] == [None, "failed", 3, 4]
    assert (group["step"], group["steps_planned"]) == (30, 40)
    assert abs(group["pushed_at"] - time.time()) < 60
    assert abs(group["heartbeat"] - time.time()) < 60
    assert group["push_failed_at"] is None
    metrics = group["metrics"]
    assert (metrics["gangplank_train_loss"], metrics["gangplank_train_a"], metrics["gangplank_train_b"]) == (
        "NaN",
        "+Inf",
        "-Inf",
    )
    assert {"labels": {"state": "failed"}, "value": 1} in metrics["gangplank_run_state"]


@pytest.mark.parametrize(("options", "code"), [(["--json"], 0), ([], 1)])
def test_only_tables_need_rich(address: str, options: list[str], code: int) -> None:
    program = f"from support.verbs import gangplank; sys.exit(gangplank('show', {address!r}, *{options!r}))"
    program = f"import sys; sys.modules['rich'] = None; {program}"
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert done.stdout == ("[]\n" if code == 0 else "")
    assert ('pip install ".[cli]"' in done.stderr) == bool(code)


def test_text_of_strangers_does_nothing_to_a_terminal(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    job, value = "[red]a[/red]\x1b[31m", "x\x1b]0;owned\x07\ny"
    put(address, run_page().replace('"running"', '"\x1b[2Jrunning"'), job=job, phase="train", team=value)
    for options in ([], ["--job", job], ["--json"]):
        assert gangplank("show", address, *options) == 0
        out = capsys.readouterr().out
        assert all(character.isprintable() or character == "\n" for character in out)
        assert "[red]a[/red]" in out


def test_runs_at_the_same_time_are_apart(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    for run in ("r1", "r2"):
        page = run_page(train_loss=1).replace("} ", ',run="r"} ')
        put(address, page, job="a", phase="train", run=run)
    put(address, run_page(train_loss=1), job="a", phase="train")
    assert [row[:3] for row in overview(capsys, address)] == [
        ["a", "train", "running"],
        ["a", "train", "r1"],
        ["a", "train", "r2"],
    ]


def test_a_sample_belongs_to_the_longest_key_that_fits() -> None:
    text = "".join(
        f'{name}{{instance="",job="a",phase="train"{more}}} 1\n'
        for name in ("gangplank_run_epoch", "push_time_seconds")
        for more in ("", ',team="x"')
    )
    assert [(str(group), len(group.series)) for group in GroupsReader().read(text)] == [
        ("job='a', phase='train'", 1),
        ("job='a', phase='train', team='x'", 1),
    ]
    assert [str(group) for group in matching(GroupsReader().read(text), "a", labels=[("team", "")])] == [
        "job='a', phase='train'"
    ]
    assert [str(group) for group in matching(GroupsReader().read(text), "?", labels=[("team", "*")])] == [
        "job='a', phase='train', team='x'"
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (47 * 3600, "47 h"), (172800, "2 days"), (1e999, "?")],
)
def test_ages_are_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_help_text_may_be_anything(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    put(address, run_page(), job="a", phase="train")
    put(address, b"# HELP m \xe9\nm 1\n", job="b")
    assert [row[0] for row in overview(capsys, address)] == ["a"]


# Gateways that are not there, or want to know who asks


def test_no_gateway_is_a_failure_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    assert gangplank("show", f"http://me:canary@127.0.0.1:{port}") == 1
    err = capsys.readouterr().err
    assert f"cannot reach 127.0.0.1:{port}: " in err
    assert "canary" not in err


def test_what_is_no_gateway_is_not_shown_as_an_empty_one(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda *_: (200, {}, "up 1\n")) as (address, _):
        assert gangplank("show", address) == 1
    assert f"the server on {address} is not a Pushgateway" in capsys.readouterr().err
    with served(lambda *_: (200, {}, f"{BUILD_INFO}<html>\n")) as (address, _):
        assert gangplank("show", address) == 1
    assert "cannot be parsed" in capsys.readouterr().err


def test_an_address_that_is_none_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gangplank("show", "http://me:canary@host:99999") == 2
    assert "canary" not in capsys.readouterr().err


def test_neither_redirect_nor_proxy_sees_the_credentials(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(lambda *_: (200, {}, BUILD_INFO)) as (elsewhere, asked):
        monkeypatch.setenv("http_proxy", f"http://{elsewhere}")
        with served(lambda *_: (302, {"Location": f"http://{elsewhere}/metrics"}, "")) as (address, asked_first):
            assert gangplank("show", f"http://me:canary@{address}") == 1
    assert "answered 302" in capsys.readouterr().err
    assert (asked_first, asked) == (["GET /metrics Basic bWU6Y2FuYXJ5"], [])


def test_a_gateway_that_asks_who_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = trustme.CA()
    issued = ours.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    ours.cert_pem.write_to_path(tmp_path / "ca.pem")
    config = f"{USERS}tls_server_config: {{cert_file: {tmp_path}/cert.pem, key_file: {tmp_path}/key.pem}}\n"
    with pushgateway(tmp_path, config=config) as server:
        address = f"https://{server.address}"
        assert gangplank("show", address) == 1
        assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
        monkeypatch.setenv(f"{PREFIX}HOST", server.address)
        monkeypatch.setenv(f"{PREFIX}CA_FILE", str(tmp_path / "ca.pem"))
        for wrong in (address, f"https://me:canaries@{server.address}"):
            assert gangplank("show", wrong) == 1
            err = capsys.readouterr().err
            assert "answered 401: Unauthorized; give GANGPLANK_PUSHGATEWAY_HOST, _USERNAME and _PASSWORD" in err
            assert "canaries" not in err
        monkeypatch.setenv(f"{PREFIX}USERNAME", "me")
        monkeypatch.setenv(f"{PREFIX}PASSWORD", "canary")
        with library.run(address, "digits", ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
        assert [row[0] for row in overview(capsys, address)] == ["digits"]
        assert gangplank("delete", address, "--job", "digits", "--yes") == 0
        assert gangplank("show", address, "--json") == 0
        assert capsys.readouterr().out.endswith("[]\n")
