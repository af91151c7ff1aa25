"""Which call of XGBoost a callback is in: it gets no object for that, so it is looked for on the stack."""

from __future__ import annotations

import sys
from types import FrameType

from xgboost.callback import CallbackContainer


def calling_container() -> tuple[CallbackContainer | None, int | None]:
    """Return the innermost list of callbacks that calls us, and how many rounds its caller plans, None if unknown.

    Each call of `xgboost.train` and `xgboost.cv` has a list of its own, which nothing keeps any longer. (The user keeps
    the model, and `EarlyStopping(save_best=True)` replaces it.)
    """
    container = None
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  there is no other way to find the caller
    while frame is not None:
        # Only of XGBoost's frames: Python keeps what `f_locals` has returned as long as the frame lives.
        module = f"{frame.f_globals.get('__name__')}"
        if module == CallbackContainer.__module__:
            one = frame.f_locals.get("self")
            container = one if container is None and isinstance(one, CallbackContainer) else container
        elif container is not None:
            rounds = frame.f_locals.get("num_boost_round") if module.startswith("xgboost.") else None
            return container, rounds if hasattr(rounds, "__index__") else None
        frame = frame.f_back
    return container, None
