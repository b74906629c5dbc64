"""Turns what a function returned into frames."""

import base64
import json

from . import frames
from .frames import TooLarge

BYTES = (bytes, bytearray, memoryview)
BINARY = "application/octet-stream"
TEXT = "text/plain; charset=utf-8"


class Invalid(Exception):
    """The function's answer is none."""


def result(value, limit_bytes):
    """RESULT's payload; raises Invalid or TooLarge."""
    body = value.get("body") if isinstance(value, dict) else value
    if isinstance(body, str) and len(body) > limit_bytes:
        raise TooLarge  # before the copies that encoding makes
    try:
        try:
            payload = _dumps(value, False).encode()
        except UnicodeEncodeError:
            payload = _dumps(value, True).encode()  # lone surrogates exist in JSON only as escapes
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid("the function's answer is no JSON: %s" % error) from error
    if len(payload) > limit_bytes:
        raise TooLarge
    return payload


def _dumps(value, ascii_only):
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"))


def is_iterator(value):
    return hasattr(type(value), "__next__")


def is_async_iterator(value):
    return hasattr(type(value), "__anext__")


def is_head(value):
    return isinstance(value, dict) and "statusCode" in value


class Responder:
    """Sends one response: whole, or in chunks."""

    def __init__(self, uplink, limits):
        self._uplink = uplink
        self._limits = limits
        self._begun = False

    def whole(self, value):
        """Returns the frames of a value that is no stream; bytes become HEAD and DATA."""
        if isinstance(value, BYTES):
            self.chunk(value)
            return []
        if is_head(value) and isinstance(value.get("body"), BYTES):
            self.head(value, BINARY)
            self.chunk(value["body"])
            return []
        return [(frames.RESULT, result(value, self._limits["responseBytes"]))]

    def head(self, value, default_type=None):
        self._begun = True
        self._uplink.send((frames.HEAD, encode_head(value, default_type)))

    def chunk(self, value):
        """Sends one chunk of a stream at once."""
        if not self._begun and is_head(value):
            self.head(value)
            value = value.get("body") or b""
        if isinstance(value, str):
            data, kind = value.encode("utf-8", "replace"), TEXT
        elif isinstance(value, BYTES):
            data, kind = bytes(value), BINARY
        else:
            raise Invalid("a chunk of a stream is text or bytes, not %s" % type(value).__name__)
        if not self._begun:
            self.head({}, kind)
        for start in range(0, len(data), frames.DATA_BYTES):
            self._uplink.send((frames.DATA, data[start : start + frames.DATA_BYTES]))

    def end(self):
        """Ends a stream; one without chunks still has a head."""
        if not self._begun:
            self.head({}, TEXT)


def encode_head(value, default_type):
    """HEAD's payload from a response object; raises Invalid."""
    status = value.get("statusCode", 200)
    if isinstance(status, str) and status.isdigit():
        status = int(status)
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
        raise Invalid("statusCode is not an HTTP status")
    headers = value.get("headers") or {}
    cookies = value.get("cookies") or []
    if not isinstance(headers, dict) or not isinstance(cookies, (list, tuple)):
        raise Invalid("headers are an object, cookies a list")
    named = {str(name).lower(): _header(one) for name, one in headers.items() if one is not None}
    if default_type:
        named.setdefault("content-type", default_type)
    head = {"statusCode": status, "headers": named, "cookies": [str(one) for one in cookies]}
    payload = json.dumps(head, separators=(",", ":")).encode()
    if len(payload) > frames.HEAD_BYTES:
        raise Invalid("the headers are over %d bytes" % frames.HEAD_BYTES)
    return payload


def _header(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(one) for one in value)
    return str(value)


def body_bytes(event):
    """The request body of an event as bytes, or None."""
    body = event.get("body") if isinstance(event, dict) else None
    if body is None:
        return None
    if not isinstance(body, str):
        return json.dumps(body).encode()
    if event.get("isBase64Encoded"):
        return base64.b64decode(body)
    return body.encode("utf-8", "replace")
