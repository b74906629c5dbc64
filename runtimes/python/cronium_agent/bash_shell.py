"""The bash of a Bash function: it is started before the call comes, so that no call waits for that.

Imports next to nothing, for it is part of the boot.
"""

import _signal
import os

from . import environment
from .frames import Violation

BASH = "/bin/bash"
RUNTIMES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = RUNTIMES + "/bash/bin"
AWAIT = RUNTIMES + "/bash/lib/await.sh"
# Python ignores these, and ignoring would be inherited.
UNIGNORED = (_signal.SIGPIPE, _signal.SIGXFSZ)


class Shell:
    """A bash that has told its version and reads `begin`, a named pipe; at its end it opens `script`, which has to be there by then.

    `out` and `log` are pipes for its standard output and its standard error.
    """

    def __init__(self):
        self.directory = _make_directory()
        self.script = self.directory + "/main.sh"
        self.out, self.log = os.pipe(), os.pipe()
        path = self.directory + "/begin"
        try:
            os.mkfifo(path, 0o600)
        except OSError as error:
            raise Violation("no named pipe can be made in %s: %s" % (self.directory, error)) from None
        # For reading too: so neither side waits for the other to open it.
        self.begin = os.open(path, os.O_RDWR)
        self.pid = os.posix_spawn(
            BASH,
            ["bash", self.script],
            {
                **environment.DEFAULT,
                "PATH": BIN + ":" + environment.DEFAULT["PATH"],
                "CRONIUM_EVENT_FILE": self.directory + "/event.json",
                "BASH_ENV": AWAIT,
            },
            file_actions=[
                (os.POSIX_SPAWN_DUP2, self.out[1], 1),
                (os.POSIX_SPAWN_DUP2, self.log[1], 2),
            ],
            setsid=True,
            setsigdef=UNIGNORED,
        )

    def version(self):
        """Waits for it; raises Violation when bash does not start."""
        os.close(self.out[1])
        os.close(self.log[1])
        version = os.read(self.out[0], 64).decode("ascii", "replace")
        if not version:
            raise Violation("bash does not start: %s" % os.read(self.log[0], 4096).decode("utf-8", "replace"))
        return version

    def kill(self):
        """It may not have opened `begin` yet, and would then wait for ever for somebody to write to it."""
        os.kill(self.pid, _signal.SIGKILL)


def _make_directory():
    """A directory of its own in the first place that can be written to: the root of a sandbox is read-only."""
    for parent in filter(None, (os.environ.get("TMPDIR"), "/tmp", "/run")):
        path = "%s/cronium-%s" % (parent, os.urandom(6).hex())
        try:
            os.mkdir(path, 0o700)
            return path
        except OSError:
            continue
    raise Violation("no directory can be written to")
