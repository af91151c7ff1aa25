"""Scalars on a device as Python numbers, with one copy from each device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch


class HostScalars(Mapping[str, Any]):
    """Metrics whose 0-d tensors become numbers when the first one is read: all at once, with one copy per device."""

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
