/** What the three languages share to plant and to find: keys and ports that B tries because A took them. */
export const PORT = 45_678;
export const IPC_KEY = 0x1eaf;

const IPC = `
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def ipc(flags):
    found = {}
    for name, arguments in (("shmget", (${IPC_KEY}, 4096, flags)), ("semget", (${IPC_KEY}, 1, flags)), ("msgget", (${IPC_KEY}, flags))):
        ctypes.set_errno(0)
        result = getattr(libc, name)(*arguments)
        found[name] = errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "there"
    return found
def queue(flags):
    try: library = ctypes.CDLL("librt.so.1", use_errno=True)
    except OSError: library = libc
    ctypes.set_errno(0)
    result = library.mq_open(b"/leak", flags, 0o666, None)
    return errno.errorcode.get(ctypes.get_errno(), "?") if result < 0 else "there"
`;

/** Leaves a mark wherever a mark can be left, says so, and goes on running. */
export const PYTHON_PLANTS = `
import builtins, json, os, resource, signal, socket, sys, time
${IPC}
def handler(event, context):
    mark = event["mark"]
    planted = []
    for folder, _, _ in os.walk("/"):
        if folder.startswith(("/proc", "/sys")): continue
        try:
            with open(folder + "/" + mark, "w") as file: file.write(mark)
            planted.append(folder)
        except OSError: pass
    with open("/tmp/.bashrc", "w") as file: file.write("echo " + mark)
    os.environ["LEAK"] = mark
    os.environ["BASH_ENV"] = os.environ["PYTHONSTARTUP"] = "/tmp/.bashrc"
    builtins.leak = mark
    sys.modules["leak"] = sys
    json.dumps.__globals__["leak"] = mark
    print.__class__
    for number in range(3):
        if os.fork() == 0:
            os.setsid()
            for one in (signal.SIGTERM, signal.SIGHUP): signal.signal(one, signal.SIG_IGN)
            if os.fork() == 0: os.execv("/bin/sleep", [mark, "1000"])
            os._exit(0)
    kept = []
    for family, address in ((socket.AF_INET, ("127.0.0.1", ${PORT})), (socket.AF_UNIX, "\\0leak"), (socket.AF_UNIX, "/tmp/leak.sock")):
        one = socket.socket(family)
        one.bind(address)
        one.listen()
        kept.append(one)
    planted.append(ipc(0o1666))
    planted.append(queue(0o102))
    os.umask(0)
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    os.chdir("/run")
    print("planted " + json.dumps(planted), flush=True)
    while True: time.sleep(1)
`;

/**
 * All that somebody in a sandbox can find; the same in every sandbox that nobody was in before. Variables are sorted: Podman gives
 * them to each container in an order of its own, which it draws before anybody is in there.
 */
export const PYTHON_FINDS = `
import builtins, json, os, re, resource, socket, sys
${IPC}
def read(path):
    try:
        with open(path, "rb") as file: return file.read().decode("utf-8", "replace")
    except OSError as error: return ""
def connects(family, address):
    one = socket.socket(family)
    try: one.connect(address)
    except OSError as error: return errno.errorcode[error.errno]
    return "connected"
def remembers(pid, secret):
    try:
        with open("/proc/%s/maps" % pid) as maps, open("/proc/%s/mem" % pid, "rb", 0) as memory:
            for line in maps:
                if " rw" not in line: continue
                begin, end = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(begin)
                try:
                    if secret in memory.read(end - begin): return "found"
                except (OSError, ValueError, OverflowError): pass
        return "not found"
    except PermissionError: return "refused"
    except OSError: return "gone"
def handler(event, context):
    umask = os.umask(0o22)
    secret = event["terces"][::-1].encode()
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    files = []
    for folder, _, names in os.walk("/"):
        if not folder.startswith(("/proc", "/sys", "/usr")): files += [folder + "/" + name for name in names]
    return {
        "files": sorted(files),
        "environ": dict(os.environ, CRONIUM_EXECUTION_ID=""),
        "environs": sorted(sorted(read("/proc/%d/environ" % pid).split("\\0")) for pid in pids),
        "commands": sorted(read("/proc/%d/cmdline" % pid) for pid in pids),
        "globals": [hasattr(builtins, "leak"), "leak" in sys.modules, "leak" in json.dumps.__globals__],
        "limits": [umask, os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE), os.getcwd()],
        "connects": [connects(socket.AF_INET, ("127.0.0.1", ${PORT})), connects(socket.AF_UNIX, "\\0leak"), connects(socket.AF_UNIX, "/tmp/leak.sock")],
        "ipc": [ipc(0), queue(2), read("/proc/sysvipc/shm").count("\\n"), read("/proc/sysvipc/msg").count("\\n")],
        "tcp": len(read("/proc/net/tcp").splitlines()),
        "memory": sorted(remembers(pid, secret) for pid in pids if pid != os.getpid()),
        "pids": len(pids),
    }
`;
