"""A password, where the environment has it, and where a request shows it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

import gangplank

PREFIX = "GANGPLANK_PUSHGATEWAY_"
CANARY = "canary"
SECRETS = (CANARY, base64.b64encode(f"me:{CANARY}".encode()).decode())


def push(address: str, **options: Any) -> None:
    """Push and raise what goes wrong."""
    with gangplank.run(address, **{"job": "digits", "ignore_exceptions": False, **options}) as run:
        run.record({"loss": 0.5}, epoch=0)


def environment(patch: pytest.MonkeyPatch, **variables: object) -> None:
    for name, given in variables.items():
        patch.setenv(f"{PREFIX}{name.upper()}", str(given))


def authorization(request: bytes) -> list[str]:
    """Return the `Authorization` headers of a request."""
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("authorization:")]
