"""Tries to get out of a sandbox, or to see out of it, one way after another, and tells what became of each.

Every probe raises Open with what it reached, or returns what stopped it. It runs in a child of its own, so that one that dies
or hangs takes no other with it.
"""
import ctypes
import errno
import glob
import os
import platform
import resource
import select
import signal
import socket
import struct
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
PROBES = []
SECONDS = 4
# Of x86-64 and, where they differ, arm64.
NUMBERS = {
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "chroot": (161, 51), "clock_settime": (227, 112),
    "clone3": (435, 435), "fanotify_init": (300, 262), "finit_module": (313, 273), "io_uring_setup": (425, 425),
    "kexec_load": (246, 104), "keyctl": (250, 219), "mknodat": (259, 33), "mount": (165, 40),
    "open_by_handle_at": (304, 265), "perf_event_open": (298, 241), "pivot_root": (155, 41), "ptrace": (101, 117),
    "reboot": (169, 142), "setns": (308, 268), "sethostname": (170, 161), "swapon": (167, 224), "syslog": (103, 116),
    "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282), "fsopen": (430, 430), "iopl": (172, None),
    "modify_ldt": (154, None), "memfd_create": (319, 279), "process_vm_readv": (310, 270),
}
COLUMN = 1 if platform.machine() == "aarch64" else 0
CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET = 0x10000000, 0x00020000, 0x40000000


class Open(Exception):
    """It worked, as it must not."""


def probe(name):
    def register(function):
        PROBES.append((name, function))
        return function

    return register


def call(name, *arguments):
    """The result of a system call; raises OSError with its errno."""
    number = NUMBERS[name][COLUMN]
    if number is None:
        raise OSError(errno.ENOSYS, "not of this architecture")
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(what, name, *arguments):
    """Registers a probe that is open when the call succeeds, or fails only of its arguments."""

    def tries(_event):
        try:
            result = call(name, *arguments)
        except OSError as error:
            # Whoever looks at the arguments has let the caller through.
            if error.errno in (errno.EFAULT, errno.EINVAL, errno.EBADF, errno.ESRCH, errno.E2BIG, errno.ENODEV):
                raise Open(f"served ({errno.errorcode[error.errno]})")
            raise
        raise Open(f"{name} gave {result}")

    probe(what)(tries)


def connects(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(1.5)
        one.connect(address)
        raise Open("connected")


def reads(path, size=64):
    with open(path, "rb") as file:
        return file.read(size)


# Network


@probe("reach the cloud's metadata service, 169.254.169.254")
def metadata(_event):
    connects(socket.AF_INET, ("169.254.169.254", 80))


@probe("reach the engine's bridge, 172.17.0.1")
def bridge(_event):
    connects(socket.AF_INET, ("172.17.0.1", 22))


@probe("reach the internet by IPv4")
def internet(_event):
    connects(socket.AF_INET, ("1.1.1.1", 53))


@probe("reach the internet by IPv6")
def internet6(_event):
    connects(socket.AF_INET6, ("2606:4700:4700::1111", 53))


@probe("send a datagram out")
def datagram(_event):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"x", ("1.1.1.1", 53))
    raise Open("sent")


@probe("reach the gateway on the host's loopback")
def loopback(event):
    connects(socket.AF_INET, ("127.0.0.1", event["hostPort"]))


@probe("reach an abstract socket of the host")
def abstract(event):
    connects(socket.AF_UNIX, "\0" + event["hostSocket"])


@probe("reach the engine's socket")
def engine_socket(_event):
    said = "not there"
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock"):
        try:
            connects(socket.AF_UNIX, path)
        except OSError as error:
            said = errno.errorcode[error.errno]
    return said


@probe("open a raw socket")
def raw_socket(_event):
    socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()
    raise Open("opened")


@probe("open a packet socket")
def packet_socket(_event):
    socket.socket(17, socket.SOCK_RAW, 0x300).close()
    raise Open("opened")


def family(what, number, kind, protocol=0):
    def tries(_event):
        socket.socket(number, kind, protocol).close()
        raise Open("opened")

    probe(what)(tries)


family("open a socket to the hypervisor, AF_VSOCK", 40, socket.SOCK_STREAM)
family("open a socket of the kernel's cryptography, AF_ALG", 38, socket.SOCK_SEQPACKET)
family("open a netlink socket to the packet filter", 16, socket.SOCK_RAW, 12)
family("open a netlink socket for the kernel's events", 16, socket.SOCK_RAW, 15)
family("open a key management socket, AF_KEY", 15, socket.SOCK_RAW, 2)


@probe("see an interface that leads out")
def interfaces(_event):
    outside = [name for _, name in socket.if_nameindex() if name.startswith(("eth", "en", "wl", "veth", "docker", "br-", "tap"))]
    if outside:
        raise Open(", ".join(outside))
    return "none"


# Files


@probe("write outside /tmp, /run and /dev/shm")
def writes(_event):
    found, said = [], set()
    for folder in ("/", "/usr", "/usr/bin", "/etc", "/opt", "/opt/cronium", "/var", "/var/tmp", "/home", "/root", "/dev", "/sys", "/proc"):
        try:
            with open(os.path.join(folder, ".probe"), "w"):
                found.append(folder)
        except OSError as error:
            said.add(errno.errorcode[error.errno])
    if found:
        raise Open(", ".join(found))
    return ", ".join(sorted(said))


@probe("change the agent that the next call runs")
def agent_files(_event):
    for folder, _, names in os.walk("/opt/cronium"):
        for name in names:
            try:
                with open(os.path.join(folder, name), "ab"):
                    raise Open(name)
            except OSError as error:
                said = errno.errorcode[error.errno]
    return said


@probe("read a file of the host")
def host_file(event):
    if os.path.exists(event["hostFile"]):
        raise Open(event["hostFile"])
    return "not there"


@probe("read the host's passwords")
def shadow(_event):
    reads("/etc/shadow")
    raise Open("read")


@probe("see the gateway's environment or a host's process")
def host_processes(event):
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                if event["hostMark"][::-1].encode() in file.read():
                    raise Open(path)
        except OSError:
            pass
    return "none in sight"


@probe("signal a process of the host")
def signal_host(event):
    os.kill(event["hostPid"], signal.SIGTERM)
    raise Open("signalled")


@probe("go up by /proc/1/root")
def init_root(event):
    os.stat("/proc/1/root" + event["hostFile"])
    raise Open("found")


@probe("write where the kernel takes commands, /proc/sys and /proc/sysrq-trigger")
def kernel_switches(_event):
    for path in ("/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/panic_on_oom"):
        try:
            with open(path, "w"):
                raise Open(path)
        except OSError as error:
            said = errno.errorcode[error.errno]
    return said


@probe("write to control groups")
def control_groups(_event):
    found = []
    for folder, _, names in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(folder, name) for name in names if name in ("cgroup.procs", "release_agent", "memory.limit_in_bytes", "memory.max")]
        if len(found) > 200:
            break
    for path in found:
        try:
            with open(path, "w"):
                raise Open(path)
        except OSError:
            pass
    return f"{len(found)} in sight" if found else "not there"


def readable(what, *paths):
    def tries(_event):
        said = "not there"
        for path in paths:
            try:
                content = reads(path)
            except OSError as error:
                said = errno.errorcode[error.errno]
                continue
            if content.strip(b"\0\n "):
                raise Open(path)
            said = "empty"
        return said

    probe(what)(tries)


readable("read the kernel's memory, /proc/kcore", "/proc/kcore", "/dev/mem", "/dev/kmem")
readable("read the host's keys, /proc/keys", "/proc/keys")
readable("read the host's timers and tasks", "/proc/timer_list", "/proc/sched_debug")
readable("read the host's firmware, /sys/firmware", "/sys/firmware/dmi/tables/DMI", "/sys/firmware/acpi/tables/DSDT", "/sys/class/dmi/id/product_name")


@probe("learn the kernel's addresses, /proc/kallsyms")
def kallsyms(_event):
    with open("/proc/kallsyms") as file:
        if any(int(line.split()[0], 16) for line, _ in zip(file, range(50))):
            raise Open("addresses")
    return "zeros"


@probe("read the kernel's log")
def kernel_log(_event):
    buffer = ctypes.create_string_buffer(8192)
    length = call("syslog", 3, buffer, 8192)
    # gVisor's kernel has a log of its own, in which there is nothing of the host.
    if b"gVisor" in buffer.raw:
        return "gVisor's own"
    if length > 0:
        raise Open(f"{length} bytes")
    return "empty"


@probe("make a device")
def device(_event):
    call("mknodat", -100, b"/tmp/.device", 0o60666, os.makedev(8, 0))
    try:
        reads("/tmp/.device")
    except OSError as error:
        return errno.errorcode[error.errno]
    raise Open("made and read")


@probe("become root by a set-user-id program")
def set_user_id(_event):
    said = "none there"
    for folder in ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/lib", "/usr/local/bin"):
        for path in glob.glob(folder + "/*"):
            if not os.path.isfile(path) or not os.stat(path).st_mode & 0o4000:
                continue
            said = "without effect"
            if os.stat(path).st_uid == 0 and os.path.basename(path) in ("su", "mount", "passwd", "sudo"):
                reader, writer = os.pipe()
                if os.fork() == 0:
                    os.dup2(writer, 2)
                    os.execv(path, [path, "--help"])
                os.wait()
    # Asked by prctl, PR_GET_NO_NEW_PRIVS: not every kernel tells it in /proc.
    if libc.prctl(39, 0, 0, 0, 0) != 1:
        raise Open("new privileges are allowed")
    return said


@probe("become root")
def become_root(_event):
    os.setuid(0)
    raise Open("uid 0")


@probe("have a capability")
def capabilities(_event):
    with open("/proc/self/status") as file:
        masks = [line.split() for line in file if line.startswith(("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"))]
    held = [name for name, mask in masks if int(mask, 16) and name != "CapBnd:"]
    if held:
        raise Open(" ".join(held))
    return "none"


def opens(what, paths, flags):
    """Registers a probe that is open when one of the files can be opened."""

    def tries(_event):
        said = set()
        for path in paths:
            try:
                os.close(os.open(path, flags | os.O_NONBLOCK))
            except OSError as error:
                said.add(errno.errorcode[error.errno])
                continue
            raise Open(path)
        return ", ".join(sorted(said))

    probe(what)(tries)


opens("overwrite the program that runs it, as runc let happen", ("/proc/self/exe", "/proc/1/exe"), os.O_WRONLY)
opens("open a disk or another device of the host", [f"/dev/{name}" for name in ("sda", "vda", "xvda", "nvme0n1", "mem", "kmsg", "kvm", "fuse", "net/tun", "vhost-net", "dri/card0", "loop-control", "mapper/control")], os.O_RDWR)
opens("write to the memory of the first process", ("/proc/1/mem",), os.O_RDWR)


@probe("read the memory of the first process by a system call")
def read_memory(_event):
    buffer = ctypes.create_string_buffer(8)
    with open("/proc/1/maps") as file:
        address = int(file.readline().split("-")[0] or "0", 16)
    vectors = [ctypes.create_string_buffer(struct.pack("<QQ", at, 8)) for at in (ctypes.addressof(buffer), address)]
    call("process_vm_readv", 1, vectors[0], 1, vectors[1], 1, 0)
    raise Open("read")


@probe("type into a terminal, TIOCSTI")
def terminal(_event):
    import fcntl

    said = set()
    for path in ("/dev/tty", "/dev/console", "/dev/pts/0", "/proc/self/fd/0"):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            fcntl.ioctl(descriptor, 0x5412, b"x")
        except OSError as error:
            said.add(errno.errorcode[error.errno])
            continue
        raise Open(path)
    return ", ".join(sorted(said))


@probe("link a file of the root into /tmp")
def hard_link(_event):
    os.link("/etc/passwd", "/tmp/.link")
    raise Open("linked")


def program():
    with open("/bin/true", "rb") as file:
        return file.read()


def runs(path):
    """Whether a program runs, by a child of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            os.execv(path, ["true"])
        except OSError as error:
            os._exit(error.errno)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        raise Open("ran")
    return errno.errorcode.get(status, str(status))


@probe("run a program from memory, without a file")
def run_from_memory(_event):
    descriptor = call("memfd_create", b"probe", 0)
    os.write(descriptor, program())
    return runs(f"/proc/self/fd/{descriptor}")


@probe("run a program that it has written to /tmp")
def run_from_tmp(_event):
    with open("/tmp/.program", "wb") as file:
        file.write(program())
    os.chmod("/tmp/.program", 0o755)
    return runs("/tmp/.program")


# The kernel's own interface

syscall("mount a file system", "mount", b"none", b"/tmp", b"tmpfs", 0, None)
syscall("open a file system without mounting it", "fsopen", b"tmpfs", 0)
syscall("take a mount away", "umount2", b"/proc", 2)
syscall("change the root", "pivot_root", b"/tmp", b"/tmp")
syscall("enter another root", "chroot", b"/tmp")


def namespace(what, flags):
    def tries(_event):
        call("unshare", flags)
        raise Open("made")

    probe(what)(tries)


namespace("make a user namespace", CLONE_NEWUSER)
namespace("make a mount namespace", CLONE_NEWNS)
namespace("make a network namespace", CLONE_NEWNET)


@probe("make a user namespace by clone3")
def clone3(_event):
    arguments = struct.pack("<11Q", CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0)
    pid = call("clone3", ctypes.create_string_buffer(arguments, 88), 88)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    raise Open("made")


@probe("gain capabilities over the kernel by namespaces")
def namespaced_root(_event):
    """Whether a namespace, where one can be made, gives reach into the parts of the kernel that exploits begin with."""
    call("unshare", CLONE_NEWUSER | CLONE_NEWNET)
    socket.socket(16, socket.SOCK_RAW, 12).close()
    raise Open("the packet filter's configuration")


@probe("join the first process's namespaces")
def join(_event):
    with open("/proc/1/ns/mnt") as file:
        call("setns", file.fileno(), 0)
    raise Open("joined")


@probe("trace the first process")
def trace_first(_event):
    call("ptrace", 16, 1, 0, 0)
    raise Open("attached")


syscall("load a BPF program", "bpf", 5, b"\0" * 128, 128)
syscall("watch the machine's performance counters", "perf_event_open", ctypes.create_string_buffer(struct.pack("<II", 1, 112) + b"\0" * 104), -1, 0, -1, 0)
syscall("handle page faults in the program, userfaultfd", "userfaultfd", 0)
syscall("use io_uring", "io_uring_setup", 8, ctypes.create_string_buffer(120))
syscall("use the kernel's keyring", "keyctl", 0, -3, 1)
syscall("add a key", "add_key", b"user", b"probe", b"x", 1, -3)
syscall("load a kernel module", "finit_module", -1, b"", 0)
syscall("load another kernel", "kexec_load", 0, 0, 0, 0)
syscall("restart the machine", "reboot", 0xFEE1DEAD, 672274793, 0x89ABCDEF, 0)
syscall("set the host's name", "sethostname", b"probe", 5)
syscall("add swap", "swapon", b"/tmp/none", 0)
syscall("take over the process accounting", "acct", None)
syscall("watch all files, fanotify", "fanotify_init", 0, 0)
syscall("touch the machine's ports", "iopl", 3)
syscall("change descriptor tables of the processor", "modify_ldt", 1, ctypes.create_string_buffer(16), 16)


@probe("set the clock")
def clock(_event):
    now = time.time_ns()
    call("clock_settime", 0, ctypes.create_string_buffer(struct.pack("<qq", now // 10**9, now % 10**9), 16))
    raise Open("set")


@probe("open files by handle, as Shocker did")
def shocker(_event):
    handle = ctypes.create_string_buffer(struct.pack("<Ii", 8, 1) + b"\2\0\0\0\0\0\0\0")
    try:
        call("open_by_handle_at", os.open("/", os.O_RDONLY), handle, 0)
    except OSError as error:
        if error.errno in (errno.ESTALE, errno.EINVAL):
            raise Open(f"served ({errno.errorcode[error.errno]})")
        raise
    raise Open("opened")


@probe("run with real-time priority")
def real_time(_event):
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    raise Open("SCHED_FIFO")


@probe("raise its own priority")
def nice(_event):
    os.nice(-10)
    if os.nice(0) < 0:
        raise Open("nice")
    return "without effect"


# Limits


@probe("open more files than allowed")
def files(event):
    kept = []
    try:
        while len(kept) <= event["files"]:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        return f"{errno.errorcode[error.errno]} at {len(kept)}" if len(kept) < 64 else errno.errorcode[error.errno]
    raise Open(f"{len(kept)}")


@probe("raise a limit on itself")
def limits(_event):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        raise Open("there is none")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1))
    except ValueError:
        return "EPERM"
    raise Open(str(hard + 1))


@probe("write more than allowed to /tmp")
def tmp(event):
    return fills("/tmp", event["tmpBytes"])


@probe("write more than allowed to /run")
def run(event):
    return fills("/run", event["runBytes"])


@probe("write more than 16 MiB to /dev/shm")
def shm(_event):
    return fills("/dev/shm", 16 << 20)


def fills(folder, bound):
    path, written = folder + "/.fill", 0
    try:
        with open(path, "wb", buffering=0) as file:
            while written <= bound:
                written += file.write(b"x" * 65536)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        if os.path.exists(path):
            os.unlink(path)
    raise Open(f"{written} bytes")


@probe("dump core")
def core(_event):
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0:
        raise Open("allowed")
    return "limit 0"


def outcome(function, event):
    """What became of a probe, from a child whose end nobody else feels."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = f"stopped {function(event)}"
        except Open as reached:
            said = f"open {reached}"
        except OSError as error:
            said = f"stopped {errno.errorcode.get(error.errno, str(error))}" if error.errno else f"stopped {error}"
        except BaseException as error:
            said = f"broken {type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    said = b""
    if select.select([reader], [], [], SECONDS)[0]:
        said = os.read(reader, 4096)
    else:
        os.kill(pid, signal.SIGKILL)
        said = b"stopped no answer"
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    if said == b"" and os.WIFSIGNALED(status):
        said = f"stopped {signal.Signals(os.WTERMSIG(status)).name}".encode()
    return said.decode()


def handler(event, context):
    return {name: outcome(function, event) for name, function in PROBES}
