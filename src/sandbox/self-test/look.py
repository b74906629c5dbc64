"""Tries, from inside a sandbox, what nobody in one may do. Each function raises Reached with what it got, or returns what stopped it."""

import ctypes
import errno
import glob
import json
import os
import platform
import signal
import socket
import sys
import time


class Reached(Exception):
    pass


# By these a kernel says that there is no way; by anything else, that somebody could have answered.
NO_WAY = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
ARM = platform.machine() == "aarch64"
NUMBERS = {name: numbers[ARM] for name, numbers in {"mount": (165, 40), "ptrace": (101, 117), "bpf": (321, 280), "unshare": (272, 97)}.items()}
PTRACE_SEIZE, BPF_PROG_LOAD, CLONE_NEWUSER = 0x4206, 5, 0x10000000


def name_of(error):
    return errno.errorcode.get(error.errno, str(error.errno))


def connects(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as one:
            one.settimeout(0.5)
            one.connect((host, port))
    except socket.timeout:
        raise Reached(f"{host} did not answer, but something was sent to it")
    except OSError as error:
        if error.errno in NO_WAY:
            return name_of(error)
        raise Reached(f"{host} ({name_of(error)})")
    raise Reached(host)


def routes():
    """The interface and the gateway of each."""
    try:
        with open("/proc/net/route") as file:
            lines = [line.split() for line in list(file)[1:]]
    except OSError:
        return []
    return [(words[0], socket.inet_ntoa(int(words[2], 16).to_bytes(4, "little"))) for words in lines]


def network(_event):
    for interface, _ in routes():
        raise Reached(f"a route by {interface}")
    connects("1.1.1.1", 53)
    return connects("2606:4700:4700::1111", 53)


def metadata(_event):
    return connects("169.254.169.254", 80)


def bridge(event):
    hosts = [*event["bridges"], *(gateway for _, gateway in routes() if gateway != "0.0.0.0")]
    return ", ".join(sorted({connects(host, 2375) for host in hosts}))


def writes(event):
    found, said = [], set()
    for folder in event["readOnly"]:
        path = os.path.join(folder, ".self-test")
        try:
            with open(path, "w"):
                found.append(folder)
            os.unlink(path)
        except OSError as error:
            said.add(name_of(error))
    if found:
        raise Reached(", ".join(found))
    return ", ".join(sorted(said))


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    words = (ctypes.c_long(word) if isinstance(word, int) else word for word in arguments)
    if libc.syscall(ctypes.c_long(NUMBERS[name]), *words) >= 0:
        raise Reached(f"{name} was served")
    number = ctypes.get_errno()
    if number not in REFUSED:
        # Whoever looks at the arguments has let the caller through.
        raise Reached(f"{name} was served ({errno.errorcode[number]})")
    return errno.errorcode[number]


def mount(_event):
    return call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


def bpf(_event):
    return call("bpf", BPF_PROG_LOAD, b"\0" * 128, 128)


def ptrace(_event):
    return ", ".join(sorted({call("ptrace", PTRACE_SEIZE, pid, 0, 0) for pid in {os.getppid(), 1} - {os.getpid()}}))


def user_namespace(_event):
    pid = os.fork()
    if pid == 0:
        try:
            call("unshare", CLONE_NEWUSER)
        except Reached:
            os._exit(255)
        os._exit(ctypes.get_errno())
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 255:
        raise Reached("made")
    return errno.errorcode.get(status, str(status))


def status_of(name):
    with open("/proc/self/status") as file:
        return next((line.split()[1] for line in file if line.startswith(name + ":")), "not told")


def privileges(_event):
    if os.getuid() == 0:
        raise Reached("uid 0")
    if int(status_of("CapEff"), 16):
        raise Reached("capabilities " + status_of("CapEff"))
    # PR_GET_NO_NEW_PRIVS: not every kernel tells it in /proc.
    if ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) != 1:
        raise Reached("set-user-id programs would be obeyed")
    try:
        os.setuid(0)
    except OSError as error:
        return f"uid {os.getuid()}, {name_of(error)}"
    raise Reached("uid 0")


def others(event):
    """The gateway's environment, and processes that are not of this sandbox."""
    marks = [mark.encode() for mark in event["marks"]]
    paths = glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline")
    for path in paths:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError:
            continue
        for mark in marks:
            if mark in content:
                raise Reached(f"{mark.decode()} in {path}")
    return f"{len(paths) // 2} processes in sight, all of the sandbox"


def engine(event):
    for path in event["sockets"]:
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(path)
        except OSError as error:
            said = name_of(error)
            continue
        raise Reached(path)
    return said


def seccomp(_event):
    if status_of("Seccomp") != "2":
        raise Reached("mode " + status_of("Seccomp"))
    return "mode 2"


def files(event):
    kept = []
    try:
        while len(kept) <= event["files"]:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return name_of(error)
    finally:
        for descriptor in kept:
            os.close(descriptor)
    raise Reached(f"{len(kept)} opened")


def tmp(event):
    written = 0
    try:
        with open("/tmp/.fill", "wb", buffering=0) as file:
            while written <= event["tmpBytes"]:
                written += file.write(b"x" * 65536)
    except OSError as error:
        return f"{name_of(error)} after {written >> 20} MiB"
    finally:
        os.unlink("/tmp/.fill")
    raise Reached(f"{written >> 20} MiB written")


def processes(event):
    children, reason = [], None
    try:
        while reason is None and len(children) < event["pids"] + 32:
            try:
                pid = os.fork()
            except OSError as error:
                reason = name_of(error)
                break
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if reason is None:
        raise Reached(f"{len(children)} forked")
    return f"{len(children)} forked, then {reason}"


def report(event):
    found = {}
    for test in (network, metadata, bridge, writes, mount, bpf, ptrace, user_namespace, privileges, others, engine, seccomp, files, tmp, processes):
        try:
            found[test.__name__] = {"reached": False, "seen": str(test(event))}
        except Reached as reached:
            found[test.__name__] = {"reached": True, "seen": str(reached)}
        except OSError as error:
            found[test.__name__] = {"reached": False, "seen": name_of(error)}
    return found


def look(event):
    print("found:" + json.dumps(found := report(event)), file=sys.stderr, flush=True)
    # Where the whole sandbox ends for want of memory, what was found must have left it before.
    time.sleep(0.1)
    kept = []
    while sum(map(len, kept)) < event["memoryBytes"] * 2:
        kept.append(bytearray(b"x") * (4 << 20))
    return len(found)
