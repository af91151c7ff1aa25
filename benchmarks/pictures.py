"""The pictures of the documentation, docs/pictures: made of real trainings, which take some minutes.

Five trainings with Keras push to a real Pushgateway, which a real Prometheus scrapes; one of them gets NaN, one fails.
`gangplank watch` reads the gateway, for its page and for the terminal. A headless Chromium takes the pictures. None
shows the info family, which has the names of this machine and of its user, nor a path.

This is here, beside the benchmarks, because it takes the servers of the tests and writes into docs, as they do. It
needs Debian's `chromium`, and for the page of Prometheus the libraries that Debian's `prometheus` depends on.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import figures
from gangplank.cli.remote.gateway import GatewayClient
from gangplank.cli.watch.sources import GatewaySource
from gangplank.cli.watch.terminal import frame
from gangplank.cli.watch.watcher import Watcher
from gangplank.monitoring import rules
from support.reading import eventually, value
from support.servers import Server, find, free_port, prometheus, pushgateway, running

FOLDER = figures.ROOT / "docs" / "pictures"
MOST_BYTES = 150_000
SHARED = Path("/usr/share")  # where Debian has JavaScript
BROWSER = "--headless --no-sandbox --disable-gpu --hide-scrollbars"
AWAITS_SCRIPTS = "--virtual-time-budget=10000"
GATEWAY_PORT = 9091  # the pictures show it
LOSS = 'gangplank_train_val_loss{job=~"digits-(adam|rmsprop|sgd)"}'
FIRING = 'ALERTS{alertstate="firing"}'
JOBS = ("digits-adam", "digits-sgd", "digits-rmsprop", "digits-too-fast", "digits-broken")  # of pictures_run.py
# One of the trainings is to be over, and the others are to be as far as this.
SHORT, LONG, DONE = "digits-rmsprop", "digits-sgd", 0.7
COLUMNS, WIDTH = 106, 1100


@contextlib.contextmanager
def trainings(address: str, epochs: int) -> Iterator[None]:
    """Have the trainings run, until the block ends."""
    script = str(Path(__file__).with_name("pictures_run.py"))
    with contextlib.ExitStack() as until:
        for job in JOBS:
            process = subprocess.Popen(  # noqa: S603  this Python
                [sys.executable, script, address, job, str(epochs // 2 if job == SHORT else epochs)],
                stderr=subprocess.DEVNULL,
            )
            until.callback(process.wait)
            until.callback(process.terminate)
        yield


def assets(folder: Path) -> Path:
    """Return the folder of Prometheus' page; Debian's has links to the libraries that it shares with others."""
    web = Path(find("prometheus")).parents[1] / "share" / "prometheus" / "web"
    there = folder / "share" / "prometheus" / "web"
    shutil.copytree(web, there, symlinks=True)
    for shared in ("javascript", "fonts-glyphicons"):
        (folder / "share" / shared).symlink_to(SHARED / shared)
    if not (there / "static" / "rickshaw").exists():
        raise SystemExit("the page of Prometheus needs libjs-rickshaw and the others: apt-get install prometheus")
    return there


@contextlib.contextmanager
def page_of_watch(gateway: Server, folder: Path) -> Iterator[Server]:
    """Have `gangplank watch` serve its page, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "gangplank", "watch", gateway.address, "--every", "2"]
    with running([*command, "--serve", f"127.0.0.1:{port}"], port, folder / "watch.log", ready="/") as server:
        yield server


def picture(name: str, url: str, size: tuple[int, int], *more: str) -> None:
    """Have a browser take a picture of a page, of this width and height; `more` are its options."""
    path = FOLDER / f"{name}.png"
    with tempfile.TemporaryDirectory() as profile:
        options = [*BROWSER.split(), f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *more]
        subprocess.run(  # noqa: S603
            [chromium(), *options, f"--screenshot={path}", url],
            check=True,
            capture_output=True,
            timeout=120,
            env={**os.environ, "TZ": "UTC"},
        )
    if path.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{path.name} has {path.stat().st_size:,} bytes, and may have {MOST_BYTES:,}")
    print(f"{path.relative_to(figures.ROOT)}: {path.stat().st_size:,} bytes")


def chromium() -> str:
    """Return the browser's program."""
    found = shutil.which("chromium")
    if found is None:
        raise SystemExit("the pictures need a browser: apt-get install chromium")
    return found


def terminal(watcher: Watcher, path: Path) -> int:
    """Draw what the terminal shows; return the height."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, force_terminal=True, file=nowhere)
        console.print(frame(watcher, watcher.view, COLUMNS, None))
    drawn = console.export_svg(title=f"gangplank watch 127.0.0.1:{GATEWAY_PORT}")
    path.write_text(drawn)
    size = re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn)
    return math.ceil(WIDTH * float(size[2]) / float(size[1])) if size else WIDTH


def asking(server: Server, expr: str, **shown: object) -> str:
    """Return the URL of Prometheus' page for a query."""
    query = {"g0.expr": expr, **{f"g0.{name}": value for name, value in shown.items()}}
    return f"{server.url}/classic/graph?{urllib.parse.urlencode(query)}"


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the documentation.")
    parser.add_argument("--epochs", type=int, default=100, help="of each training (default: %(default)s)")
    epochs = parser.parse_args().epochs
    chromium()
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, contextlib.ExitStack() as until:
        folder = Path(made)
        gateway = until.enter_context(pushgateway(folder, port=GATEWAY_PORT))
        options = [f"--web.local-assets={assets(folder)}"]
        server = until.enter_context(prometheus(folder, gateway.address, *options, rules=rules(), each="1s"))
        watched = until.enter_context(page_of_watch(gateway, folder))
        watcher = Watcher(GatewaySource(GatewayClient(gateway.address)), 2.0)
        watcher.start()
        until.enter_context(trainings(gateway.address, epochs))

        def reached() -> float:
            return value(gateway, "gangplank_run_epoch", job=LONG) or 0.0

        eventually(reached, timeout=300)
        began = time.monotonic()
        eventually(reached, lambda epoch: epoch >= DONE * epochs, timeout=900)
        lasted = f"{time.monotonic() - began + 5:.0f}s"
        graph = asking(server, LOSS, tab=0, range_input=lasted, step_input=1)
        picture("prometheus-graph", graph, (WIDTH, 840), AWAITS_SCRIPTS)
        picture("prometheus-alerts", asking(server, FIRING, tab=1), (WIDTH, 446), AWAITS_SCRIPTS)
        picture("watch-page", f"{watched.url}/", (1280, 740))
        adam = urllib.parse.urlencode(next(run.labels for run in watcher.view.runs if run.job == "digits-adam"))
        picture("watch-run", f"{watched.url}/run?{adam}", (WIDTH, 1180))
        drawn = folder / "terminal.svg"
        picture("watch-terminal", drawn.as_uri(), (WIDTH, terminal(watcher, drawn)))


if __name__ == "__main__":
    main()
