"""Train a small convnet on handwritten digits, and export every epoch to Prometheus."""

import argparse

import data
import keras
from keras import layers

import gangplank

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", choices=["mnist", "digits"], default="mnist", help="digits needs no network")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway's host:port")
parser.add_argument("--model", default="mnist.keras", help="the file to save the model to")
args = parser.parse_args()

(x_train, y_train), _ = data.load(args.data)

model = keras.Sequential(
    [
        keras.Input(x_train.shape[1:]),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.25),
        layers.Dense(10, activation="softmax"),
    ],
)
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

# All that Gangplank needs: one more callback.
exporter = gangplank.TrainTestExporter(
    args.gateway,
    "mnist",
    histogram_buckets=gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3,
)
model.fit(x_train, y_train, epochs=args.epochs, validation_split=0.1, callbacks=[exporter])

model.save(args.model)
print(f"Saved to {args.model}")
