"""The agent's ends of the channel to the gateway."""

import os
import select

from .frames import HEADER_BYTES, Violation, encode, read_header


class ChannelClosed(Exception):
    """The gateway has closed the channel between two frames."""


def take_standard_streams():
    """Moves the channel to descriptors that no other process inherits; 0 and 1 become /dev/null.

    Standard error stays: it is no part of the channel, and shows why a sandbox did not boot.
    """
    reading, writing = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return Channel(reading, writing)


class Channel:
    """Reads frames of the gateway and queues frames to it, without ever blocking on a write."""

    def __init__(self, reading, writing):
        self.reading = reading
        self.writing = writing
        self._out = bytearray()
        os.set_blocking(writing, False)

    def close(self):
        os.close(self.reading)
        os.close(self.writing)

    @property
    def pending_bytes(self):
        return len(self._out)

    def queue(self, kind, payload):
        self._out += encode(kind, payload)

    def flush(self):
        """Writes what fits now. Raises ChannelClosed when nobody reads any more."""
        try:
            while self._out:
                with memoryview(self._out) as view:
                    count = os.write(self.writing, view)
                del self._out[:count]
        except BlockingIOError:
            pass
        except OSError as error:
            raise ChannelClosed from error

    def read_header(self, limits):
        """Waits for a header and returns (type, length in bytes). `limits` maps the allowed types to sizes in bytes."""
        header = self._read_exactly(HEADER_BYTES, may_close=True)
        length, kind = read_header(header)
        if kind not in limits:
            raise Violation("frame type 0x%02x out of order" % kind)
        if length > limits[kind]:
            raise Violation("frame 0x%02x over its limit: %d bytes" % (kind, length))
        return kind, length

    def read_payload(self, length):
        return self._read_exactly(length, may_close=False)

    def read_some(self, most):
        """Waits for at most `most` bytes; empty when the channel is closed."""
        while True:
            try:
                return os.read(self.reading, most)
            except BlockingIOError:
                # Both ends may be one socket, and then share the flag that the writing end needs.
                select.select([self.reading], [], [])
            except ConnectionResetError:
                return b""

    def _read_exactly(self, length, may_close):
        data = b""
        while len(data) < length:
            chunk = self.read_some(length - len(data))
            if not chunk and may_close and not data:
                raise ChannelClosed
            if not chunk:
                raise Violation("the channel closed within a frame")
            data += chunk
        return data
