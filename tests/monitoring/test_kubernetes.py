"""examples/stack/kubernetes: what the cluster and Prometheus' operator need is there, and fits together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gangplank.monitoring import rules

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
MANIFESTS = {
    (file.name, each["kind"]): each
    for file in sorted((EXAMPLES / "stack" / "kubernetes").iterdir())
    for each in yaml.safe_load_all(file.read_text())
}


def pods(kind: str) -> Iterator[dict[str, Any]]:
    """Yield the pods that all manifests of a kind describe."""
    for (_, its), manifest in MANIFESTS.items():
        if its == kind:
            yield manifest["spec"]["template"]


def test_each_kind_is_there_with_what_its_schema_does_not_say() -> None:
    kinds = {
        "Deployment": "apps/v1",
        "Service": "v1",
        "ServiceMonitor": "monitoring.coreos.com/v1",
        "PodMonitor": "monitoring.coreos.com/v1",
        "Job": "batch/v1",
    }
    assert {kind: manifest["apiVersion"] for (_, kind), manifest in MANIFESTS.items()} == kinds
    for manifest in MANIFESTS.values():
        assert re.fullmatch(r"[a-z][a-z0-9-]*", manifest["metadata"]["name"])
    for kind in ("Job", "Deployment"):
        for pod in pods(kind):
            assert pod["spec"].get("restartPolicy") == ("Never" if kind == "Job" else None)
            assert all(re.search(r":v?\d+\.\d+\.\d+$", each["image"]) for each in pod["spec"]["containers"])


def test_the_monitors_find_the_pods_and_keep_the_job_of_the_training() -> None:
    gateway, service = MANIFESTS["pushgateway.yaml", "Deployment"], MANIFESTS["pushgateway.yaml", "Service"]
    monitor = MANIFESTS["pushgateway.yaml", "ServiceMonitor"]["spec"]
    assert gateway["spec"]["selector"]["matchLabels"] == gateway["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == gateway["spec"]["template"]["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"] == service["metadata"]["labels"]
    assert service["metadata"]["name"] == "pushgateway", "the job that PushgatewayDown looks for"
    (listens,) = service["spec"]["ports"]
    (pushes,) = MANIFESTS["pushes.yaml", "Job"]["spec"]["template"]["spec"]["containers"]
    assert f"--address=pushgateway.{service['metadata']['namespace']}.svc:{listens['port']}" in pushes["command"]

    scraped = MANIFESTS["scraped.yaml", "Job"]["spec"]["template"]
    by_pod = MANIFESTS["scraped.yaml", "PodMonitor"]["spec"]
    (container,) = scraped["spec"]["containers"]
    (port,) = container["ports"]
    assert by_pod["selector"]["matchLabels"] == scraped["metadata"]["labels"]
    assert f"--address=scrape://0.0.0.0:{port['containerPort']}" in container["command"]
    for endpoint, name in (
        (monitor["endpoints"][0], listens["name"]),
        (by_pod["podMetricsEndpoints"][0], port["name"]),
    ):
        assert endpoint["port"] == name
        assert endpoint["honorLabels"] is True
        # What the operator adds, and what changes with each pod.
        (relabeling,) = endpoint["relabelings"]
        assert relabeling["action"] == "labeldrop"
        assert all(re.fullmatch(relabeling["regex"], label) for label in ("pod", "container", "endpoint"))
        assert not any(re.fullmatch(relabeling["regex"], label) for label in ("job", "instance", "__address__"))


def test_the_operator_gets_the_same_rules() -> None:
    manifest = yaml.safe_load(rules("operator"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert manifest["metadata"] == {"name": "gangplank"}
    assert manifest["spec"] == yaml.safe_load(rules())
    for rule in (rule for group in manifest["spec"]["groups"] for rule in group["rules"]):
        assert isinstance(rule["expr"], str)
        assert len(rule.keys() & {"alert", "record"}) == 1


def test_the_training_takes_the_options_of_the_manifests() -> None:
    script = (EXAMPLES / "pytorch_loop" / "train.py").read_text()
    for pod in pods("Job"):
        (container,) = pod["spec"]["containers"]
        options = [part.partition("=")[0] for part in container["command"] if part.startswith("--")]
        assert all(f'add_argument("{option}"' in script for option in options)
