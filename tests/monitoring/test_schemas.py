"""What others read is as their schemas have it: Compose, Kubernetes, Prometheus' operator and Grafana."""

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
    from grafana_foundation_sdk.models.dashboard import Dashboard

from gangplank.monitoring import dashboards, rules

STACK = Path(__file__).resolve().parents[2] / "examples" / "stack"
DASHBOARDS = dashboards()
# Of older versions of Grafana: its XY chart before 10.3, and its heatmap before 10.4.
OLDER = {"options.seriesMapping", "options.dims", "options.tooltip.show"}
MANIFESTS = {
    f"{file.name} {each['kind']}": each
    for file in sorted((STACK / "kubernetes").iterdir())
    for each in yaml.safe_load_all(file.read_text())
} | {"gangplank rules": yaml.safe_load(rules("operator"))}
ITS_OWN = [name for name, each in MANIFESTS.items() if each["apiVersion"] in ("v1", "apps/v1", "batch/v1")]
OPERATORS = [name for name in MANIFESTS if name not in ITS_OWN]


def unknown(written: Any, read: Any, at: str = "") -> set[str]:
    """Return what was lost or changed when something was read and written again: the names from `options` on."""
    if isinstance(written, dict) and isinstance(read, dict):
        parts = [unknown(value, read.get(key), f"{at}.{key}") for key, value in written.items() if value is not None]
        return set().union(*parts)
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return set().union(*(unknown(*pair, at) for pair in zip(written, read, strict=True)))
    _, found, name = at.partition(".options.")
    return set() if written == read else {f"options.{name}" if found else at}


def of_grafana(dashboard: dict[str, Any]) -> set[str]:
    """Return what Grafana does not know of a dashboard."""
    return unknown(dashboard, json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard))))


def of_operator(manifest: dict[str, Any]) -> set[str]:
    """Return what Prometheus' operator does not know of a manifest; what it refuses is an error."""
    read = getattr(operator, manifest["kind"]).model_validate(manifest)
    return unknown(manifest, read.model_dump(mode="json", by_alias=True, exclude_unset=True))


def composes(file: Path) -> bool:
    """Return whether Compose takes a file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode == 0


@pytest.fixture(scope="module", autouse=True)
def plugins() -> None:
    """Have Grafana's panels known."""
    register_default_plugins()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_grafana_knows_each_field_of_a_dashboard(name: str) -> None:
    dashboard = copy.deepcopy(DASHBOARDS[name])
    assert of_grafana(dashboard) <= OLDER
    dashboard["panels"][2]["fieldConfig"]["defaults"]["units"] = "s"
    assert of_grafana(dashboard) - OLDER == {".panels.fieldConfig.defaults.units"}


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
    assert composes(STACK / "compose.yaml")
    other = tmp_path / "compose.yaml"
    other.write_text((STACK / "compose.yaml").read_text().replace("image:", "images:", 1))
    assert not composes(other)
