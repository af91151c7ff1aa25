"""A file for node_exporter: whole at every moment, and nobody's group in it is lost."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import math
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

import gangplank
from gangplank import ConfigurationError, DeliveryError, ExportError, Run
from gangplank.core.sinks import textfile
from gangplank.core.sinks.textfile import Textfile
from support.odd_files import ODD
from support.reading import eventually, samples
from support.servers import find, get, node_exporter

BUCKETS = (-0.5, 0.0, 0.5)
WEIGHTS = [[-1.0, -0.25, 0.0, 0.25]]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder of a textfile collector; in the end there is nothing in it but what is to be collected."""
    folder = tmp_path / "textfile"
    folder.mkdir()
    yield folder
    assert [path.name for path in folder.iterdir() if path.suffix != ".prom"] == []


def address(folder: Path) -> str:
    return f"file://{folder}/digits.prom"


def text(folder: Path) -> str:
    return (folder / "digits.prom").read_bytes().decode()


def loss(folder: Path, phase: str = "train", **labels: str) -> float | None:
    found = [sample.value for sample in samples(text(folder), f"gangplank_{phase}_loss", **labels)]
    assert len(found) <= 1
    return found[0] if found else None


def in_a_process(folder: Path, code: str) -> subprocess.Popen[str]:
    """Begin a script that has `gangplank` and the `address`."""
    script = f"import os, sys\nimport gangplank\naddress = {address(folder)!r}\n" + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ran(folder: Path, code: str) -> None:
    with in_a_process(folder, code) as process:
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 0


def test_node_exporter_shows_what_was_recorded(folder: Path, tmp_path: Path) -> None:
    exporter = gangplank.Exporter(
        address(folder),
        "digits",
        grouping_key={"team": "vision"},
        run="mine",
        info={"note": 'a "b"\\\r\n', "dataset": "zahlen-äöü"},
        histogram_buckets=BUCKETS,
        ignore_exceptions=False,
    )
    with exporter.run() as run:
        run.start(epochs=3)
        run.record(
            {"loss": 0.1, "größe/übung": 2.0, "1st": 3.0, "bad": math.nan},
            epoch=0,
            learning_rates={"adam": 1e-3},
            weights=WEIGHTS,
        )
    with exporter.run("test") as test:
        test.record({"loss": 0.3})
    written = text(folder)
    with node_exporter(folder, tmp_path / "log") as server:
        page = server.metrics()
    assert [sample.value for sample in samples(page, "node_textfile_scrape_error")] == [0]
    identity = {"job": "digits", "team": "vision", "run": "mine"}

    def series(page: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Return what a page has of ours."""
        found = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found[sample.name, frozenset(sample.labels.items())] = sample.value
        return {(name, labels): value for (name, labels), value in found.items() if name.startswith("gangplank_")}

    assert series(page) == pytest.approx(series(written), rel=0, abs=0, nan_ok=True)
    assert len(series(written)) > 50
    assert all(set(identity.items()) <= labels for _, labels in series(written))
    (seen,) = samples(page, "gangplank_train_loss", phase="train", **identity)
    assert seen.value == 0.1
    (seen,) = samples(page, "gangplank_train_gr__e__bung")
    assert seen.value == 2.0
    (seen,) = samples(page, "gangplank_run_info", phase="train")
    assert (seen.labels["note"], seen.labels["dataset"]) == ('a "b"\\\r\n', "zahlen-äöü")
    (seen,) = samples(page, "gangplank_train_model_weights_sum")
    assert seen.value == -1.0
    assert [s.value for s in samples(page, "gangplank_train_model_weights_bucket")] == [1, 3, 4, 4]
    for shown in (written, page):
        ours = "".join(f"{line}\n" for line in shown.split("\n") if "gangplank_" in line)
        lint = [find("promtool"), "check", "metrics"]
        linted = subprocess.run(lint, input=ours, text=True, capture_output=True, check=False)
        assert (linted.returncode, linted.stdout + linted.stderr) == (0, "")


def test_a_reader_never_sees_half_a_file(folder: Path) -> None:
    run = gangplank.run(address(folder), "digits", ignore_exceptions=False)
    run.record({f"m{index}": index for index in range(100)}, epoch=0)
    whole, seen, stop = len(text(folder).splitlines()), [0], threading.Event()
    broken: list[str] = []

    def read() -> None:
        while not stop.is_set():
            page = text(folder)
            seen[0] += 1
            if not page.endswith("\n") or len(page.splitlines()) < whole:
                broken.append(page)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for epoch in range(1, 300):
            run.record({"m0": epoch}, epoch=epoch)
    finally:
        stop.set()
        reader.join()
        run.finish()
    assert broken == []
    assert seen[0] > 300


# Who shares a file


def test_two_exporters_of_a_process_share_a_file(folder: Path) -> None:
    train = gangplank.run(address(folder), "digits", ignore_exceptions=False)
    test = gangplank.run(address(folder), "digits", "test", ignore_exceptions=False)
    for epoch in range(3):
        train.record({"loss": epoch}, epoch=epoch)
        test.record({"loss": epoch + 0.5})
        assert (loss(folder), loss(folder, "test")) == (epoch, epoch + 0.5)
    train.finish()
    test.finish()
    assert len(list(samples(text(folder), "gangplank_run_state", state="finished"))) == 2


def test_an_evaluation_in_another_process_erases_no_training_and_a_newer_run_replaces_the_older(folder: Path) -> None:
    code = """
    with gangplank.run(address, "digits", sys.argv[1], run=sys.argv[2]) as run:
        run.record({{"loss": {loss}}}, epoch=0)
    """

    def trained(phase: str, run: str, loss: float) -> None:
        ran(folder, f"sys.argv[1:] = {[phase, run]}" + textwrap.dedent(code.format(loss=loss)))

    trained("train", "1", 0.5)
    before = text(folder)
    trained("test", "2", 0.25)
    assert (loss(folder, run="1"), loss(folder, "test", run="2")) == (0.5, 0.25)
    train = {line for line in before.splitlines() if 'phase="train"' in line}
    assert train <= set(text(folder).splitlines())
    trained("train", "3", 0.125)
    assert (loss(folder, run="3"), loss(folder, "test", run="2")) == (0.125, 0.25)
    assert 'run="1"' not in text(folder)


def test_a_process_that_evaluates_later_brings_no_older_training_back(folder: Path) -> None:
    exporter = gangplank.Exporter(address(folder), "digits", run="1", ignore_exceptions=False)
    with exporter.run() as run:
        run.record({"loss": 0.5}, epoch=0)
    ran(folder, 'with gangplank.run(address, "digits", run="2") as run: run.record({"loss": 0.25}, epoch=0)')
    with exporter.run("test") as test:
        test.record({"loss": 1.0})
    assert (loss(folder), loss(folder, run="2"), loss(folder, "test")) == (0.25, 0.25, 1.0)


def test_what_another_process_has_in_its_labels_stays_as_it_is(folder: Path) -> None:
    note = 'a\r\nb\rc\x85d\u2028e\\f"g'
    code = f"""
    with gangplank.run(address, "digits", info={{"note": {note!r}}}) as run:
        run.record({{"loss": 0.5}}, epoch=0)
    """
    ran(folder, code)
    for _ in range(2):
        with gangplank.run(address(folder), "digits", "test", ignore_exceptions=False) as test:
            test.record({"loss": 0.25})
        (info,) = samples(text(folder), "gangplank_run_info", phase="train")
        assert info.labels["note"] == note
        assert (loss(folder), loss(folder, "test")) == (0.5, 0.25)


def test_processes_that_write_at_the_same_time_lose_nothing(folder: Path) -> None:
    code = """
    run = gangplank.run(address, "digits", grouping_key={{"worker": "{worker}"}}, ignore_exceptions=False)
    run.start()
    sys.stdin.readline()
    for epoch in range(100):
        run.record({{"loss": epoch}}, epoch=epoch)
    run.finish()
    """
    processes = [in_a_process(folder, code.format(worker=worker)) for worker in range(3)]

    def workers(state: str) -> set[str]:
        found = samples(text(folder), "gangplank_run_state", state=state)
        return {sample.labels["worker"] for sample in found if sample.value == 1}

    try:
        eventually(lambda: (folder / "digits.prom").exists() and len(workers("running")) == 3, timeout=30)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            assert process.communicate(timeout=50) == ("", "")
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert workers("finished") == {"0", "1", "2"}
    for worker in range(3):
        assert loss(folder, worker=str(worker)) == 99


def test_runs_at_once_have_a_group_each(folder: Path) -> None:
    runs = [
        gangplank.run(address(folder), "digits", concurrent=True, run=name, ignore_exceptions=False) for name in "ab"
    ]
    for epoch, run in itertools.product(range(2), runs):
        run.record({"loss": runs.index(run) + epoch}, epoch=epoch)
    for run in runs:
        run.finish()
    assert (loss(folder, run="a"), loss(folder, run="b")) == (1, 2)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_writes_its_own_run_and_not_its_parents(folder: Path) -> None:
    exporter = gangplank.Exporter(address(folder), "digits", ignore_exceptions=False)
    run = exporter.run()
    run.record({"loss": 0.5}, epoch=0)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.read(reading, 1)  # the parent has gone on
            with contextlib.suppress(ExportError):
                run.record({"loss": 666}, epoch=666)  # not the child's to touch
            with exporter.run("test") as test:
                test.record({"loss": 0.125})
            code = 0
        finally:
            os._exit(code)
    run.record({"loss": 0.25}, epoch=1)
    os.write(writing, b"\n")
    assert os.waitpid(child, 0)[1] == 0
    os.close(reading)
    os.close(writing)
    assert (loss(folder), loss(folder, "test")) == (0.25, 0.125)
    run.record({"loss": 0.0625}, epoch=2)
    run.finish()
    assert (loss(folder), loss(folder, "test")) == (0.0625, 0.125)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_that_was_forked_in_the_middle_of_a_write_keeps_no_lock(folder: Path) -> None:
    sink = Textfile(address(folder))
    reading, writing = os.pipe()
    with sink._locked(1):  # noqa: SLF001
        child = os.fork()
        if child == 0:
            os.read(reading, 1)
            os._exit(0)
    try:
        with gangplank.run(address(folder), "digits", timeout=0.5, ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
    finally:
        os.write(writing, b"\n")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)


# What may be in the place


@pytest.mark.parametrize(
    "garbage", [b"", b"\0\0\0", b"\xff\xfe", b"gangplank_train_loss{", b'gangplank_train_loss{job="digits"} 1\n']
)
def test_garbage_is_replaced(folder: Path, garbage: bytes) -> None:
    (folder / "digits.prom").write_bytes(garbage)
    with gangplank.run(address(folder), "digits", ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0)
        (folder / "digits.prom").write_bytes(garbage)
        run.record({"loss": 0.25}, epoch=1)
        assert loss(folder) == 0.25


def test_a_file_with_metrics_of_somebody_else_is_refused_and_stays(folder: Path) -> None:
    (folder / "digits.prom").write_text("node_load1 1\n")
    with pytest.raises(ConfigurationError, match=r"digits\.prom' holds metrics of another program.*use another file"):
        gangplank.run(address(folder), "digits")
    assert text(folder) == "node_load1 1\n"


def test_a_file_of_a_process_that_was_killed_as_it_wrote_is_cleared_away(folder: Path) -> None:
    (folder / ".digits.prom.new").write_text("half")
    with gangplank.run(address(folder), "digits", ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0)
    assert loss(folder) == 0.5


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_node_exporter_may_read_it_whatever_the_users_mask(folder: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with gangplank.run(address(folder), "digits", ignore_exceptions=False) as run:
            run.record({"loss": 0.5}, epoch=0)
    finally:
        os.umask(before)
    assert (folder / "digits.prom").stat().st_mode & 0o777 == 0o644


# What may happen during a training


def failing(run: Run, caplog: pytest.LogCaptureFixture, said: str) -> None:
    """Train where nothing can be written."""
    run.record({"loss": 0.25}, epoch=1)
    eventually(lambda: re.search(said, caplog.text))
    assert run.open


def recovers(run: Run, folder: Path, reason: str = "unreachable") -> None:
    run.finish()
    eventually(lambda: (folder / "digits.prom").exists() and loss(folder) == 0.25, timeout=30)
    eventually(lambda: [s for s in samples(text(folder), "gangplank_run_state", state="finished") if s.value])
    (failures,) = samples(text(folder), "gangplank_run_export_failures_total", reason=reason)
    assert failures.value >= 1


@pytest.fixture
def run(folder: Path) -> Run:
    """A run that has written its first epoch."""
    run = gangplank.run(address(folder), "digits")
    run.record({"loss": 0.5}, epoch=0)
    eventually(lambda: (folder / "digits.prom").exists() and loss(folder) == 0.5)
    return run


def test_a_folder_that_vanishes_comes_back(run: Run, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.rename(folder.with_name("elsewhere"))
    failing(run, caplog, r"digits\.prom cannot be written: No such file or directory")
    folder.mkdir()
    recovers(run, folder)


def test_a_full_disk_is_reported_and_leaves_the_old_file(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        # The mode is set when all is written, and still before the file takes its place.
        patch.setattr(os, "fchmod", full := Full())
        failing(run, caplog, r"digits\.prom cannot be written: No space left on device")
        assert full.times
        assert loss(folder) == 0.5
    recovers(run, folder)


class Full:
    """A disk with no room, on which what was written so far stays."""

    times = 0

    def __call__(self, *_: object) -> None:
        self.times += 1
        raise OSError(28, os.strerror(28))


def test_a_real_disk_that_is_full_is_reported(tmp_path: Path) -> None:
    """A limit on what a process may write, in place of a disk: the system fails the write itself."""
    code = """
    import resource, signal
    run = gangplank.run(address, "digits", ignore_exceptions=False)
    run.record({"loss": 0.5}, epoch=0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        run.record({"loss": 0.25}, epoch=1)
    except Exception as error:
        print(error)
    print(*os.listdir(os.path.dirname(address.removeprefix("file://"))))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    run.finish()
    """
    with in_a_process(tmp_path, code) as process:
        said, trouble = process.communicate(timeout=60)
    assert said == f"{address(tmp_path)} cannot be written: File too large\ndigits.prom\n"
    assert trouble.count("\n") == 1
    assert loss(tmp_path) == 0.25


def test_a_folder_that_becomes_read_only_is_reported() -> None:
    code = """
    run = gangplank.run(address, "digits", ignore_exceptions=False)
    folder = os.path.dirname(address.removeprefix("file://"))
    if os.geteuid() == 0:  # who may write everywhere
        os.chown(folder, 65534, 65534)
        os.setuid(65534)
    run.record({"loss": 0.5}, epoch=0)
    os.chmod(folder, 0o555)
    try:
        run.record({"loss": 0.25}, epoch=1)
    except Exception as error:
        print(error)
    os.chmod(folder, 0o755)
    run.finish()
    """
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are for nobody else
        folder = Path(place)
        with in_a_process(folder, code) as process:
            said, _ = process.communicate(timeout=60)
        assert said == f"{address(folder)} cannot be written: Permission denied\n"
        assert loss(folder) == 0.25
        (failures,) = samples(text(folder), "gangplank_run_export_failures_total", reason="unreachable")
        assert failures.value == 1


def test_a_place_that_becomes_a_folder(run: Run, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "digits.prom").unlink()
    (folder / "digits.prom").mkdir()
    failing(run, caplog, r"digits\.prom cannot be written: it is not a regular file")
    (folder / "digits.prom").rmdir()
    recovers(run, folder)


def test_who_keeps_the_lock_holds_up_no_training(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = gangplank.run(address(folder), "digits", timeout=0.2)
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    failing(run, caplog, r"another process has locked the folder for 0\.2 s")
    os.close(lock)
    recovers(run, folder, "timeout")


def test_a_strict_run_says_what_is_wrong(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    run = gangplank.run(address(folder), "digits", ignore_exceptions=False)
    run.start()
    folder.rename(folder.with_name("elsewhere"))
    with pytest.raises(DeliveryError, match=r"cannot be written: No such file") as raised:
        run.record({"loss": 1}, epoch=0)
    assert raised.value.reason == "unreachable"
    folder.mkdir()
    run.finish()


def test_a_name_with_odd_characters(folder: Path, tmp_path: Path) -> None:
    odd = folder / "ü b%c.prom"
    with gangplank.run(f"file://localhost{folder}/%C3%BC b%25c.prom", "digits", ignore_exceptions=False) as run:
        run.record({"loss": 0.5}, epoch=0)
    assert odd.exists()
    with node_exporter(folder, tmp_path / "log") as server:
        assert list(samples(get(f"{server.url}/metrics"), "gangplank_train_loss", job="digits"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("file://digits.prom", "is not the address of a file on this machine: use file:///absolute"),
        ("file://host/tmp/digits.prom", "is not the address of a file on this machine"),
        ("file:///tmp/digits.prom?x=1", "is not the address of a file on this machine"),
        ("file:///tmp/digits.prom#x", "is not the address of a file on this machine"),
        ("file:///tmp/%00.prom", "is not the address of a file on this machine"),
        ("file://[/tmp/digits.prom", "is not the address of a file on this machine"),
        ("file://", "is not the address of a file on this machine|only files whose names end in .prom"),
        ("file:///tmp/digits.txt", r"reads only files whose names end in \.prom"),
        ("file:///tmp/", r"reads only files whose names end in \.prom"),
        ("file:///there/is/no/such/folder/digits.prom", "must be a folder that you may write to"),
        ("file:///proc/self/status/digits.prom", "must be a folder that you may write to"),
    ],
)
def test_an_address_that_cannot_work_is_refused_with_the_cure(wrong: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        gangplank.run(wrong, "digits")


@pytest.mark.parametrize("what", [*ODD, "a link to nothing"])
def test_what_is_no_file_is_refused(folder: Path, what: str) -> None:
    path = folder / "digits.prom"
    put = ODD.get(what, lambda path: path.symlink_to("nothing"))
    put(path)
    code = """
    try: gangplank.run(address, "digits")
    except gangplank.ConfigurationError as error: print(error)
    """
    with in_a_process(folder, code) as process:
        try:
            said, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert re.search(r"digits\.prom' cannot be (read: it is .*: use another file|written: .* must be a folder)", said)


@pytest.mark.parametrize("what", [*ODD, "a link to nothing"])
def test_what_takes_the_place_during_a_run_is_counted_and_not_waited_for(folder: Path, what: str) -> None:
    path = folder / "digits.prom"
    code = """
    run = gangplank.run(address, "digits", ignore_exceptions=False)
    run.record({"loss": 0.5}, epoch=0)
    print(flush=True)
    sys.stdin.readline()
    try: run.record({"loss": 0.25}, epoch=1)
    except gangplank.DeliveryError as error: print(error.reason, error, flush=True)
    sys.stdin.readline()
    run.finish()
    """
    put = ODD.get(what, lambda path: path.symlink_to("nothing"))
    with in_a_process(folder, code) as process:
        killer = threading.Timer(20, process.kill)
        killer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            path.unlink()
            put(path)
            process.stdin.write("\n")
            process.stdin.flush()
            assert re.match(r"unreachable .*digits\.prom cannot be written: it is ", process.stdout.readline())
            assert not path.is_file() or path.stat().st_size > 2**30  # it is left alone
            path.rename(folder.with_name("away"))
            process.communicate("\n")
        finally:
            killer.cancel()
    assert loss(folder) == 0.25
    (failures,) = samples(text(folder), "gangplank_run_export_failures_total", reason="unreachable")
    assert failures.value == 1


def test_a_fifo_in_place_of_the_folder_is_not_waited_for(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.rename(folder.with_name("elsewhere"))
    os.mkfifo(folder)
    failing(run, caplog, r"digits\.prom cannot be written: Not a directory")
    folder.unlink()
    folder.mkdir()
    recovers(run, folder)


def test_of_a_large_file_of_somebody_else_only_the_beginning_is_parsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []

    def parse(text: str) -> Iterable[Metric]:
        parsed.append(len(text))
        return text_string_to_metric_families(text)

    monkeypatch.setattr(textfile, "text_string_to_metric_families", parse)
    (folder / "digits.prom").write_text("node_load1 1\n" + "# a comment\n" * 100_000)
    with pytest.raises(ConfigurationError, match="holds metrics of another program"):
        gangplank.run(address(folder), "digits")
    assert max(parsed) < 300_000
