"""Serve with several workers, whose metrics are added up; Prometheus sees one model."""

import os
import sys
from pathlib import Path

from prometheus_client import multiprocess

# The workers must find it before they import prometheus_client, and it must be empty.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    sys.exit("Set PROMETHEUS_MULTIPROC_DIR to an empty folder: PROMETHEUS_MULTIPROC_DIR=$(mktemp -d) gunicorn ...")

wsgi_app = "serve:app"
pythonpath = str(Path(__file__).parent)
worker_class = "asgi"
bind = "127.0.0.1:8000"
workers = 2


def child_exit(_, worker) -> None:  # noqa: ANN001 - gunicorn's types
    """Take a worker that has ended out of the gauges that are about live ones; its counts remain."""
    multiprocess.mark_process_dead(worker.pid)
