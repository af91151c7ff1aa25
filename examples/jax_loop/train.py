"""Train a small network on handwritten digits in a plain JAX loop, and export every epoch to Prometheus."""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import gangplank

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="the Pushgateway's host:port")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--job", default="digits", help="the job label in Prometheus")
args = parser.parse_args()

rng = np.random.default_rng(0)
found = load_digits()  # 1,797 images of 8x8 pixels, each from 0 to 16, that come with scikit-learn
images, digits = found.data.astype("float32") / 16, found.target.astype("int32")
train, validation, test = np.split(rng.permutation(len(digits)), [1280, 1536])
batches, rate = 20, 0.3

he = jax.nn.initializers.he_normal()
params = {
    "hidden": {"kernel": he(jax.random.key(0), (64, 128)), "bias": jnp.zeros(128)},
    "output": {"kernel": he(jax.random.key(1), (128, 10)), "bias": jnp.zeros(10)},
}
counts = (sum(weights.size for weights in jax.tree.leaves(params)), 0)  # of trainable and of frozen parameters


@jax.jit
def evaluate(params: dict, x: jax.Array, y: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the mean loss, and the share of the digits that are recognised."""
    hidden = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    scores = jax.nn.log_softmax(hidden @ params["output"]["kernel"] + params["output"]["bias"])
    return -jnp.take_along_axis(scores, y[:, None], axis=1).mean(), (scores.argmax(axis=1) == y).mean()


@jax.jit
def train_step(params: dict, x: jax.Array, y: jax.Array) -> tuple[dict, jax.Array]:
    """Return the parameters after one step of gradient descent, and the loss before it."""
    (loss, _), gradient = jax.value_and_grad(evaluate, has_aux=True)(params, x, y)
    return jax.tree.map(lambda weights, slope: weights - rate * slope, params, gradient), loss


info = {"framework": "jax", "framework_version": jax.__version__, "dataset": "digits"}
buckets = gangplank.HISTOGRAM_WEIGHT_BUCKETS_1_0
exporter = gangplank.Exporter(args.address, args.job, info=info, histogram_buckets=buckets)
# Nothing in this loop waits for the gateway, or fails if there is none: a thread sends what is recorded.
with exporter.run("train") as run:
    for epoch in run.epochs(args.epochs):
        total = 0.0
        for batch in np.split(rng.permutation(train), batches):
            params, loss = train_step(params, images[batch], digits[batch])
            total += loss
        val_loss, val_accuracy = map(float, evaluate(params, images[validation], digits[validation]))
        metrics = {"loss": float(total) / batches, "val_loss": val_loss, "val_accuracy": val_accuracy}
        step = (epoch + 1) * batches
        run.record(metrics, step=step, samples=len(train), learning_rates=rate, parameters=counts, weights=params)
        print(f"epoch {epoch + 1}: {metrics}")

with exporter.run("test") as tested:  # from here on it shows as running, and its time is measured
    loss, accuracy = map(float, evaluate(params, images[test], digits[test]))
    metrics = {"loss": loss, "accuracy": accuracy}
    tested.record(metrics)
print(f"test: {metrics}")
