"""The function's side of variables: asks the supervisor, which asks the gateway."""

import _thread
import json
import os

from . import frames

VALUE_BYTES = 64 * frames.KIB
NAME_CHARS = 128
# Of somebody else's changes in a row, until an update is given up.
ATTEMPTS = 100


class VariableError(Exception):
    """A variable could not be read or written; `code` says why."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Variables:
    """What the module `cronium` has of variables. Calls from several threads take turns."""

    def __init__(self, uplink, down, allowed):
        self._uplink = uplink
        self._down = down
        self._allowed = allowed
        self._pid = os.getpid()
        self._lock = _thread.allocate_lock()
        self._interrupted = False

    def install(self, module):
        module.VariableError = VariableError
        module.getVariable = module.get_variable = self.get
        module.setVariable = module.set_variable = self.set
        module.deleteVariable = module.delete_variable = self.delete
        module.incrementVariable = module.increment_variable = self.increment
        module.updateVariable = module.update_variable = self.update

    def get(self, name, default=None):
        """The value of a variable; `default` where there is none."""
        answer = self._ask("get", name)
        return json.loads(answer["value"]) if "value" in answer else default

    def set(self, name, value):
        """Keeps a value that JSON can hold, at most 64 KiB of it."""
        self._ask("set", name, value=_encode(value))

    def delete(self, name):
        """Removes a variable; False where there is none."""
        return self._ask("delete", name)["existed"]

    def increment(self, name, by=1):
        """Adds to a number, which is 0 where there is none, in one step; returns the sum."""
        if isinstance(by, bool) or not isinstance(by, (int, float)) or by != by or abs(by) == float("inf"):
            raise VariableError("invalid_value", "a variable is incremented by a number")
        return json.loads(self._ask("increment", name, by=by)["value"])

    def update(self, name, change, default=None):
        """Sets a variable to what `change` makes of its value, again if somebody else was faster; returns the new value."""
        for _ in range(ATTEMPTS):
            before = self._ask("get", name)
            value = change(json.loads(before["value"]) if "value" in before else default)
            try:
                self._ask("set", name, value=_encode(value), revision=before.get("revision"))
                return value
            except VariableError as error:
                if error.code != "conflict":
                    raise
        raise VariableError("conflict", "the variable %s is changed by others all the time" % name)

    def _ask(self, method, name, **more):
        if os.getpid() != self._pid:
            raise VariableError("not_available", "a forked process has no variables")
        if not self._allowed:
            raise VariableError("not_available", "variables are not available here")
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS:
            raise VariableError("invalid_name", "the name of a variable is a text of 1 to %d characters" % NAME_CHARS)
        request = json.dumps({"method": "variable." + method, "name": name, **more}).encode()
        with self._lock:
            # A signal's handler may raise in the middle: what comes then is the answer to something else.
            if self._interrupted:
                raise VariableError("unavailable", "an earlier use of variables was interrupted")
            self._interrupted = True
            try:
                self._uplink.send((frames.CALL, request))
                answer = self._receive()
            except OSError as error:
                raise VariableError("unavailable", "the way to the gateway is closed: %s" % error) from None
            self._interrupted = False
        if answer.get("ok") is True:
            return answer
        raise VariableError(answer["error"]["code"], answer["error"]["message"])

    def _receive(self):
        length = int.from_bytes(self._read_exactly(4), "big")
        return json.loads(self._read_exactly(length))

    def _read_exactly(self, length):
        data = b""
        while len(data) < length:
            chunk = os.read(self._down, length - len(data))
            if not chunk:
                os._exit(1)  # the supervisor is gone
            data += chunk
        return data


def _encode(value):
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # lone surrogates exist only as escapes
            size = len(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise VariableError("invalid_value", "the value of a variable is no JSON: %s" % error) from None
    if size > VALUE_BYTES:
        raise VariableError("value_too_large", "the value of a variable is at most %d bytes as JSON" % VALUE_BYTES)
    return text
