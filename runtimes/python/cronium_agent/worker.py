"""The process that becomes the function. It is forked before the call comes, with nothing of a caller in it."""

import _thread
import json
import os
import select
import signal
import sys

from . import environment, frames, processes

# Imported as soon as the sandbox is warm, so that no call pays for it.
PRELOADS = ("datetime",)
# Imported when no call has come for a while: 30 ms of CPU that a busy host had better spend on calls.
IDLE_PRELOADS = ("traceback", "asyncio")
IDLE_SECONDS = 0.5


class Ended(OSError):
    """Nothing can be sent any more. A thread of the function may not know that."""


class Uplink:
    """The worker's way to the supervisor. Blocks when the supervisor is busy: so a slow client slows the function."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._pid = os.getpid()
        self._lock = _thread.allocate_lock()
        self._ended = False

    def send(self, *messages):
        """Sends (type, payload) pairs in one piece, whole among those of other threads. Raises Ended after END."""
        if os.getpid() != self._pid:
            os._exit(0)  # a child that the function forked has come back out of it; the answer is its parent's
        view = memoryview(b"".join([frames.encode(kind, payload) for kind, payload in messages]))
        with self._lock:
            if self._ended:
                raise Ended("the call has ended")
            self._ended = messages[-1][0] == frames.END
            while view:
                view = view[os.write(self._descriptor, view) :]

    def rest(self):
        """Waits to be killed. To exit now would take the processor away from the answer, which is on its way."""
        waiting = select.poll()
        waiting.register(self._descriptor, 0)
        waiting.poll()  # only an error ends it: the supervisor is gone
        os._exit(0)

    def send_json(self, kind, value):
        self.send((kind, json.dumps(value, separators=(",", ":")).encode()))


class Outputs:
    """The pipes for standard output and for the log."""

    def __init__(self, out, log):
        self._out = out
        self._log = log

    def prepare(self):
        """Leads 1 and 2 to the log. Not before the boot is over: until then errors belong on the agent's stderr."""
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)

    def apply(self, apart):
        """Settles where 1 leads; `apart` keeps standard output out of the log."""
        if apart:
            os.dup2(self._out, 1)
        os.close(self._out)
        os.close(self._log)


def work(down, up, out, log):
    """Waits for the call and runs it. Does not return from a call."""
    outputs = Outputs(out, log)
    become_ordinary()
    sys.argv = [""]
    _preload(down)
    from .python_task import open_text_streams, run

    outputs.prepare()
    open_text_streams()
    _preload_when_idle(down)
    call = receive(down)
    _set_environment(environment.of_call(call))
    run(call, Uplink(up), outputs, down)


def become_ordinary():
    """Undoes what the supervisor needs and an ordinary process does not have."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    processes.prefer_as_victim()


def _preload(down):
    """Imports until the call is there. The path to site-packages comes first: boot left it out (-S)."""
    import importlib
    import site

    site.main()
    from .python_task import rehearse

    rehearse()
    for name in PRELOADS:
        if _is_waiting(down, 0):
            return
        importlib.import_module(name)


def _preload_when_idle(down):
    import importlib

    patience = IDLE_SECONDS
    for name in IDLE_PRELOADS:
        if _is_waiting(down, patience):
            return
        importlib.import_module(name)
        patience = 0


def _is_waiting(down, seconds):
    return bool(select.select([down], [], [], seconds)[0])


def receive(down):
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


def _set_environment(env):
    os.environ.clear()
    os.environ.update(environment.DEFAULT)
    os.environ.update(env)
    if "TZ" in env:
        import time

        time.tzset()
