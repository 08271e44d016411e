"""A PostgreSQL server of the test's own, from PyPI's pgserver; its data go when the test goes.

Prints its address. Then obeys lines on its input: `kill` (SIGKILL, as a power cut of the server would), `start`. Each is answered
with one line. Ends with its input.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pgserver
import psutil


def main():
    data = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    server = None
    try:
        server = pgserver.get_server(data, cleanup_mode=None)
        print(server.get_uri(), flush=True)
        for line in sys.stdin:
            if line.strip() == "kill":
                kill(server.get_pid())
                # Whoever inherited the dead may not have buried them: their numbers must not pass for a running server.
                for stale in ("postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
                    (data / stale).unlink(missing_ok=True)
            elif line.strip() == "start":
                server.ensure_postgres_running()
            print("done", flush=True)
    finally:
        if server is not None:
            kill(server.get_pid())
        shutil.rmtree(data, ignore_errors=True)


def kill(pid):
    """The whole family: a server that lost its first process only lets the others finish what they do."""
    try:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    while any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family):
        time.sleep(0.02)


main()
