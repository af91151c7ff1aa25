"""Which Keras this is, for what older ones do themselves."""

from __future__ import annotations

import keras

BEFORE_3_7 = tuple(int(part) for part in keras.__version__.split(".")[:2]) < (3, 7)
