"""SciPy's Kolmogorov-Smirnov test of each feature of the inputs, against those before the model was served."""

from collections.abc import Callable
from typing import Any

import numpy as np
from reference import Reference
from scipy import stats
from window import Window

import gangplank

WINDOW = 500
ALPHA = 1e-6


def detector(reference: Reference, window: int = WINDOW, alpha: float = ALPHA) -> Callable[[Any, Any], gangplank.Drift]:
    """Return a `get_drift_metrics_func` for a model of any kind, whose inputs are numbers.

    Args:
        reference: what the inputs are compared with.
        window: how many inputs are tested together, at least.
        alpha: a p-value below it is drift. That is also how often a test, of all features together, raises a false
            alarm.
    """
    waiting = Window(window)

    def get_drift_metrics(inputs: Any, _: Any) -> gangplank.Drift:
        """Test all inputs since the last test, once they are enough."""
        rows = np.asarray(inputs)
        seen = waiting.add(rows.reshape(len(rows), -1))
        if seen is None:
            return gangplank.Drift()
        found = stats.ks_2samp(reference.inputs, seen, axis=0)
        # Bonferroni's correction: of many features, the smallest p-value is small even if nothing has drifted.
        p_value = min(1.0, float(np.min(found.pvalue)) * seen.shape[1])
        return gangplank.Drift(int(p_value < alpha), p_value, float(np.max(found.statistic)))

    return get_drift_metrics
