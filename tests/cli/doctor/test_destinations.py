"""`gangplank doctor` and destinations other than a gateway."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from support.examined import Examined, the


def test_a_file(examined: Examined, tmp_path: Path) -> None:
    code, found = examined(f"file://{tmp_path}/digits.prom")
    assert code == 0
    assert f"--collector.textfile.directory={tmp_path}" in the(found, "destination")[1]
    assert not list(tmp_path.iterdir())
    for wrong in (f"{tmp_path}/digits.txt", f"{tmp_path}/none/digits.prom"):
        code, found = examined(f"file://{wrong}")
        assert code == 1
        assert the(found, "destination")[0] == "problem"


def test_a_port_to_be_scraped(examined: Examined) -> None:
    assert the(examined("scrape://127.0.0.1:0")[1], "destination")[0] == "ok"
    with socket.create_server(("127.0.0.1", 0)) as busy:
        code, found = examined(f"scrape://127.0.0.1:{busy.getsockname()[1]}")
    assert code == 1
    assert "Address already in use" in the(found, "destination")[1]


def test_a_scheme_that_nobody_knows(examined: Examined, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = examined("kafka://me:canary@broker:1")
    assert code == 1
    assert "kafka://broker:1: the scheme is not built in" in the(found, "destination")[1]
    assert "canary" not in str(found)
