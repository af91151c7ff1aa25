"""What others read is as their schemas have it: Compose, Kubernetes, Prometheus' operator and Grafana.

Of the dashboards, the types of the panels and the names of all fields are checked, and not each value.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1 as operator

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it prefers a format that Grafana has since version 12
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.cog.runtime import panelcfg_config
    from grafana_foundation_sdk.models.dashboard import Dashboard

from gangplank.monitoring import dashboards, rules
from support.grafana import panels

STACK = Path(__file__).resolve().parents[2] / "examples" / "stack"
DASHBOARDS = dashboards()
# Of older versions of Grafana: its XY chart before 10.3, its heatmap before 10.4, and a null.
OLDER = {
    "xychart.options.seriesMapping",
    "xychart.options.dims",
    "heatmap.options.tooltip.show",
    ".templating.list.allValue",
}
LOST = object()
MANIFESTS = {
    f"{file.name} {each['kind']}": each
    for file in sorted((STACK / "kubernetes").iterdir())
    for each in yaml.safe_load_all(file.read_text())
} | {"gangplank rules": yaml.safe_load(rules("operator"))}
ITS_OWN = [name for name, each in MANIFESTS.items() if each["apiVersion"] in ("v1", "apps/v1", "batch/v1")]
OPERATORS = [name for name in MANIFESTS if name not in ITS_OWN]


def unknown(written: Any, read: Any, at: str = "") -> set[str]:
    """Return which names were lost or changed when something was read and written again; in a panel, after its type."""
    if isinstance(written, dict) and isinstance(read, dict):
        at = written["type"] if "gridPos" in written else at
        return set().union(*(unknown(value, read.get(key, LOST), f"{at}.{key}") for key, value in written.items()))
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return set().union(*(unknown(*pair, at) for pair in zip(written, read, strict=True)))
    return set() if written == read else {at}


def of_grafana(dashboard: dict[str, Any]) -> set[str]:
    """Return what Grafana does not know of a dashboard."""
    return unknown(dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard))))


def of_operator(manifest: dict[str, Any]) -> set[str]:
    """Return what Prometheus' operator does not know of a manifest; what it refuses is an error."""
    read = getattr(operator, manifest["kind"]).model_validate(manifest)
    return unknown(manifest, read.model_dump(mode="json", by_alias=True, exclude_unset=True))


def of_compose(file: Path) -> str:
    """Return what Compose refuses of a file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else ""


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Have Grafana's panels known."""
    register_default_plugins()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_each_field_of_a_dashboard(name: str) -> None:
    dashboard = copy.deepcopy(DASHBOARDS[name])
    assert of_grafana(dashboard) <= OLDER
    shown = [panel for panel in panels(dashboard) if panel["type"] != "row"]
    for panel in shown:
        assert panelcfg_config(panel["type"]), f"Grafana has no panels of type {panel['type']}"
        panel["options"]["colour"] = "red"
    assert of_grafana(dashboard) - OLDER == {f"{panel['type']}.options.colour" for panel in shown}


@pytest.mark.parametrize("name", ITS_OWN)
def test_kubernetes_takes_each_manifest(name: str) -> None:
    manifest = copy.deepcopy(MANIFESTS[name])
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
    manifest["spec"]["replica"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="'replica' was unexpected"):
        kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_operator_takes_each_manifest(name: str) -> None:
    manifest = copy.deepcopy(MANIFESTS[name])
    assert not of_operator(manifest)
    manifest["spec"]["selectors"] = {}
    assert of_operator(manifest) == {".spec.selectors"}


def test_compose_takes_the_stack(tmp_path: Path) -> None:
    assert not of_compose(STACK / "compose.yaml")
    other = tmp_path / "compose.yaml"
    other.write_text((STACK / "compose.yaml").read_text().replace("image:", "images:", 1))
    assert "'images' was unexpected" in of_compose(other)
