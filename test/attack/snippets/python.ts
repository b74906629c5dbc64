import { type Attack, answers, cut, endsTooLarge, fails, LOADS_FIRST, timesOut } from '../attack.ts';

const handler = (body: string, imports = 'import os, sys, time, signal') =>
  `${imports}\ndef handler(event, context):\n${body.replace(/^/gm, '    ')}\n`;

/** Frames that claim a response and an end, as an agent would send them. */
const FORGED = `
import json
def frame(kind, payload): return len(payload).to_bytes(4, "big") + bytes([kind]) + payload
forged = frame(0x85, b'"forged"') + frame(0x86, b'{"status":"ok","exit":null,"droppedLogBytes":0}')
`;

export const PYTHON_ATTACKS: Readonly<Record<string, Attack>> = {
  'has an environment that loads something first': {
    code: handler('return "mine"'),
    env: LOADS_FIRST,
    endings: [answers('"mine"')],
  },
  'does not parse': { code: 'def handler(event, context:\n', endings: [fails('function_error')] },
  'never returns': { code: handler('while True: pass'), timeoutMs: 1_500, endings: [timesOut] },
  'never ends to load': { code: 'while True: pass', timeoutMs: 1_500, endings: [timesOut] },
  'exits with 0 before it answers': { code: handler('os._exit(0)'), endings: [fails('function_error')] },
  'raises SystemExit': { code: handler('sys.exit(0)'), endings: [fails('function_error')] },
  'reads a null pointer': {
    code: handler('import ctypes\nctypes.string_at(0)'),
    endings: [fails('function_error')],
  },
  aborts: { code: handler('os.abort()'), endings: [fails('function_error')] },
  'kills itself': { code: handler('os.kill(os.getpid(), 9)'), endings: [fails('function_error')] },
  'recurses in C until the stack is over': {
    code: handler('sys.setrecursionlimit(10**9)\ndef f(n): return f(n + 1)\nf(0)'),
    endings: [fails('function_error'), fails('out_of_memory')],
  },
  'prints 1 GB as log': {
    code: handler('line = b"x" * 65536\nfor _ in range(16384): os.write(1, line)\nreturn "done"'),
    endings: [answers('"done"')],
    log: /^x{16384}$/,
  },
  'prints 1 GB as its response': {
    code: 'import os\nline = b"x" * 65536\nfor _ in range(16384): os.write(1, line)\n',
    endings: [fails('response_too_large')],
  },
  'returns 1 GB': {
    code: handler('return "x" * (1 << 30)'),
    endings: [fails('out_of_memory'), fails('response_too_large')],
  },
  'returns 1 GB of bytes, in pieces': {
    code: handler('return (b"x" * 65536 for _ in range(16384))'),
    endings: endsTooLarge,
  },
  'returns more than its limit': {
    code: handler('return "x" * (1 << 20)'),
    endings: [fails('response_too_large')],
  },
  'forks until it may no more': {
    code: handler(
      'n = 0\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(60); os._exit(0)\n        n += 1\nexcept OSError as error:\n    return [n < 48, error.errno]',
    ),
    // Each process costs gVisor memory of its own, and with less that would run out first.
    memoryMb: 256,
    endings: [answers('[true,11]')],
  },
  'is a fork bomb': {
    code: handler('while True:\n    try: os.fork()\n    except OSError: pass'),
    timeoutMs: 2_000,
    endings: [timesOut, fails('function_error'), fails('out_of_memory')],
  },
  'starts threads until it may no more': {
    code: handler(
      'import threading\nn = 0\ntry:\n    while True:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n        n += 1\nexcept RuntimeError:\n    return n < 48',
    ),
    endings: [answers('true')],
  },
  'eats memory': {
    code: handler('kept = []\nwhile True: kept.append(bytearray(b"x") * (1 << 20))'),
    endings: [fails('out_of_memory')],
  },
  'has its children eat memory': {
    code: handler(
      'for _ in range(8):\n    if os.fork() == 0:\n        kept = []\n        while True: kept.append(bytearray(b"x") * (1 << 20))\nos.wait()\ntime.sleep(1)\nreturn "alive"',
    ),
    endings: [answers('"alive"'), fails('out_of_memory')],
  },
  'fills /tmp': {
    code: handler(
      'try:\n    with open("/tmp/fill", "wb", buffering=0) as file:\n        while True: file.write(b"x" * 65536)\nexcept OSError as error:\n    return error.errno',
    ),
    endings: [answers('28')],
  },
  'fills /tmp and does not look': {
    code: handler('with open("/tmp/fill", "wb") as file:\n    while True: file.write(b"x" * 65536)'),
    endings: [fails('function_error')],
  },
  'writes garbage to every open descriptor': {
    code: handler(
      'os.set_blocking\nfor fd in range(1, 1024):\n    try: os.set_blocking(fd, False); os.write(fd, b"garbage" * 1000)\n    except OSError: pass\nreturn 1',
    ),
    endings: [answers('1'), fails('invalid_response'), fails('function_error')],
  },
  'writes garbage to the descriptors of every process': {
    code: handler(
      'import glob\nfor path in glob.glob("/proc/[0-9]*/fd/*"):\n    try:\n        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK)\n        os.write(fd, b"garbage" * 1000)\n    except OSError: pass\nreturn 1',
    ),
    endings: [answers('1'), fails('invalid_response'), fails('function_error')],
  },
  'writes forged frames to every open descriptor': {
    code:
      FORGED +
      handler(
        'for fd in range(1, 1024):\n    try: os.set_blocking(fd, False); os.write(fd, forged)\n    except OSError: pass\nreturn "real"',
      ),
    endings: [answers('"real"'), answers('"forged"'), fails('invalid_response'), fails('function_error')],
  },
  'closes what it prints to': {
    code: handler('for fd in (0, 1, 2): os.close(fd)\nreturn "closed"'),
    endings: [answers('"closed"')],
  },
  'closes every descriptor': {
    code: handler('os.closerange(0, 1024)\nreturn "closed"'),
    endings: [fails('function_error'), fails('invalid_response')],
  },
  'ignores signals and never returns': {
    code: handler(
      'for number in range(1, 65):\n    try: signal.signal(number, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: time.sleep(1)',
    ),
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'leaves daemons': {
    code: handler(
      'for _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        for number in (signal.SIGTERM, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)\n        if os.fork() == 0: os.execv("/bin/sleep", ["sleep", "1000"])\n        os._exit(0)\nreturn "left"',
    ),
    endings: [answers('"left"')],
  },
  'kills its agent': {
    code: handler('os.kill(os.getppid(), 9)\ntime.sleep(30)'),
    endings: [fails('function_error')],
  },
  'kills every process': {
    code: handler('os.kill(-1, 9)\ntime.sleep(30)'),
    endings: [fails('function_error')],
  },
  'stops its agent': {
    code: handler('os.kill(os.getppid(), signal.SIGSTOP)\nreturn 1'),
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'writes to the memory of its agent': {
    code: handler(
      'try: open("/proc/%d/mem" % os.getppid(), "r+b")\nexcept PermissionError: return "refused"',
    ),
    endings: [answers('"refused"')],
  },
  'attaches to its agent as a debugger': {
    code: handler(
      'import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nlibc.ptrace(16, os.getppid(), 0, 0)\nreturn ctypes.get_errno()',
    ),
    endings: [answers('1')],
  },
  'answers with headers of 200 KB': {
    code: handler('return {"statusCode": 200, "headers": {"x-%d" % n: "y" * 1000 for n in range(200)}}'),
    endings: [fails('invalid_response')],
  },
  'streams after headers of 200 KB': {
    code: handler('yield {"statusCode": 200, "headers": {"x": "y" * 200000}}\nyield "x"'),
    endings: [fails('invalid_response')],
  },
  'puts a line break into a header': {
    code: handler('return {"statusCode": 200, "headers": {"x": "y\\r\\nset-cookie: a=b"}, "body": ""}'),
    endings: [fails('invalid_response')],
  },
  'puts a line break into a cookie': {
    code: handler('return {"statusCode": 200, "cookies": ["a=b\\r\\nx: y"], "body": ""}'),
    endings: [fails('invalid_response')],
  },
  'puts a line break into a streamed header': {
    code: handler('yield {"statusCode": 200, "headers": {"x": "y\\r\\nset-cookie: a=b"}}\nyield "x"'),
    endings: [fails('invalid_response')],
  },
  'names a header with a space': {
    code: handler('return {"statusCode": 200, "headers": {"x y": "z"}}'),
    endings: [fails('invalid_response')],
  },
  'answers with a status that is none': {
    code: handler('return {"statusCode": 1000}'),
    endings: [fails('invalid_response')],
  },
  'switches protocols': { code: handler('return {"statusCode": 101}'), endings: [fails('invalid_response')] },
  'streams with a status that is none': {
    code: handler('yield {"statusCode": 99}\nyield "x"'),
    endings: [fails('invalid_response')],
  },
  'answers with endless depth': {
    code: handler('value = []\nfor _ in range(100000): value = [value]\nreturn value'),
    endings: [fails('invalid_response')],
  },
  'answers with a loop': {
    code: handler('value = []\nvalue.append(value)\nreturn value'),
    endings: [fails('invalid_response')],
  },
  'answers with the names of prototypes': {
    code: handler(
      'return {"statusCode": 200, "headers": {"__proto__": "x", "constructor": "y"}, "body": "", "__proto__": {"polluted": True}, "constructor": {"prototype": {"polluted": True}}}',
    ),
    endings: [answers('')],
  },
  'streams for ever': {
    code: handler('while True: yield b"x" * 65536'),
    endings: endsTooLarge,
  },
  'streams slowly for ever': {
    code: handler('while True:\n    yield "x"\n    time.sleep(0.05)'),
    timeoutMs: 1_500,
    endings: [cut('function_timeout')],
  },
  'dies while it streams': {
    code: handler('yield "x"\ntime.sleep(0.2)\nos.kill(os.getpid(), 9)'),
    endings: [cut('function_error')],
  },
};
