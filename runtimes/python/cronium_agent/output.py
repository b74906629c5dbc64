"""Where the function's standard output goes: the log, a response that is held, or one that is streamed."""

import time

from .frames import DATA, DATA_BYTES, HEAD, KIB, LOG, MESSAGE_BYTES, TooLarge

HOLD_SECONDS = 0.1
HOLD_BYTES = 64 * KIB
TEXT_HEAD = b'{"statusCode":200,"headers":{"content-type":"text/plain; charset=utf-8"},"cookies":[]}'


class Logs:
    """Sends LOG up to a number of bytes, then counts."""

    def __init__(self, channel, limit_bytes):
        self._channel = channel
        self._left = limit_bytes
        self._tail = b""
        self.dropped_bytes = 0

    def write(self, chunk):
        self._tail = (self._tail + chunk[-MESSAGE_BYTES:])[-MESSAGE_BYTES:]
        kept = chunk[: self._left]
        self._left -= len(kept)
        self.dropped_bytes += len(chunk) - len(kept)
        for start in range(0, len(kept), DATA_BYTES):
            self._channel.queue(LOG, kept[start : start + DATA_BYTES])

    @property
    def last_line(self):
        """The last line printed that is not blank, as text."""
        lines = self._tail.rstrip().rsplit(b"\n", 1)
        return lines[-1].strip().decode("utf-8", "replace")


class Stream:
    """HEAD and DATA to the gateway, at most `limit_bytes` of data."""

    def __init__(self, channel, limit_bytes):
        self._channel = channel
        self._left = limit_bytes
        self.begun = False

    def head(self, payload):
        self.begun = True
        self._channel.queue(HEAD, payload)

    def data(self, chunk):
        if len(chunk) > self._left:
            raise TooLarge
        self._left -= len(chunk)
        for start in range(0, len(chunk), DATA_BYTES):
            self._channel.queue(DATA, chunk[start : start + DATA_BYTES])


class Merged:
    """Standard output shares the log's pipe: nothing comes here."""

    due = None

    def __init__(self, logs):
        self.write = logs.write

    def finish(self, is_response):
        pass


class Held:
    """A script's output, kept until it is known whether it is the response."""

    due = None

    def __init__(self, logs, stream, limit_bytes):
        self._logs = logs
        self._stream = stream
        self._limit = limit_bytes
        self._chunks = []
        self._total = 0

    def write(self, chunk):
        # Beyond the limit it cannot be a response any more; the log needs no more than that either.
        if self._total <= self._limit:
            self._chunks.append(chunk)
        else:
            self._logs.dropped_bytes += len(chunk)
        self._total += len(chunk)

    def finish(self, is_response):
        """Sends what was held: as the response, or as log. Raises TooLarge."""
        if is_response and self._total > self._limit:
            raise TooLarge
        held = b"".join(self._chunks)
        self._chunks = []
        if not is_response:
            self._logs.write(held)
        elif held:
            self._stream.head(TEXT_HEAD)
            self._stream.data(held)


class Streamed:
    """Output that is the response while it is printed, after a hold in which an error can still be answered."""

    def __init__(self, logs, stream):
        self._logs = logs
        self._stream = stream
        self._held = b""
        self.due = None  # monotonic time in seconds at which the hold ends

    def write(self, chunk):
        if self._stream.begun:
            return self._stream.data(chunk)
        self._held += chunk
        if len(self._held) >= HOLD_BYTES:
            self.begin()
        elif self.due is None:
            self.due = time.monotonic() + HOLD_SECONDS

    def begin(self):
        self.due = None
        self._stream.head(TEXT_HEAD)
        held, self._held = self._held, b""
        self._stream.data(held)

    def finish(self, is_response):
        self.due = None
        if not self._held:
            return
        if is_response:
            self.begin()
        else:
            self._logs.write(self._held)
