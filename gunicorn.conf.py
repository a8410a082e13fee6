"""Numbers of the server.

One process: its threads share the gates, the metrics and what is loaded, and OpenCV works outside the interpreter's
lock, so that one process keeps all cores busy (docs/api.md, "Server").
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys
from pathlib import Path

from analyzer import settings
from analyzer.errors import BadSetting
from web.native_lines import NativeLines

M_ARENA_MAX = -8  # malloc.h
PR_SET_DUMPABLE = 4  # linux/prctl.h
LONGEST_WARM_UP_S = 10.0  # that a stop waits for it
MOST_CONNECTIONS = 8192  # an idle one takes 2.5 kB (benchmarks.faults)
OTHER_FILES = 512  # open at the same time as connections: models, logs, S3, pipes

try:
    _settings = settings.read()
except BadSetting as error:
    sys.exit(f"{error.message} {error.hint}")


def _raise_file_limit(wanted: int) -> int:
    """Allow this process and its workers as many open files as wanted, or as many as they may have; returns that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


wsgi_app = "application:application"
bind = f"{f'[{_settings.host}]' if ':' in _settings.host else _settings.host}:{_settings.port}"
worker_class = "web.worker.Worker"  # gthread, with slow heads, idle connections and error pages mended
workers = 1
threads = _settings.threads
worker_connections = _raise_file_limit(MOST_CONNECTIONS + OTHER_FILES) - OTHER_FILES  # beyond it idle ones are closed
if worker_connections <= threads:
    sys.exit(
        f"THREADS={threads} needs {threads + OTHER_FILES + 1} open files: raise the limit (ulimit -Hn), or lower THREADS."
    )
backlog = 1024  # connections that the kernel holds while the worker is busy
preload_app = False  # network runtimes do not survive a fork
timeout = 60  # s without a sign of life of the worker's main loop; requests may take longer
graceful_timeout = _settings.graceful_timeout_s
keepalive = 75  # s; longer than the 60 s of the usual proxies, so that they close first
limit_request_line = 4094  # bytes
limit_request_fields = 64
limit_request_field_size = 8190  # bytes
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # sign of life without touching the disk
control_socket_disable = True
accesslog = None  # web.tracing writes one line per request
errorlog = "-"
loglevel = _settings.log_level
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "web.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "web.logs.StandardError", "formatter": "json"}},
    "root": {"level": "WARNING", "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {"level": _settings.log_level.upper(), "handlers": ["stderr"], "propagate": False},
        "gunicorn.access": {"level": "WARNING", "handlers": ["stderr"], "propagate": False},
    },
}


def _limit_arenas() -> None:
    """Let all threads share two heaps: glibc gives each thread one of its own, and 64 of them keep what photos left behind."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 2)


def _hide_memory() -> None:
    """Keep other programs of the same user from reading memory and environment in /proc, and from attaching; photos and keys are there."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


_limit_arenas()  # these three are inherited by the worker
_hide_memory()
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold photos


def on_starting(server):  # type: ignore[no-untyped-def]
    """Have the master log the output of native libraries in the worker."""
    server.native_lines = NativeLines()


def post_fork(server, worker):  # type: ignore[no-untyped-def]
    """Send the output of native libraries in a new worker to the master."""
    server.native_lines.divert()


def on_exit(server):  # type: ignore[no-untyped-def]
    """Log the last lines of native libraries."""
    server.native_lines.stop()


def post_worker_init(worker):  # type: ignore[no-untyped-def]
    """Warm up in the worker as soon as it can answer; `/ready` says 503 until that is done. SIGHUP looks for a newer model."""
    service = worker.wsgi.extensions["service"]
    signal.signal(signal.SIGHUP, lambda number, frame: service.ensemble.request_refresh())
    signal.siginterrupt(signal.SIGHUP, False)
    service.ensemble.start()
    service.readiness.start()


def worker_exit(server, worker):  # type: ignore[no-untyped-def]
    """End the watch for newer models; a download that is given up goes on at the next start.

    What computes in a thread ends first: to leave the interpreter under a native library is a crash.
    """
    if worker.booted:
        service = worker.wsgi.extensions["service"]
        service.ensemble.stop()
        service.readiness.wait(LONGEST_WARM_UP_S)
