"""An agent that has been replaced by the function's own code: it greets as it should, and hands the channel to whatever is called."""

import json
import os
import sys
import time

HEAD, DATA, LOG, RESULT, END = 0x82, 0x83, 0x84, 0x85, 0x86
OK = {"status": "ok", "exit": None, "droppedLogBytes": 0}


def raw(data):
    while data:
        data = data[os.write(1, data) :]


def frame(kind, payload=b"", length=None):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return (len(body) if length is None else length).to_bytes(4, "big") + bytes([kind]) + body


def send(kind, payload=b"", length=None):
    raw(frame(kind, payload, length))


def receive():
    head = b""
    while len(head) < 5:
        head += os.read(0, 5 - len(head)) or sys.exit(0)
    left, body = int.from_bytes(head[:4], "big"), b""
    while len(body) < left:
        body += os.read(0, left - len(body)) or sys.exit(0)
    return json.loads(body)


receive()
runtime = sys.argv[sys.argv.index("--runtime") + 1]
send(0x81, {"protocol": 1, "runtime": runtime, "runtimeVersion": "0"})
exec(receive()["code"])
