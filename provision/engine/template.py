"""``python -m provision.engine.template``: a process with everything loaded, which becomes programs by forking.

Owns: loading modules once, and forking a child for each order that comes through the socket on standard input: a child
runs a Python program as ``python`` would, with an environment, a folder, arguments and standard streams of its own. So
a Pulumi program or a plugin starts in hundredths of a second instead of one, and no two runs share a process: nothing
that one learns (credentials, tokens, Pulumi's globals) can reach another. Does not own: what is run (``warm``).

It loads, but uses nothing: no thread, no connection, no gRPC object exists when it forks. When whoever gave the orders
is gone, so is it, and every child with it. Linux only.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
"""``prctl``: the kernel sends this signal when the parent is gone (Linux manual pages, PR_SET_PDEATHSIG)."""
_LENGTH_BYTES = 4
_STREAMS = 3
"""Descriptors that go with an order: the child's standard output, its standard error, and the pipe for its end."""


@dataclass(frozen=True)
class Order:
    """What a child is to run."""

    module: str = ""
    """A module, as after ``python -m``; else ``file``."""
    file: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """The whole of it."""
    folder: str = "/"

    def message(self) -> bytes:
        """As it travels."""
        text = json.dumps(asdict(self)).encode()
        return len(text).to_bytes(_LENGTH_BYTES, "big") + text

    @classmethod
    def receive(cls, line: socket.socket) -> tuple[Order, list[int]] | None:
        """The next order with its descriptors; None when nobody gives orders any more."""
        head, descriptors, _, _ = socket.recv_fds(line, _LENGTH_BYTES, _STREAMS)
        if not head:
            return None
        head += _exactly(line, _LENGTH_BYTES - len(head))
        values: dict[str, Any] = json.loads(_exactly(line, int.from_bytes(head, "big")))
        return cls(**{**values, "arguments": tuple(values["arguments"])}), descriptors


def _exactly(line: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = line.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def serve(line: socket.socket) -> None:
    """Forks until nobody gives orders any more.

    Each order's pipe is told the child's process id, and when it ends its exit code (negative for a signal), one number
    a line.
    """
    children: dict[int, tuple[int, int]] = {}  # by a descriptor that becomes readable when the child ends
    with selectors.DefaultSelector() as selector, contextlib.suppress(EOFError, ConnectionError):
        selector.register(line, selectors.EVENT_READ)
        while True:
            for ready, _ in selector.select():
                if ready.fileobj is not line:
                    selector.unregister(ready.fileobj)
                    _bury(ready.fd, *children.pop(ready.fd))
                    continue
                ordered = Order.receive(line)
                if ordered is None:
                    raise EOFError
                order, (out, err, end) = ordered
                template = os.getpid()
                pid = os.fork()
                if pid == 0:
                    _become(order, out, err, template)
                for descriptor in (out, err):
                    os.close(descriptor)
                _tell(end, pid)
                ended = os.pidfd_open(pid)
                children[ended] = (pid, end)
                selector.register(ended, selectors.EVENT_READ)
    for pid, _ in children.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _bury(ended: int, pid: int, end: int) -> None:
    _, status = os.waitpid(pid, 0)
    _tell(end, os.waitstatus_to_exitcode(status))
    os.close(end)
    os.close(ended)


def _tell(end: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(end, f"{number}\n".encode())


def _become(order: Order, out: int, err: int, template: int) -> None:
    """Runs the order in this child and ends it; never returns."""
    code = 1
    try:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != template:
            os._exit(code)  # it was killed before this one could be told
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, stream in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(descriptor, stream)
        for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
            if descriptor >= _STREAMS:
                with contextlib.suppress(OSError):  # the one that listed them
                    os.close(descriptor)
        os.chdir(order.folder)
        os.environ.clear()
        os.environ.update(order.environment)
        sys.argv = [order.file or order.module, *order.arguments]
        if order.module:
            runpy.run_module(order.module, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(order.file).parent))
            runpy.run_path(order.file, run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
    except BaseException:  # noqa: BLE001 - the child's last words, as the interpreter's own would be
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Loads the modules that the arguments name, says so, and serves."""
    # An interruption from the keyboard reaches the whole group; whoever gives the orders decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = socket.socket(fileno=os.dup(0))
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # collections in a child would copy every page of what is loaded
    line.sendall(b"\n")
    serve(line)


if __name__ == "__main__":
    main()
