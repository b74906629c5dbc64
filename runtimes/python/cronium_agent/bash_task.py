"""Turns the worker into bash, running one script."""

import json
import os
import re
import signal

from . import frames
from .frames import Violation
from .response import body_bytes

BASH = "/bin/bash"
BIN = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "bash", "bin")
NAMES_OUTPUT = re.compile(r"\bcronium[ \t]+output\b")
# Read before the function's environment takes the place of the agent's.
PARENTS = (os.environ.get("TMPDIR"), "/tmp", "/run")


def run(call, uplink, outputs, directory):
    """Writes script, body and event into the directory and becomes bash. Does not return."""
    merged = NAMES_OUTPUT.search(call["code"]) is not None
    uplink.send_json(
        frames.PLAN,
        {
            "limits": call["limits"],
            "script": True,
            "stdout": "merged" if merged else "streamed",
            "output": directory + "/output" if merged else None,
        },
    )
    outputs.apply(not merged)
    try:
        _prepare(call, directory)
        _become_bash(directory + "/main.sh")
    except (OSError, ValueError) as error:
        os.write(2, ("cannot start the script: %s\n" % error).encode())
        os._exit(126)


def rehearse():
    """Runs the ways of a call once while nobody waits, and has bash in the page cache."""
    NAMES_OUTPUT.search("cronium output")
    json.dumps(body_bytes({"body": "x"}).decode())
    os.access(BASH, os.X_OK)


def make_directory():
    """A directory of its own in the first place that can be written to: the root of a sandbox is read-only."""
    for parent in filter(None, PARENTS):
        path = "%s/cronium-%s" % (parent, os.urandom(6).hex())
        try:
            os.mkdir(path, 0o700)
            return path
        except OSError:
            continue
    raise Violation("no directory can be written to")


def _prepare(call, directory):
    body = body_bytes(call.get("event")) or b""
    event = json.dumps(call.get("event"), ensure_ascii=False, separators=(",", ":"))
    _write(directory + "/main.sh", call["code"].encode("utf-8", "replace"))
    _write(directory + "/body", body)
    _write(directory + "/event.json", event.encode("utf-8", "replace"))
    stdin = os.open(directory + "/body", os.O_RDONLY)
    os.dup2(stdin, 0)
    os.close(stdin)
    os.environ["CRONIUM_EVENT_FILE"] = directory + "/event.json"
    os.environ["PATH"] = BIN + ":" + os.environ["PATH"]


def _write(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _become_bash(script):
    # Python ignores these, and ignoring would be inherited.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(BASH, ["bash", script], dict(os.environ))
