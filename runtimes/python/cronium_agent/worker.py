"""The process that becomes the function. It is forked before the call comes, with nothing of a caller in it."""

import json
import os
import select
import signal
import sys

from . import frames, processes

# Imported while the sandbox is warm, so that no call pays for them. Each costs boot CPU and memory of every sandbox.
PRELOADS = ("cronium_agent.python_task", "cronium_agent.response", "types", "datetime")
# What the environment of a function holds when the call says nothing of it.
DEFAULT_ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "TZ": "UTC"}


class Uplink:
    """The worker's way to the supervisor. Blocks when the supervisor is busy: so a slow client slows the function."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._pid = os.getpid()

    def send(self, *messages):
        """Sends (type, payload) pairs in one piece."""
        if os.getpid() != self._pid:
            os._exit(0)  # a child that the function forked has come back out of it; the answer is its parent's
        view = memoryview(b"".join([frames.encode(kind, payload) for kind, payload in messages]))
        while view:
            view = view[os.write(self._descriptor, view) :]

    def send_json(self, kind, value):
        self.send((kind, json.dumps(value, separators=(",", ":")).encode()))


class Outputs:
    """The pipes for standard output and for the log, not yet in place."""

    def __init__(self, out, log):
        self._out = out
        self._log = log

    def apply(self, apart):
        """Puts them in place as 1 and 2; `apart` keeps standard output out of the log."""
        os.dup2(self._out if apart else self._log, 1)
        os.dup2(self._log, 2)
        os.close(self._out)
        os.close(self._log)


def work(runtime, down, up, out, log):
    """Waits for the call and runs it. Does not return from a call."""
    _become_ordinary()
    if runtime == "bash":
        from .bash_task import run
    else:
        _preload(down)
        from .python_task import run
    call = _receive(down)
    os.close(down)
    set_environment(call.get("env") or {})
    _enter_home()
    run(call, Uplink(up), Outputs(out, log))


def _become_ordinary():
    """Undoes what the supervisor needs and an ordinary process does not have."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    processes.prefer_as_victim()


def _preload(down):
    """Imports until the call is there. site-packages come first: boot left them out (-S)."""
    import importlib
    import site

    site.main()
    for name in PRELOADS:
        if select.select([down], [], [], 0)[0]:
            return
        importlib.import_module(name)


def _receive(down):
    """The call; a status that the supervisor reports as a fault when there is none."""
    try:
        length = int.from_bytes(_read_exactly(down, 4), "big")
        call = json.loads(_read_exactly(down, length))
        limits = call["limits"]
        if isinstance(call["code"], str) and all(type(limits[name]) is int for name in LIMITS):
            return call
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    os._exit(1)


LIMITS = ("logBytes", "responseBytes", "streamBytes")


def _read_exactly(descriptor, length):
    data = bytearray()
    while len(data) < length:
        chunk = os.read(descriptor, length - len(data))
        if not chunk:
            os._exit(1)
        data += chunk
    return data


def set_environment(env):
    """The function's whole environment; nothing of the agent's own stays."""
    os.environ.clear()
    os.environ.update(DEFAULT_ENV)
    os.environ["HOME"] = "/tmp"
    for name, value in env.items():
        if name and "=" not in name and "\0" not in name + str(value):
            os.environ[name] = str(value)
    if "TZ" in env:
        import time

        time.tzset()


def _enter_home():
    try:
        os.chdir("/tmp")
    except OSError:
        pass
    sys.argv = [""]
