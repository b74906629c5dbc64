"""Boot: take the channel, answer HELLO, then hand over to the supervisor.

Everything up to READY is what a cold start waits for, so this imports next to nothing: `json` alone costs more than
the rest of the boot.
"""

import os
import sys

from .channel import ChannelClosed, take_standard_streams
from .frames import HELLO, HELLO_BYTES, READY, Violation


def main(arguments):
    channel = take_standard_streams()
    try:
        runtime = _runtime(arguments)
        version = _VERSIONS[runtime]()
        _greet(channel, runtime, version)
        from .supervisor import serve

        serve(channel, runtime)
    except ChannelClosed:
        os._exit(0)
    except Violation as violation:
        sys.stderr.write("cronium agent: %s\n" % violation)
        sys.stderr.flush()
        os._exit(1)


def _runtime(arguments):
    if len(arguments) == 2 and arguments[0] == "--runtime" and arguments[1] in _VERSIONS:
        return arguments[1]
    raise Violation("usage: agent.py --runtime python|bash")


def _greet(channel, runtime, version):
    _, length = channel.read_header({HELLO: HELLO_BYTES})
    hello = channel.read_payload(length)
    if hello != b'{"protocol":1}':
        _check_hello(hello)
    ready = '{"protocol":1,"runtime":"%s","runtimeVersion":"%s","features":["variables"]}' % (runtime, version())
    channel.queue(READY, ready.encode())
    channel.flush()


def _check_hello(payload):
    import json

    try:
        hello = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise Violation("HELLO is not JSON") from error
    if not isinstance(hello, dict) or hello.get("protocol") != 1:
        raise Violation("HELLO asks for another protocol than 1")


def _python_version():
    return lambda: "%d.%d.%d" % sys.version_info[:3]


def _bash_version():
    """Starts bash at once and reads its answer only when HELLO has come: the two waits overlap."""
    reading, writing = os.pipe()
    pid = os.posix_spawn(
        "/bin/bash",
        ["bash", "--norc", "--noprofile", "-c", "printf %s ${BASH_VERSION%%[!0-9.]*}"],
        {},
        file_actions=[(os.POSIX_SPAWN_DUP2, writing, 1)],
    )
    os.close(writing)

    def answer():
        version = os.read(reading, 64).decode("ascii", "replace")
        os.close(reading)
        os.waitpid(pid, 0)
        return version

    return answer


_VERSIONS = {"python": _python_version, "bash": _bash_version}
