"""The verb as a process: one frame, frames in a terminal until Ctrl-C, and the page."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gangplank.cli import main
from gangplank.testing.gateway import Gateway
from support.reading import eventually
from support.servers import Server, free_port, get, prometheus
from support.watched import page, push

COMMAND = [sys.executable, "-m", "gangplank", "watch"]


@contextmanager
def started(*arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    """Start the verb; kill it if it has not ended after the block."""
    # Without the size of pytest's terminal, which readline exports, and pytest-xdist's workers inherit.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen([*COMMAND, *arguments], stdout=stdout, stderr=subprocess.PIPE, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_one_frame_of_a_gateway_and_of_a_prometheus(
    gateway: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    push(gateway.address, page(), "digits")
    push(gateway.address, page(), "other")
    assert main(["watch", gateway.address, "--once"]) == 0
    assert capsys.readouterr().out.startswith("None of 2 runs needs you.\n")
    with prometheus(tmp_path, gateway.address) as server:
        server.await_query('gangplank_run_state{job="other"}')
        assert main(["watch", "--prometheus", server.url, "--once", "--job", "dig*", "--phase", "train"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("The run is well.\n")
    assert f"{server.address}, read at" in printed
    assert "600/1,000 steps" in printed


def test_a_server_that_is_not_there_is_a_failure_of_one_frame(capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert main(["watch", f"http://me:canary@{address}", "--once"]) == 1
    assert main(["watch", "--prometheus", f"http://me:canary@{address}", "--once"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count(f"gangplank: cannot reach {address}: ") == 2
    assert "canary" not in printed.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give the address of a gateway, or --prometheus URL, and not both"),
        (["a:1", "--prometheus", "b:1"], "and not both"),
        (["a:1"], "stdout is not a terminal: give --once"),
        (["a:1", "--once", "--serve", "127.0.0.1:0"], "not allowed with argument --once"),
        (["a:1", "--serve", "0.0.0.0:8088"], "can be reached from other machines"),
        (["a:1", "--every", "nan", "--once"], "'nan' is not a number from 0.5 to 3600"),
        (["--prometheus", "x:1", "--hours", "0"], "'0' is not a number from 0.1 to 744"),
        (["http://me:canary@a:99999"], "is not a valid address"),
        (["--prometheus", "http://me:canary@a:99999"], "is not a valid address"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["watch", *arguments])
    except SystemExit as ended:
        code = int(ended.code or 0)
    err = capsys.readouterr().err
    assert code == 2
    assert said in " ".join(err.split())
    assert "canary" not in err


def test_only_frames_need_rich(gateway: Server) -> None:
    program = "import sys; sys.modules['rich'] = None; from gangplank.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "watch", gateway.address]
    done = subprocess.run([*command, "--once"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install ".[cli]"' in done.stderr
    process = subprocess.Popen([*command, "--serve", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = re.search(r"http://\S+", process.stdout.readline())
    assert url is not None
    assert "There are no runs." in eventually(lambda: get(url[0]), lambda text: "Reading" not in text)
    process.terminate()
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_page_is_served_until_it_is_stopped(number: signal.Signals) -> None:
    with Gateway() as gateway:
        push(gateway.address, page(), "digits")
        with started(gateway.address, "--serve", "127.0.0.1:0", "--every", "0.5") as process:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            assert line.startswith(f"The runs of {gateway.address} are on http://127.0.0.1:")
            assert process.stdout.readline() == b"Press Ctrl-C to stop.\n"
            url = line.split()[-1]
            eventually(lambda: get(url), lambda text: "The run is well." in text)
            push(gateway.address, page("failed"), "digits")
            text = eventually(lambda: get(url), lambda text: "The run needs you" in text)
            assert re.search(r"digits train</a> failed \d+ s ago", text)
            process.send_signal(number)
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, b"", b"")


def test_a_port_that_is_taken_is_one_line() -> None:
    with Gateway() as gateway:
        done = subprocess.run(
            [*COMMAND, gateway.address, "--serve", gateway.address], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == f"gangplank watch: cannot listen on {gateway.address}: Address already in use\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
def test_a_terminal_of_another_size_has_another_frame() -> None:
    import fcntl  # noqa: PLC0415  POSIX
    import pty  # noqa: PLC0415
    import struct  # noqa: PLC0415
    import termios  # noqa: PLC0415

    ours, theirs = pty.openpty()
    shown = b""

    def look() -> bytes:
        nonlocal shown
        if select.select([ours], [], [], 0)[0]:
            shown += os.read(ours, 65536)
        return shown

    def resize(lines: int, columns: int) -> None:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    with Gateway() as gateway:
        for number in range(30):
            push(gateway.address, page(), f"job-{number}")
        resize(24, 80)
        with started(gateway.address, "--every", "3600", stdout=theirs):
            eventually(look, lambda seen: b"21 more; choose" in seen)
            resize(80, 80)
            eventually(look, lambda seen: all(b"job-%d " % number in seen for number in range(30)))
    os.close(theirs)
    os.close(ours)


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
def test_a_terminal_that_shows_no_frames_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import pty  # noqa: PLC0415  POSIX

    monkeypatch.setenv("TERM", "dumb")
    ours, theirs = pty.openpty()
    with Gateway() as gateway, started(gateway.address, stdout=theirs) as process:
        _, err = process.communicate(timeout=30)
    os.close(theirs)
    os.close(ours)
    assert process.returncode == 2
    assert err.startswith(b"gangplank watch: TERM says that this terminal cannot show frames: give --once, or --serve")


@pytest.mark.skipif(os.name != "posix", reason="needs a terminal of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_shows_frames_until_ctrl_c_and_is_left_as_it_was(number: signal.Signals) -> None:
    import pty  # noqa: PLC0415  POSIX

    ours, theirs = pty.openpty()
    shown = b""

    def look() -> bytes:
        nonlocal shown
        shown += os.read(ours, 65536)
        return shown

    with Gateway() as gateway:
        push(gateway.address, page(), "digits")
        with started(gateway.address, "--every", "0.5", stdout=theirs) as process:
            eventually(look, lambda seen: "digits train" in seen.decode(errors="replace"))
            push(gateway.address, page(run_nonfinite_metrics=1), "digits")
            eventually(look, lambda seen: "The run needs you" in seen.decode(errors="replace"))
            address = gateway.address
            gateway.stop()
            eventually(look, lambda seen: f"Cannot read {address}" in seen.decode(errors="replace"))
            gateway.start()
            eventually(look, lambda seen: "There are no runs." in seen.decode(errors="replace"))
            process.send_signal(number)
            assert process.wait(30) == 0
            assert process.stderr is not None
            assert process.stderr.read() == b""
        os.close(theirs)
        assert look().endswith(b"\x1b[?1049l")  # the screen that was there before
    os.close(ours)
