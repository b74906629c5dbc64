"""Frames as runtimes/PROTOCOL.md defines them, and the few that only pass between agent and worker."""

HELLO = 0x01
INVOKE = 0x02
REPLY = 0x03
READY = 0x81
HEAD = 0x82
DATA = 0x83
LOG = 0x84
RESULT = 0x85
END = 0x86
CALL = 0x87

# Worker to supervisor only. PLAN comes before any code of the function has run.
PLAN = 0x10
HANDLER_FOUND = 0x11

KIB = 1024
MIB = 1024 * 1024

HEADER_BYTES = 5
HELLO_BYTES = 4 * KIB
INVOKE_BYTES = 64 * MIB
HEAD_BYTES = 64 * KIB
DATA_BYTES = MIB
END_BYTES = 256 * KIB
CALL_BYTES = 256 * KIB
REPLY_BYTES = 256 * KIB

TYPE_BYTES = KIB
MESSAGE_BYTES = 8 * KIB
TRACE_BYTES = 64 * KIB


class Violation(Exception):
    """The other side broke the protocol."""


def encode(kind, payload):
    """One frame as bytes. `payload` is bytes-like."""
    return len(payload).to_bytes(4, "big") + bytes((kind,)) + payload


def read_header(header):
    """The length in bytes and the type that a header of 5 bytes names."""
    return int.from_bytes(header[:4], "big"), header[4]


class TooLarge(Exception):
    """The response is over its limit."""


class Decoder:
    """Cuts a byte stream into frames; `limits` maps each allowed type to its size in bytes."""

    def __init__(self, limits):
        self._limits = limits
        self._buffer = bytearray()

    def feed(self, data):
        """Yields (type, payload) of each frame that `data` completes; raises Violation."""
        self._buffer += data
        while len(self._buffer) >= HEADER_BYTES:
            length, kind = read_header(self._buffer)
            if kind not in self._limits:
                raise Violation("unknown frame type 0x%02x" % kind)
            if length > self._limits[kind]:
                raise Oversized(kind)
            if len(self._buffer) < HEADER_BYTES + length:
                return
            payload = bytes(memoryview(self._buffer)[HEADER_BYTES : HEADER_BYTES + length])
            del self._buffer[: HEADER_BYTES + length]
            yield kind, payload

    @property
    def pending(self):
        """Whether a frame has begun and not ended."""
        return len(self._buffer) > 0


class Oversized(Violation):
    """A frame over its limit."""

    def __init__(self, kind):
        super().__init__("frame 0x%02x over its limit" % kind)
        self.kind = kind
