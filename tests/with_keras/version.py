"""Which Keras this is, for what older ones do themselves."""

from __future__ import annotations

import keras

VERSION = tuple(int(part) for part in keras.__version__.split(".")[:2])
