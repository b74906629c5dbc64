"""Hands a call to the bash that waits for it: leaves files, and tells bash where to go on."""

import json
import os
import re

from . import environment, frames, processes
from .bash_shell import BASH, BIN
from .response import body_bytes

NAMES_OUTPUT = re.compile(r"\bcronium[ \t]+output\b")
# An assignment gives these to a shell that runs as the environment gives them to one that starts. The others mean something to bash
# itself or to the C library, which have read them by then, or are no names to a shell.
ASSIGNABLE = re.compile(
    r"(?!BASH|LD_|COMP_|EPOCH|HIST|(?:S?RANDOM|SHELLOPTS|POSIXLY_CORRECT|GLIBC_TUNABLES|ENV|E?UID|PPID|GROUPS|IFS|PS[124]|SECONDS|LINENO"
    r"|FUNCNAME|DIRSTACK|IGNOREEOF|ignoreeof|OPT(?:ARG|ERR|IND)|SHLVL|PWD|OLDPWD|TMOUT|GLOBIGNORE|EXECIGNORE|PIPESTATUS|TZDIR|LOCPATH|_)$)"
    r"[A-Za-z_][A-Za-z0-9_]*"
)
# Of another locale that is not there bash complains, in other words when it starts than later.
LOCALE = re.compile(r"LANG|LC_[A-Z]+")
LOCALES = ("", "C", "POSIX", "C.UTF-8", "C.utf8")
# What `begin` ends with; without it, it has been cut short.
WHOLE = 42
# Long enough for most answers to be out, so that ending takes the processor from none of them.
REST_SECONDS = 0.05


def attend(shell, down, up):
    """Waits for the call in a process of its own, and ends when bash has it: what is large or hostile stays out of the supervisor."""
    from .worker import Uplink, become_ordinary, receive

    become_ordinary()
    processes.prefer_as_victim(shell.pid)
    _rehearse()
    pipe = _open_pipe(shell)  # before the other end is closed: bash is not to find an end
    os.close(shell.begin)
    call = receive(down)
    # Not earlier: until it has passed the call on, the supervisor may be who has the pipe open; and what nobody has open loses what was
    # written to it.
    os.close(_open_pipe(shell))
    begin = _hand_over(call, shell, Uplink(up))
    del call
    os.close(up)  # bash runs from here on: whoever looks into this process finds no way to the supervisor
    _write_all(pipe, begin)
    os.close(pipe)
    _rest()


def _open_pipe(shell):
    """An end to write to; waits until somebody can read."""
    return os.open(shell.directory + "/begin", os.O_WRONLY)


def _rest():
    import select

    select.select([], [], [], REST_SECONDS)
    os._exit(0)


def _rehearse():
    """Runs the ways of a call once while nobody waits."""
    NAMES_OUTPUT.search("cronium output")
    _is_assignable("NAME", "")
    json.dumps(body_bytes({"body": "x"}).decode())


def _hand_over(call, shell, uplink):
    """Leaves script, body and event, and announces what is about to run. Returns what bash has to do before its script."""
    merged = NAMES_OUTPUT.search(call["code"]) is not None
    try:
        _leave_files(call, shell)
        begin = _begin(environment.of_call(call), shell, merged)
    except (OSError, ValueError) as error:
        begin = "echo %s >&2\nexit 126\n" % _quoted("cannot start the script: %s" % error)
    uplink.send_json(
        frames.PLAN,
        {
            "limits": call["limits"],
            "script": True,
            "stdout": "merged" if merged else "streamed",
            "output": shell.directory + "/output" if merged else None,
        },
    )
    return begin.encode("utf-8", "replace")


def _leave_files(call, shell):
    event = json.dumps(call.get("event"), ensure_ascii=False, separators=(",", ":"))
    _leave(shell.script, call["code"].encode("utf-8", "replace"))
    _leave(shell.directory + "/body", body_bytes(call.get("event")) or b"")
    _leave(shell.directory + "/event.json", event.encode("utf-8", "replace"))


def _begin(env, shell, merged):
    env.pop("CRONIUM_EVENT_FILE", None)
    if "PATH" in env:
        env["PATH"] = BIN + ":" + env["PATH"]
    lines = ["exec <%s%s" % (_quoted(shell.directory + "/body"), " >&2" if merged else "")]
    if all(_is_assignable(*variable) for variable in env.items()):
        lines += ["export %s=%s" % (name, _quoted(value)) for name, value in env.items()]
        lines.append("return %d" % WHOLE)
    else:
        words = [_quoted("%s=%s" % variable) for variable in env.items()]
        lines.append("exec /usr/bin/env -- %s %s %s" % (" ".join(words), BASH, _quoted(shell.script)))
    # As one command, so that nothing is done of what has been cut short.
    return "{\n%s\n}\n" % "\n".join(lines)


def _is_assignable(name, value):
    if LOCALE.fullmatch(name) and value not in LOCALES:
        return False
    return ASSIGNABLE.fullmatch(name) is not None


def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def _leave(path, data):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


def _write_all(descriptor, data):
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
