"""Carries what the function asks to the gateway and the answers back, one at a time."""

import json
import os
import select

from . import frames
from .channel import ChannelClosed
from .frames import HEADER_BYTES, Violation, read_header

METHODS = ("variable.get", "variable.set", "variable.delete", "variable.increment")


class Calls:
    """Numbers CALLs, holds them to the call's limit, and knows whose REPLY comes next."""

    def __init__(self, channel, allowed):
        self._channel = channel
        self._allowed = allowed
        self._count = 0
        self._deliver = None  # of the CALL under way: takes the REPLY's payload
        self._buffer = bytearray()

    @property
    def is_waiting(self):
        return self._deliver is not None

    def ask(self, request, deliver):
        """Sends a request, or refuses it; `deliver` gets the answer as JSON. Raises Violation: function code wrote it."""
        if self._deliver is not None:
            raise Violation("a call before the answer to the last one")
        if not isinstance(request, dict) or request.get("method") not in METHODS:
            raise Violation("a call that asks for nothing")
        if self._allowed == 0:
            return deliver(refusal("not_available", "variables are not available here"))
        if self._count == self._allowed:
            message = "an invocation may use variables %d times" % self._allowed
            return deliver(refusal("too_many_calls", message))
        self._count += 1
        payload = json.dumps({"id": 0, **request, "id": self._count}, separators=(",", ":")).encode()
        if len(payload) > frames.CALL_BYTES:
            raise Violation("a call that is too large")
        self._deliver = deliver
        self._channel.queue(frames.CALL, payload)

    def take(self, chunk):
        """Bytes of the gateway. Raises Violation when they are no REPLY that is waited for, ChannelClosed when it is gone."""
        if not chunk and self._buffer:
            raise Violation("the channel closed within a frame")
        if not chunk:
            raise ChannelClosed
        self._buffer += chunk
        while len(self._buffer) >= HEADER_BYTES:
            length, kind = read_header(self._buffer)
            if kind != frames.REPLY or self._deliver is None:
                raise Violation("a frame after INVOKE")
            if length > frames.REPLY_BYTES:
                raise Violation("frame 0x%02x over its limit: %d bytes" % (kind, length))
            if len(self._buffer) < HEADER_BYTES + length:
                return
            payload = bytes(self._buffer[HEADER_BYTES : HEADER_BYTES + length])
            del self._buffer[: HEADER_BYTES + length]
            if _id_of(payload) != self._count:
                raise Violation("a REPLY to something else")
            deliver, self._deliver = self._deliver, None
            deliver(payload)


def refusal(code, message):
    """An answer of the agent's own."""
    return json.dumps({"ok": False, "error": {"code": code, "message": message}}).encode()


def _id_of(payload):
    try:
        return json.loads(payload)["id"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise Violation("a REPLY that does not parse") from error


class Answers:
    """The way back to a Python worker, which may not read: so nothing here waits for it."""

    def __init__(self, descriptor, poll):
        self.descriptor = descriptor
        self._poll = poll
        self._out = bytearray()
        os.set_blocking(descriptor, False)

    def send(self, payload):
        self._out += len(payload).to_bytes(4, "big") + payload
        self.flush()

    def flush(self):
        try:
            while self._out:
                with memoryview(self._out) as view:
                    count = os.write(self.descriptor, view)
                del self._out[:count]
        except BlockingIOError:
            self._poll.register(self.descriptor, select.POLLOUT)
            return
        except OSError:
            self._out.clear()  # the worker is gone, or has closed its end
        try:
            self._poll.unregister(self.descriptor)
        except KeyError:
            pass
