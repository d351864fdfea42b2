"""Makes every Python process of a run tell a test what it does; put on ``PYTHONPATH`` by ``eavesdropper``.

With ``EAR`` in the environment, a folder: everything that is logged, at any level, goes to a file there; so do command
line and environment of each process that is started; and a file is copied there before it is removed or renamed, since
a temporary file would be gone when the test looks. With ``ISSUED``, a file (for the local tenant alone): each client
secret that is issued is written to it, because the tenant itself keeps no more than a hash.

With ``BREAK_SINKS`` every env file is written and then an error is raised that nobody foresaw: for its traceback.
"""

import contextlib
import json
import logging
import os
import shutil
import sys
import threading
from itertools import count
from pathlib import Path

_number = count()
_busy = threading.local()


def _kept(path: object, folder_fd: object = -1) -> None:
    where = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
    if isinstance(folder_fd, int) and folder_fd >= 0:
        where = str(Path(Path(f"/proc/self/fd/{folder_fd}").readlink(), where))
    if where and Path(where).is_file():
        copy = Path(_ear, f"kept-{os.getpid()}-{next(_number)}")
        shutil.copyfile(where, copy)
        copy.with_name(f"{copy.name}.path").write_text(str(Path(where).absolute()))


def _started(program: object, arguments: object, environment: object) -> None:
    told = {"argv": [str(program), *map(str, arguments or ())], "environ": dict(environment or os.environ)}
    with Path(_ear, f"started-{os.getpid()}").open("a") as file:
        file.write(json.dumps(told, default=os.fsdecode) + "\n")


def _hook(event: str, arguments: tuple) -> None:
    if event not in {"os.remove", "os.rename", "subprocess.Popen"} or getattr(_busy, "here", False):
        return
    _busy.here = True
    try:
        with contextlib.suppress(OSError):
            if event == "os.remove":
                _kept(*arguments)
            elif event == "os.rename":
                _kept(arguments[0], arguments[2])
            else:
                _started(arguments[0], arguments[1], arguments[3])
    finally:
        _busy.here = False


if _ear := os.environ.get("EAR"):
    logging.basicConfig(level=1, filename=f"{_ear}/log-{os.getpid()}", force=True)
    sys.addaudithook(_hook)

if _issued := os.environ.get("ISSUED"):
    from provision.sandbox import hashing

    _new = hashing.new_secret

    def _told() -> str:
        secret = _new()
        with Path(_issued).open("a") as file:
            file.write(f"{secret}\n")
        return secret

    hashing.new_secret = _told

if os.environ.get("BREAK_SINKS"):
    from provision.secrets.sinks.envfile import EnvFile

    _write = EnvFile.write

    def _broken(self: EnvFile, delivery: object) -> None:
        _write(self, delivery)
        raise RuntimeError("nobody foresaw this")

    EnvFile.write = _broken
