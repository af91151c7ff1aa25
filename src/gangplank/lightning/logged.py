"""What a module has logged, told apart by when; and a device's scalars as numbers, with one copy for all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
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
    """What has been logged since it was last asked for: Lightning keeps old values, and makes a tensor for each new.

    Lightning says in each step anew what has been logged by step in the epoch: that is new each time.
    """

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def of(self, trainer: Any) -> dict[str, Any]:
        """Return the values that are new."""
        return self._take(dict(logged_by(trainer)), self._known)

    def of_step(self, trainer: Any, more: Mapping[str, Any]) -> OfStep:
        """Return the values that are new after a step, once they are read; `more` is logged as well."""
        return OfStep(partial(self._take, {**more, **logged_by(trainer)}, self._known))

    def _take(self, now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
        if self._known is before:  # else a step is read late, and others have asked since
            self._known = now
        return {name: value for name, value in now.items() if before.get(name) is not value}


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


class OfStep(OnHost):
    """What has been logged up to a step since another was read, told apart when it is read: few steps ever are.

    What is logged per step and per epoch has its step's value under its plain name as well, which is the epoch's later.
    """

    def __init__(self, take: Callable[[], dict[str, Any]]) -> None:
        self._take = take

    @cached_property
    def _values(self) -> Mapping[str, Any]:  # type: ignore[override]  # read only, here as there
        new = self._take()
        return {name: value for name, value in new.items() if f"{name}_step" not in new}
