"""What a model was given and what it predicted before it was served: saved to a file, and read again."""

from typing import NamedTuple

import numpy as np


class Reference(NamedTuple):
    """What the detectors compare with.

    The model must not have been trained on these inputs: it is surer, and more often right, about those.

    Attributes:
        inputs: a row for each sample, a column for each feature.
        predictions: a row for each sample, a column with the score of each class.
    """

    inputs: np.ndarray
    predictions: np.ndarray


def save(path: str, reference: Reference) -> None:
    """Write a reference to an npz file."""
    np.savez_compressed(path, **reference._asdict())


def load(path: str) -> Reference:
    """Read a reference that `save` wrote."""
    with np.load(path) as saved:
        return Reference(**saved)


def classes(predictions: np.ndarray) -> np.ndarray:
    """Return the class that each row of scores predicts."""
    return np.argmax(predictions, axis=1)
