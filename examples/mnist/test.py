"""Test the model that train.py saved, and export the result to Prometheus, next to that of the training."""

import argparse
import sys
from pathlib import Path

import data
import keras

import gangplank

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", choices=["mnist", "digits"], default="mnist", help="the same as for train.py")
parser.add_argument("--gateway", default="127.0.0.1:9091", help="the Pushgateway's host:port")
parser.add_argument("--model", default="mnist.keras", help="the file that train.py saved the model to")
args = parser.parse_args()

if not Path(args.model).exists():
    sys.exit(f"There is no {args.model}: run train.py first.")
model = keras.saving.load_model(args.model)

_, (x_test, y_test) = data.load(args.data)
if model.input_shape[1:] != x_test.shape[1:]:
    sys.exit(f"{args.model} was trained on other images: give test.py the same --data as train.py.")

# The same job as in train.py, but another phase: the training's metrics stay on the gateway.
exporter = gangplank.TrainTestExporter(args.gateway, "mnist")
model.evaluate(x_test, y_test, callbacks=[exporter])
