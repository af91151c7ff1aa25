"""Learning rates and gradients, as the optimizers of a Trainer hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import torch


def rates_of(optimizers: Iterable[Any]) -> list[list[Any]]:
    """Return the learning rates as they are now, by optimizer and parameter group, None where there is none.

    A rate that is a tensor is changed in place by its scheduler, so it is copied, on its device. Takes a microsecond.
    """
    rates = []
    for optimizer in optimizers:
        of_groups: list[Any] = []
        for group in optimizer.param_groups:
            rate = group.get("lr")
            of_groups.append(rate.detach().clone() if hasattr(rate, "detach") else rate)
        rates.append(of_groups)
    return rates


def named(rates: Iterable[Iterable[Any]], optimizers: Iterable[Any]) -> dict[str, Any]:
    """Name learning rates as Lightning's own LearningRateMonitor does, without its `lr-`.

    That is `Adam`, `Adam-1` for a second one, `Adam/pg1` or `Adam/<its name>` for one parameter group of several. The
    only one there is has no name.
    """
    seen: Counter[str] = Counter()
    found = {}
    for optimizer, of_groups in zip(optimizers, rates, strict=False):
        kind = type(optimizer).__name__
        name = f"{kind}-{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        for index, (group, rate) in enumerate(zip(optimizer.param_groups, of_groups, strict=False), start=1):
            part = group.get("name") or (f"pg{index}" if len(optimizer.param_groups) > 1 else "")
            if rate is not None:
                found[f"{name}/{part}" if part else name] = rate
    return {"": next(iter(found.values()))} if len(found) == 1 else found


def gradient_norm(optimizer: Any, scaler: Any) -> torch.Tensor | None:
    """Return the total 2-norm of the gradients that an optimizer is about to use, on their device; None without any.

    Args:
        optimizer: whose parameters' gradients count, each with at least the precision of float32.
        scaler: what scales the loss in mixed precision, if anything does. Lightning has taken its factor out of the
            gradients by now, but for fused optimizers, which do that themselves.
    """
    norms = [
        torch.linalg.vector_norm(gradient, dtype=torch.promote_types(gradient.dtype, torch.float32))
        for gradient in _gradients(optimizer)
    ]
    if not norms:
        return None
    norm = torch.linalg.vector_norm(torch.stack([one.to(norms[0]) for one in norms]))
    if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
        norm = norm / scaler._scale.to(norm.device)  # noqa: SLF001  `get_scale` waits for the device
    return norm


def _gradients(optimizer: Any) -> Iterable[torch.Tensor]:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                gradient = parameter.grad.detach()
                yield gradient.coalesce().values() if gradient.is_sparse else gradient
