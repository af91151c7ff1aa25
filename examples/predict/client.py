"""Send handwritten digits to serve.py; with --drop 0, no zeros, as if nobody wrote them any more."""

import argparse
import json
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "drift"))

import digits

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the server")
parser.add_argument("--images", type=int, default=2000, help="how many to send")
parser.add_argument("--batch", type=int, default=50, help="how many to send in one request")
parser.add_argument("--clients", type=int, default=4, help="how many requests to send at the same time")
parser.add_argument("--drop", type=int, choices=range(10), help="a digit that is not sent")
args = parser.parse_args()

_, _, new = digits.split()
kept = new.without(args.drop)
# All images in random order, again and again.
random = np.random.default_rng()
rounds = -(-args.images // len(kept.digits))
order = np.concatenate([random.permutation(len(kept.digits)) for _ in range(rounds)])[: args.images]


def send(chosen: np.ndarray) -> int:
    """Have the digits on some images recognised, and return how many are."""
    body = json.dumps({"images": kept.images[chosen].tolist()}).encode()
    request = urllib.request.Request(f"{args.url}/predict", body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - the server of the command line
        return int(np.sum(kept.digits[chosen] == json.load(answer)["digits"]))


with ThreadPoolExecutor(args.clients) as clients:
    batches = [order[start : start + args.batch] for start in range(0, len(order), args.batch)]
    recognised = sum(clients.map(send, batches))
print(f"Sent {len(order)} images; {recognised / len(order):.1%} were recognised.")
