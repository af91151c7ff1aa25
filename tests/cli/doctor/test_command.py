"""`gangplank doctor` as a command: its arguments, and what it prints."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from gangplank.cli import main
from support.servers import Server
from support.servers import prometheus as scraping
from support.verbs import put, run_page, served

DOCUMENT = Path(__file__).parents[3] / "docs" / "command-line.md"


@pytest.mark.parametrize(
    "arguments",
    [
        ["me:canary@gateway"],
        ["http://"],
        ["gateway:port"],
        ["gateway:1", "--prometheus", "ftp://me:canary@x"],
        ["--prometheus", "x"],
        ["a:1", "b:1"],
    ],
)
def test_a_command_line_that_makes_no_sense(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(["doctor", *arguments])
    except SystemExit as error:
        code = int(error.code or 0)
    out, said = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.search("^gangplank( doctor)?: ", said, re.MULTILINE)
    assert "canary" not in said


@pytest.mark.parametrize(
    ("terminal", "no_colour", "coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colour_is_for_terminals(
    terminal: bool,
    no_colour: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    main(["doctor"])
    assert ("\x1b[32mok" in capsys.readouterr().out) == coloured


def test_what_strangers_say_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with served(lambda method, path: (404, {}, "\x1b[31mred\nand more")) as (address, _):
        assert main(["doctor", address]) == 1
    assert "\x1b" not in capsys.readouterr().out


def test_the_document_shows_what_it_prints(gateway: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def lines(text: str) -> set[str]:
        """Return the lines, without what differs from machine to machine."""
        text = re.sub(r"gangplank-doctor-\w+|every \w+", "", text)
        return {re.sub(r"\d[\d.,]*(\+ds\d*)?", "0", line) for line in text.splitlines()}

    put(gateway.address, run_page(beat=740), job="resnet", phase="train")
    with scraping(tmp_path, f"localhost:{gateway.port}", job="pushgateway", honor_labels=False) as server:
        assert main(["doctor", gateway.address, "--prometheus", server.address]) == 1
    example = DOCUMENT.read_text().partition("$ gangplank doctor ")[2].partition("\n```")[0]
    of_the_machine = re.compile("^\\w+ +(versions|frameworks|plugins|adapter) .*|^0 problems.*|^0.*")
    documented = {line for line in lines(example) if not of_the_machine.match(line)}
    assert len(documented) == 13
    assert documented - lines(capsys.readouterr().out) == set()
