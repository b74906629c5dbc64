"""Boot: take the channel, answer HELLO, then hand over to the supervisor.

Everything up to READY is what a cold start waits for, so this imports next to nothing: `json` alone costs more than
the rest of the boot.
"""

import os
import sys

from .bash_shell import Shell
from .channel import ChannelClosed, take_standard_streams
from .frames import HELLO, HELLO_BYTES, READY, Violation

RUNTIMES = ("python", "bash")


def main(arguments):
    channel = take_standard_streams()
    _enter_home()
    shell = None
    try:
        runtime = _runtime(arguments)
        shell = Shell() if runtime == "bash" else None
        _greet(channel, runtime, shell)
        from .supervisor import serve

        serve(channel, shell)
    except ChannelClosed:
        _leave(shell, 0)
    except Violation as violation:
        sys.stderr.write("cronium agent: %s\n" % violation)
        sys.stderr.flush()
        _leave(shell, 1)


def _leave(shell, status):
    if shell:
        shell.kill()
    os._exit(status)


def _enter_home():
    try:
        os.chdir("/tmp")
    except OSError:
        pass


def _runtime(arguments):
    if len(arguments) == 2 and arguments[0] == "--runtime" and arguments[1] in RUNTIMES:
        return arguments[1]
    raise Violation("usage: agent.py --runtime python|bash")


def _greet(channel, runtime, shell):
    _, length = channel.read_header({HELLO: HELLO_BYTES})
    hello = channel.read_payload(length)
    if hello != b'{"protocol":1}':
        _check_hello(hello)
    # Asked only now: the wait for bash and the one for HELLO overlap.
    version = shell.version() if shell else "%d.%d.%d" % sys.version_info[:3]
    ready = '{"protocol":1,"runtime":"%s","runtimeVersion":"%s","features":["variables"]}' % (runtime, version)
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
