"""What docs/predict.md says of functions, families and workers is so."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import prometheus_client
import pytest

from gangplank.predict.families import FAMILIES
from support.predicted import shown
from support.reading import eventually
from support.servers import find

PAGE = (Path(__file__).parents[2] / "docs" / "predict.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_scripts_do_what_they_say() -> None:
    names: dict[str, Any] = {}
    before = shown(prometheus_client.REGISTRY, "total") or 0
    for script in snippets("python"):
        exec(script, names)  # noqa: S102  our own page
    assert shown(prometheus_client.REGISTRY, "total") == before + 2
    assert shown(prometheus_client.REGISTRY, "total", model="mean") == 1
    eventually(lambda: shown(prometheus_client.REGISTRY, "drift_test_statistic", model="mean"))
    assert {"metrics", "child_exit"} <= names.keys()


def test_the_table_has_every_family_with_its_type_and_its_labels() -> None:
    rows = re.findall(r"^\| (`gangplank_predict_.*?`) \| (\w+) \|", PAGE, re.MULTILINE)
    documented = {
        (name, kind, labels) for cell, kind in rows for name, labels in re.findall(r"`(\w+)(?:\{(.*?)\})?`", cell)
    }
    assert documented == {(name, kind.make.__name__.lower(), ",".join(kind.labels)) for name, kind in FAMILIES.items()}


@pytest.mark.parametrize("query", "".join(snippets("promql")).splitlines())
def test_prometheus_takes_the_queries(query: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "all", "rules": [{"record": "x", "expr": query}]}]}))
    subprocess.run([find("promtool"), "check", "rules", rules], capture_output=True, timeout=20, check=True)
    assert set(re.findall(r"gangplank_predict_\w+?(?=_bucket|[\[{ ])", query)) <= FAMILIES.keys()
