"""One of the processes that train together, as a program; it prints what XGBoost returned."""

from __future__ import annotations

import json
import sys
from typing import Any

from xgboost import collective

from gangplank.xgboost import TrainTestExporter
from support.boosting import matrix, train

address, tracker, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
with collective.CommunicatorContext(**tracker):
    rank = collective.get_rank()
    results: dict[str, Any] = {}
    # Only rank 0 has the exporter, unless each is to export: its hooks must not wait for another process.
    callbacks = [TrainTestExporter(address, "two", **options)] if options or rank == 0 else []
    train(4, *callbacks, evals=[(matrix(80, seed=rank), "eval")], results=results)
print(json.dumps({"rank": rank, "auc": results["eval"]["auc"][-1]}))  # noqa: T201  the test reads it
