"""SciPy's chi-square test of the classes that a model predicts, against those before it was served."""

from collections.abc import Callable
from typing import Any

import numpy as np
from reference import Reference, classes
from scipy import stats
from window import Window

import gangplank

WINDOW = 500
ALPHA = 1e-6


def detector(reference: Reference, window: int = WINDOW, alpha: float = ALPHA) -> Callable[[Any, Any], gangplank.Drift]:
    """Return a `get_drift_metrics_func` for a classifier.

    Args:
        reference: what the predictions are compared with.
        window: how many predictions are tested together, at least.
        alpha: a p-value below it is drift. That is also how often a test raises a false alarm.
    """
    number = reference.predictions.shape[1]
    before = np.bincount(classes(reference.predictions), minlength=number)
    waiting = Window(window)

    def get_drift_metrics(_: Any, predictions: Any) -> gangplank.Drift:
        """Test the classes of all predictions since the last test, once they are enough."""
        seen = waiting.add(classes(np.asarray(predictions)))
        if seen is None:
            return gangplank.Drift()
        # The reference is a sample too: a test that took its frequencies for exact would raise false alarms.
        counts = np.array([before, np.bincount(seen, minlength=number)])
        found = stats.chi2_contingency(counts[:, counts.any(axis=0)])
        return gangplank.Drift(int(found.pvalue < alpha), float(found.pvalue), float(found.statistic))

    return get_drift_metrics
