"""Train a small convnet on handwritten digits in a plain PyTorch loop, and export every epoch to Prometheus."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

import gangplank

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="the Pushgateway's host:port")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--job", default="digits", help="the job label in Prometheus")
args = parser.parse_args()

torch.manual_seed(0)
found = load_digits()  # 1,797 images of 8x8 pixels, each from 0 to 16, that come with scikit-learn
images = torch.tensor(found.images / 16, dtype=torch.float32).unsqueeze(1)
train, validation, test = random_split(TensorDataset(images, torch.tensor(found.target)), [0.7, 0.15, 0.15])
batches = DataLoader(train, batch_size=64, shuffle=True)

net = nn.Sequential(
    *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(2 * 2 * 32, 10)),
)
optimizer = torch.optim.Adam(net.parameters(), lr=0.003)


@torch.no_grad()
def evaluate(part: Subset) -> tuple[float, float]:
    """Return the mean loss, and the share of the digits that are recognised."""
    net.eval()
    x, y = part[:]
    scores = net(x)
    return cross_entropy(scores, y).item(), (scores.argmax(1) == y).double().mean().item()


info = {"framework": "torch", "framework_version": torch.__version__, "dataset": "digits"}
buckets = gangplank.HISTOGRAM_WEIGHT_BUCKETS_0_3
exporter = gangplank.Exporter(args.address, args.job, info=info, histogram_buckets=buckets)
# Nothing in this loop waits for the gateway, or fails if there is none: a thread sends what is recorded.
with exporter.run("train") as run:
    for epoch in run.epochs(args.epochs):
        net.train()
        total = torch.zeros(())
        for x, y in batches:
            optimizer.zero_grad()
            loss = cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(y)
        val_loss, val_accuracy = evaluate(validation)
        metrics = {"loss": total.item() / len(train), "val_loss": val_loss, "val_accuracy": val_accuracy}
        step, rate = (epoch + 1) * len(batches), optimizer.param_groups[0]["lr"]
        run.record(metrics, step=step, samples=len(train), learning_rates=rate, weights=net)
        print(f"epoch {epoch + 1}: {metrics}")

with exporter.run("test") as tested:  # from here on it shows as running, and its time is measured
    loss, accuracy = evaluate(test)
    metrics = {"loss": loss, "accuracy": accuracy}
    tested.record(metrics)
print(f"test: {metrics}")
