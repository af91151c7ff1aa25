"""Takes from the process that imports this what only POSIX has: what is left, Windows has too.

Modules that are imported already keep what they have, so it comes before all others.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

MODULES = ("fcntl", "grp", "pwd", "resource", "termios")
NAMES = {
    os: (
        *("fchmod", "fork", "forkpty", "getegid", "geteuid", "getgid", "getpgid", "getuid", "killpg", "mkfifo"),
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "register_at_fork", "setsid", "sysconf", "wait", "wait4"),
    ),
    signal: (
        *("SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer"),
        *("sigpending", "sigtimedwait", "sigwait", "sigwaitinfo"),
    ),
    socket: ("AF_UNIX", "SO_REUSEPORT"),
}

for gone in MODULES:
    sys.modules[gone] = None  # type: ignore[assignment]
for module, names in NAMES.items():
    for name in names:
        delattr(module, name)
