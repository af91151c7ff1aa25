"""Show what each detector says of digits that have not drifted, and of digits that have."""

import tempfile

import adaptive_window
import chi_square
import digits
import kolmogorov_smirnov
import numpy as np
import reference
from sklearn.linear_model import LogisticRegression

train, known, new = digits.split()
model = LogisticRegression(max_iter=1000).fit(*train)

# The reference is made once, with the model, and is saved beside it.
with tempfile.NamedTemporaryFile(suffix=".npz") as file:
    reference.save(file.name, reference.Reference(known.images, model.predict_proba(known.images)))
    before = reference.load(file.name)

traffic = {
    "as before": new.images,
    "no more zeros": new.without(0).images,
    "darker images": new.images * 0.8,
}
for detect in chi_square, kolmogorov_smirnov, adaptive_window:
    print(detect.__name__)
    for name, images in traffic.items():
        get_drift_metrics = detect.detector(before)
        # In batches of about 60, twice: a detector sees more the longer it looks.
        batches = 2 * np.array_split(images, 10)
        said = [get_drift_metrics(batch, model.predict_proba(batch)) for batch in batches]
        detected = sum(drift.drift_detected or 0 for drift in said)
        p_values = [drift.p_value for drift in said if drift.p_value is not None]
        print(f"  {name}: drift detected {detected} times", *(f"p = {p_value:.2g}" for p_value in p_values), sep=", ")
