"""Reads what `cronium output` of a Bash script has left."""

import json
import os
import stat

from .frames import TooLarge


def read_output(path, limit_bytes):
    """RESULT's payload, or None when there was no output. Raises TooLarge."""
    data = read_file(path, limit_bytes)
    if data is None:
        return None
    payload = as_json(data)
    if len(payload) > limit_bytes:
        raise TooLarge
    return payload


def read_file(path, limit_bytes):
    """What is in a file of the script's, or None; the script can have put anything in its place. Raises TooLarge."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise TooLarge
    return data


def as_json(data):
    """The text itself if it is JSON, so that numbers keep their digits; else the text as a JSON string."""
    text = data.decode("utf-8", "replace")
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_refuse)
        return text.strip().encode()
    except (ValueError, RecursionError):
        return json.dumps(text, ensure_ascii=False).encode()


def _refuse(name):
    raise ValueError(name)
