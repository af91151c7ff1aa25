"""Tell benign from malignant tumours with LightGBM, and export every boosting round to Prometheus."""

import argparse

import lightgbm
from gangplank_lightgbm.callback import PrometheusExporter
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--address", default="127.0.0.1:9091", help="the Pushgateway's host:port")
parser.add_argument("--job", default="tumours", help="the job label in Prometheus")
parser.add_argument("--rounds", type=int, default=200, help="the maximum: it stops early")
args = parser.parse_args()

x, y = load_breast_cancer(return_X_y=True)  # 569 real patients, in scikit-learn
x, x_val, y, y_val = train_test_split(x, y, test_size=0.25, random_state=0, stratify=y)
train = lightgbm.Dataset(x, y)
validation = lightgbm.Dataset(x_val, y_val, reference=train)
params = {"objective": "binary", "metric": ["binary_logloss", "auc"], "learning_rate": 0.1, "verbosity": -1}
reported: dict[str, dict[str, list[float]]] = {}

with PrometheusExporter(args.address, args.job, info={"dataset": "breast_cancer"}) as exporter:
    booster = lightgbm.train(
        params,
        train,
        args.rounds,
        valid_sets=[train, validation],
        valid_names=["training", "validation"],
        callbacks=[exporter, lightgbm.early_stopping(10, verbose=False), lightgbm.record_evaluation(reported)],
    )

rounds = len(reported["training"]["auc"])
print(f"best round: {booster.best_iteration}")
for data, metrics in reported.items():
    print(f"{data} after round {rounds}: { {name: float(values[-1]) for name, values in metrics.items()} }")
