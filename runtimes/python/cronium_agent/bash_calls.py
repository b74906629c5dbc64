"""What `cronium get` and its like in a Bash script ask for: files in the script's directory, announced by lines in a pipe.

A shell has neither sockets nor a way to frame what several processes write, but a short line in a pipe stays whole.
"""

import json
import os

from . import calls
from .bash_output import as_json, read_file
from .frames import KIB, TooLarge, Violation

VALUE_BYTES = 64 * KIB
REQUEST_BYTES = VALUE_BYTES + KIB
# Of one announcement, and of those that wait for their turn.
LINE_BYTES = 16
WAITING = 1000

FOUND, NONE, FAILED = b"0", b"1", b"2"


class Refused(Exception):
    """The request makes no sense; the script is told why."""

    def __init__(self, code, message):
        super().__init__(message)
        self.answer = calls.refusal(code, message)


class Desk:
    """Takes announcements and serves one after the other."""

    def __init__(self, directory):
        self._directory = directory
        self._line = b""
        self._waiting = []
        path = directory + "/calls"
        os.mkfifo(path, 0o600)
        # For writing too: then it never comes to an end while no script has it open.
        self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    @property
    def is_waiting(self):
        return len(self._waiting) > 0

    def announce(self, chunk):
        """Raises Violation when it is no announcement: everything in the sandbox can write to the pipe."""
        *lines, self._line = (self._line + chunk).split(b"\n")
        if len(self._line) > LINE_BYTES or len(self._waiting) + len(lines) > WAITING:
            raise Violation("the function wrote to the agent's pipe")
        for line in lines:
            if not line.isdigit() or len(line) > LINE_BYTES:
                raise Violation("the function wrote to the agent's pipe")
            self._waiting.append("%s/call.%s" % (self._directory, line.decode()))

    def serve(self, ask):
        """Takes the next one. `ask(request, deliver)` sends it."""
        path = self._waiting.pop(0)
        raw = False
        try:
            request, raw = _request(path)
        except Refused as refused:
            _deliver(path, refused.answer, raw)
            return
        ask(request, lambda answer: _deliver(path, answer, raw))


def _request(path):
    """The request in a file, and whether a text is wanted without its quotes."""
    try:
        data = read_file(path, REQUEST_BYTES)
    except TooLarge:
        raise _too_large() from None
    if data is None or data.count(b"\0") < 2:
        raise Refused("invalid_value", "the request cannot be read")
    verb, name, value = data.split(b"\0", 2)
    request = {"method": "variable." + verb.decode("ascii", "replace"), "name": name.decode("utf-8", "replace")}
    if verb == b"getraw":
        return {**request, "method": "variable.get"}, True
    if verb == b"set":
        value = as_json(value)
        if len(value) > VALUE_BYTES:
            raise _too_large()
        request["value"] = value.decode("utf-8", "replace")
    if verb == b"increment":
        request["by"] = _number(value)
    return request, False


def _too_large():
    return Refused("value_too_large", "the value of a variable is at most %d bytes as JSON" % VALUE_BYTES)


def _number(text):
    try:
        number = json.loads(text, parse_constant=str)
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            return number
    except (ValueError, RecursionError):
        pass
    raise Refused("invalid_value", "a variable is incremented by a number")


def _deliver(path, answer, raw):
    """Leaves the answer in a file and says in one line of a pipe that it is there. The script may be gone, and its files too."""
    reply = json.loads(answer)
    if not reply["ok"]:
        status, text = FAILED, "%(message)s (%(code)s)" % reply["error"]
    elif "value" in reply:
        status, text = FOUND, _shown(reply["value"], raw)
    else:
        status, text = (NONE if "existed" not in reply and "revision" not in reply else FOUND), ""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(path + ".answer", flags, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "replace"))
        reply_pipe = os.open(path + ".reply", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        os.write(reply_pipe, status + b"\n")
    except OSError:
        pass
    os.close(reply_pipe)


def _shown(value, raw):
    if raw:
        text = json.loads(value)
        if isinstance(text, str):
            return text + "\n"
    return value + "\n"
