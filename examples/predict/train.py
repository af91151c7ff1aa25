"""Train a small model on handwritten digits; save it, and the reference that drift is measured by."""

import sys
from pathlib import Path

import keras

sys.path.append(str(Path(__file__).parents[1] / "drift"))  # the detectors, and the digits

import digits
import reference

train, known, _ = digits.split()
model = keras.Sequential(
    [keras.Input((64,)), keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10, activation="softmax")]
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(*train, epochs=50, verbose=0)
_, accuracy = model.evaluate(*known, verbose=0)

model.save("digits.keras")
# The model has not seen these images: its predictions are those to expect in production, until something drifts.
reference.save("reference.npz", reference.Reference(known.images, model.predict(known.images, verbose=0)))
print(f"Saved digits.keras and reference.npz; {accuracy:.1%} of images that are new to the model are recognised.")
