"""The temporary group of `gangplank doctor` is deleted, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gangplank
from gangplank.cli import main
from gangplank.cli.doctor import probe, prometheus
from gangplank.testing.gateway import Gateway
from gangplank.testing.gateway.handler import Handler
from support.examined import Examined, left, the
from support.servers import Server, free_port, get
from support.servers import prometheus as scraping


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (gangplank.GangplankError("no"), 1)])
def test_it_is_deleted_when_something_breaks_off(
    address: str, error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def breaks(*_: object) -> None:
        seen.extend(left(address))
        raise error

    monkeypatch.setattr(prometheus, "check_prometheus", breaks)
    assert main(["doctor", address, "--prometheus", "127.0.0.1:1"]) == code
    assert seen
    assert not left(address)


def test_it_is_deleted_on_ctrl_c(gateway: Server, tmp_path: Path) -> None:
    with scraping(tmp_path, f"127.0.0.1:{free_port()}") as server:
        command = [sys.executable, "-m", "gangplank", "doctor", gateway.address, "--prometheus", server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Waiting up to 126 s")
        assert left(gateway.address)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "gangplank: interrupted\n"
    assert "the temporary group is deleted" in out
    assert not left(gateway.address)


def test_a_gateway_that_refuses_to_delete(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    serve = Handler._group  # noqa: SLF001  whose answers are changed

    def refuses(self: Handler, path: str, body: bytes) -> None:
        if self.command == "DELETE":
            self.send_error(403, "not you")
        else:
            serve(self, path, body)

    with Gateway() as gateway:
        monkeypatch.setattr(Handler, "_group", refuses)
        monkeypatch.setattr(probe, "_VISIBLE_TIMEOUT", 0.1)
        code, found = examined(gateway.address)
        assert code == 1
        state, said = the(found, "delete")
        assert state == "problem"
        assert "403: not you" in said
        monkeypatch.setattr(Handler, "_group", serve)
        fix = found["delete"][0]["fix"].split()
        assert main(fix[1:]) == 0
        assert not left(gateway.address)


def test_a_gateway_that_dies_meanwhile(gateway: Server, examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "check_prometheus", lambda *_: gateway.stop())
    code, found = examined(gateway.address, "--prometheus", "127.0.0.1:1")
    assert code == 1
    assert the(found, "delete")[0] == "problem"


def test_a_page_from_a_cache_does_not_show_what_was_pushed(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway() as gateway:
        stale = get(f"{gateway.url}/metrics")
        monkeypatch.setattr(Handler, "_page", lambda self, path: self._answer(200, stale))
        monkeypatch.setattr(probe, "_VISIBLE_TIMEOUT", 0.1)
        code, found = examined(gateway.address)
    assert code == 1
    assert "does not show gangplank_train_learning_rate" in the(found, "push")[1]
