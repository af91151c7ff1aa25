"""River's ADWIN, which watches a stream of predictions for a change of the share of a class."""

from collections.abc import Callable
from typing import Any

import numpy as np
from reference import Reference, classes
from river.drift import ADWIN

import gangplank

DELTA = 1e-5


def detector(reference: Reference, delta: float = DELTA) -> Callable[[Any, Any], gangplank.Drift]:
    """Return a `get_drift_metrics_func` for a classifier, for batches of any size.

    ADWIN compares the older predictions with the newer ones. It tells of a change once, and then takes what is new for
    normal. The test statistic remains: the largest difference of a class's share from that in the reference.

    Args:
        reference: the predictions that the stream begins with.
        delta: the smaller, the rarer is a false alarm, and the later a change is seen.
    """
    number = reference.predictions.shape[1]
    shares = np.bincount(classes(reference.predictions), minlength=number) / len(reference.predictions)
    streams = [ADWIN(delta=delta) for _ in range(number)]

    def changes(seen: np.ndarray) -> int:
        """Add predicted classes to the streams; return how many changes that shows."""
        found = 0
        for one, stream in enumerate(streams):
            for hit in (seen == one).tolist():
                stream.update(hit)
                found += stream.drift_detected
        return found

    def get_drift_metrics(_: Any, predictions: Any) -> gangplank.Drift:
        """Add the predictions to the streams."""
        found = changes(classes(np.asarray(predictions)))
        differences = np.abs(shares - [stream.estimation for stream in streams])
        return gangplank.Drift(found, test_statistic=float(differences.max()))

    changes(classes(reference.predictions))
    return get_drift_metrics
