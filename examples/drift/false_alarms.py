"""Measure how often each detector raises a false alarm, and how often it sees drift."""

import argparse
from collections import Counter

import adaptive_window
import chi_square
import digits
import kolmogorov_smirnov
import numpy as np
from digits import Digits
from reference import Reference
from sklearn.linear_model import LogisticRegression

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--batches", type=int, default=1000, help="how many undrifted batches each detector checks")
args = parser.parse_args()

SIZE = chi_square.WINDOW
NAIVE = 0.05
DETECTORS = chi_square, kolmogorov_smirnov, adaptive_window
random = np.random.default_rng(1)
train, known, new = digits.split()
model = LogisticRegression(max_iter=1000).fit(*train)
unseen = Digits(*map(np.concatenate, zip(known, new, strict=True)))


def drawn() -> tuple[Digits, Digits]:
    """Return images for a reference, and others to predict, of all that the model was not trained on.

    All are handwriting of the same people, in random order, so nothing has drifted.
    """
    order = random.permutation(len(unseen.digits))
    before, after = order[: len(known.digits)], order[len(known.digits) :]
    return tuple(Digits(unseen.images[part], unseen.digits[part]) for part in (before, after))


found: Counter[tuple[str, str]] = Counter()
# Two batches for each reference: with one reference for all, a thousand batches would tell of the chance of that one.
rounds = args.batches // 2
for number in range(rounds):
    before, after = drawn()
    reference = Reference(before.images, model.predict_proba(before.images))
    traffic = {
        "undrifted": after.images,
        "a digit dropped": after.without(number % 10).images,
        "darker": after.images * 0.8,
    }
    for detector in DETECTORS:
        for kind, images in traffic.items():
            get_drift_metrics = detector.detector(reference)
            batches = [random.permutation(images)[:SIZE] for _ in range(2)]
            first, second = (get_drift_metrics(batch, model.predict_proba(batch)) for batch in batches)
            found[detector.__name__, kind, "first"] += bool(first.drift_detected)
            found[detector.__name__, kind, "second"] += bool(second.drift_detected)
            found[detector.__name__, kind, "either"] += bool(first.drift_detected or second.drift_detected)
            p_values = [drift.p_value for drift in (first, second) if drift.p_value is not None]
            found[detector.__name__, kind, "naive"] += sum(p_value < NAIVE for p_value in p_values)

print(f"batches of {SIZE} images")
for detector in DETECTORS:
    name = detector.__name__
    alarms = found[name, "undrifted", "first"] + found[name, "undrifted", "second"]
    print(name)
    print(f"  false alarms: {alarms} in {2 * rounds} batches; p < {NAIVE} in {found[name, 'undrifted', 'naive']}")
    for kind in ("a digit dropped", "darker"):
        first, either = found[name, kind, "first"] / rounds, found[name, kind, "either"] / rounds
        print(f"  {kind}: detected in the first batch {first:.1%}, within two {either:.1%}")
