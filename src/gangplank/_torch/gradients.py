"""The gradient norm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def gradient_norm(optimizer: Any, scaler: Any) -> torch.Tensor | None:
    """Return the total 2-norm of the gradients that an optimizer is about to use, on their device; None if it has none.

    Call it before the optimizer's step, and before the gradients are clipped.

    Args:
        optimizer: with the parameters. Norms are computed in float32 or the gradient's own type if that is wider.
        scaler: of the loss in mixed precision, or None. The gradients have been unscaled, except those of fused
            optimizers, which unscale them in their step.
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
