"""What the agent asks of the kernel: how processes ended, whether memory ran out, and an end to all of them."""

import os
import signal

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36


def harden():
    """Hides the agent's memory and descriptors from the function, which runs as the same user.

    It also makes orphans of the function children of the agent, so that it can find and kill them. `_ctypes` costs a
    tenth of what `ctypes` does, but is private to CPython: where it is missing the sandbox itself is the only wall.
    """
    _prctl(PR_SET_DUMPABLE, 0)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option, value):
    try:
        import _ctypes

        address = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")
        _ctypes.call_function(address, (option, value, 0, 0, 0))
    except Exception:
        pass


def prefer_as_victim(pid="self"):
    """Makes the kernel kill a process, the calling one when not told, and not the agent, when memory runs out."""
    try:
        with open("/proc/%s/oom_score_adj" % pid, "w") as file:
            file.write("1000")
    except OSError:
        pass


def oom_kills():
    """How many processes the kernel has killed for want of memory in this sandbox; 0 where it does not tell."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as file:
                for line in file:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            continue
    return 0


def describe_exit(status):
    """A wait status as the `exit` of END."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "SIG%d" % number
        return {"code": None, "signal": name}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def reap(pid):
    """Collects every child that has ended; returns the wait status of `pid` when it was among them."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if ended == 0:
            return found
        if ended == pid:
            found = status


def kill_all(pid):
    """Kills the function's process, its group and whatever else descends from the agent."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
    if os.getpid() == 1:
        return  # The kernel kills everything else when the first process of a sandbox ends.
    for _ in range(100):
        children = _descendants()
        if not children:
            return
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except OSError:
                pass
        reap(pid)


def _descendants():
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent = _living_parent(name)
            if parent:
                parents.setdefault(parent, []).append(int(name))
    found, queue = [], [os.getpid()]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += children
    return found


def _living_parent(name):
    try:
        with open("/proc/%s/stat" % name, "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except (OSError, ValueError):
        return None
    return None if state in b"ZX" else int(parent)
