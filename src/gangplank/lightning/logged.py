"""What a module has logged, told apart by when; and a device's scalars as numbers, with one copy for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch


def logged_by(trainer: Any) -> dict[str, Any]:
    """Return what Lightning has computed by now of what the module logs, by name.

    The property `trainer.callback_metrics` computes what is not computed yet: that may be a collective, which hangs
    where the other processes do not ask, and copies what the progress bar shows from the device.
    """
    metrics: dict[str, Any] = trainer._logger_connector._callback_metrics  # noqa: SLF001  see above
    return metrics


class News:
    """What has been logged since it was last asked for: Lightning keeps old values, and makes a tensor for each new."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def of(self, trainer: Any) -> dict[str, Any]:
        """Return the values that are new."""
        now = logged_by(trainer)
        new = {name: value for name, value in now.items() if self._known.get(name) is not value}
        self._known = dict(now)
        return new


def of_step(new: Mapping[str, Any]) -> OnHost:
    """Return what a step has logged, given what is new after it.

    What is logged per step and per epoch has its step's value under its plain name as well, which is the epoch's later.
    """
    return OnHost({name: value for name, value in new.items() if f"{name}_step" not in new})


class OnHost(Mapping[str, Any]):
    """Metrics, of which a device's scalars become numbers when they are first read, all with one copy."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Any:
        return self._on_host[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    @cached_property
    def _on_host(self) -> dict[str, Any]:
        on_host = dict(self._values)
        by_device: dict[torch.device, list[str]] = defaultdict(list)
        for name, value in self._values.items():
            if isinstance(value, torch.Tensor) and value.ndim == 0 and not value.is_complex():
                by_device[value.device].append(name)
        for device, names in by_device.items():
            # Apple's GPUs have no float64.
            dtype = torch.float32 if device.type == "mps" else torch.float64
            scalars = torch.stack([self._values[name].detach().to(dtype) for name in names])
            on_host.update(zip(names, scalars.tolist(), strict=True))
        return on_host
