import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Agent, FrameType, type Invoke, invoke, type Transcript } from './agent-driver.ts';
import { conformance } from './conformance.ts';

const agent = join(import.meta.dirname, '../../runtimes/python/agent.py');
const command = {
  file: '/usr/bin/python3',
  args: ['-I', '-B', '-S', '-X', 'utf8', agent, '--runtime', 'python'],
};

conformance({
  name: 'python',
  runtime: 'python',
  command,
  ownVariables: ['LC_CTYPE'],
  snippets: {
    answers: 'def handler(event, context):\n    return 42\n',
    answersObject:
      'def handler(event, context):\n    return {"statusCode": 201, "headers": {"x-made": "yes"}, "body": "made"}\n',
    outputsInput: 'import cronium\ncronium.output(cronium.input())\n',
    outputsEvent: 'import cronium\ncronium.output(cronium.event())\n',
    scriptPrints: 'import sys\nprint("one")\nprint("err", file=sys.stderr)\nprint("two")\n',
    scriptOutputsTwice: 'import cronium\nprint("noise")\ncronium.output(1)\ncronium.output(2)\n',
    scriptExits: 'import sys\nprint("partial")\nsys.exit(3)\n',
    scriptSilent: 'x = 1\n',
    fails: 'def handler(event, context):\n    raise ValueError("boom")\n',
    syntaxError: 'def handler(event, context)\n    return 1\n',
    environment:
      'import os\ndef handler(event, context):\n    return "\\0".join(f"{k}={v}" for k, v in os.environ.items())\n',
    logsInOrder: `
import subprocess, sys
def handler(event, context):
    print("1")
    print("2", file=sys.stderr)
    subprocess.run("echo 3; echo 4 >&2", shell=True)
    print("5")
    return 1
`,
    echoesBytes: 'import cronium\ndef handler(event, context):\n    return cronium.input()\n',
    streams: `
import cronium, os, time
def handler(event, context):
    gate = cronium.input()["gate"]
    yield "first"
    while not os.path.exists(gate):
        time.sleep(0.01)
    yield "second"
`,
    streamsWithHead: `
async def handler(event, context):
    yield {"statusCode": 202, "headers": {"X-Mine": "yes"}}
    yield "body"
`,
    streamFails: `
import cronium, os, time
def handler(event, context):
    gate = cronium.input()["gate"]
    yield "first"
    while not os.path.exists(gate):
        time.sleep(0.01)
    raise ValueError("late")
`,
    streamsMuch: `
import cronium
def handler(event, context):
    left = cronium.input()["bytes"]
    while left:
        yield b"x" * min(left, 65536)
        left -= min(left, 65536)
`,
    logsMuch: `
import cronium, sys
def handler(event, context):
    left = cronium.input()["bytes"]
    while left:
        sys.stdout.write("x" * min(left, 65536))
        left -= min(left, 65536)
    return 1
`,
    answersMuch: 'import cronium\ndef handler(event, context):\n    return "x" * cronium.input()["bytes"]\n',
    answersNonsense: 'def handler(event, context):\n    return {"n": float("nan")}\n',
    exits: 'import sys\ndef handler(event, context):\n    sys.exit(3)\n',
    killsItself: 'import os\ndef handler(event, context):\n    os.kill(os.getpid(), 9)\n',
    writesEverywhere: `
import os
def handler(event, context):
    for fd in range(1, 256):
        try:
            os.write(fd, b"garbage, garbage, garbage\\n" * 100)
        except OSError:
            pass
    return 1
`,
    closesOutput: 'import os\ndef handler(event, context):\n    os.close(1)\n    os.close(2)\n    return 1\n',
    leavesChild:
      'import subprocess\ndef handler(event, context):\n    return subprocess.Popen(["sleep", "1000"]).pid\n',
    hangs: `
import os, signal, subprocess, sys, time
def handler(event, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    sys.stderr.write(f"{os.getpid()} {child.pid}\\n")
    while True:
        time.sleep(1)
`,
    usesVariables: `
import cronium
def handler(event, context):
    y = cronium.getVariable("y")
    cronium.setVariable("x", {"a": [1, "é"]})
    cronium.deleteVariable("y")
    return [y, cronium.getVariable("x"), cronium.incrementVariable("n")]
`,
    setsVariable: `
import cronium, json
def handler(event, context):
    given = json.loads(event["body"])
    try:
        cronium.setVariable(given["name"], "x" * given["chars"])
        return len(cronium.getVariable(given["name"]))
    except cronium.VariableError as error:
        return f"{error.code}: {error}"
`,
    readsAtOnce: `
import cronium
from concurrent.futures import ThreadPoolExecutor
def handler(event, context):
    with ThreadPoolExecutor(3) as pool:
        return sum(pool.map(cronium.getVariable, "abc"))
`,
    incrementsForEver: `
import cronium
while True:
    try:
        cronium.incrementVariable("n")
    except cronium.VariableError as error:
        cronium.output(f"{error.code}: {error}")
        break
`,
    asksAndLeaves: `
import cronium, sys, threading
def handler(event, context):
    threading.Thread(target=cronium.getVariable, args=("x",), daemon=True).start()
    sys.stderr.write("asked\\n")
    return 1
`,
  },
});

async function run(code: string, overrides: Partial<Invoke> = {}): Promise<Transcript> {
  const agent = await Agent.boot(command);
  try {
    return await agent.run(invoke({ runtime: 'python', code, ...overrides }));
  } finally {
    await agent.dispose();
  }
}

/** The body of `def handler(event, context)`, after `imports`. */
const handler = (body: string, imports = 'import os, sys') =>
  `${imports}\ndef handler(event, context):\n    ${body.trim().replaceAll('\n', '\n    ')}\n`;

describe('python: the worked example of the protocol', () => {
  test('is what the agent sends, byte by byte', async () => {
    const page = await readFile(join(import.meta.dirname, '../../runtimes/PROTOCOL.md'), 'utf8');
    const blocks = [...page.matchAll(/```\n((?:[0-9a-f]{2}[ \n])+)```/g)].map(([, hex]) =>
      Buffer.from(hex!.replaceAll(/\s/g, ''), 'hex'),
    );
    expect(blocks).toHaveLength(4);
    const [hello, answer, asked, reply] = blocks as [Buffer, Buffer, Buffer, Buffer];
    const agent = await Agent.start(command);
    try {
      agent.write(hello);
      await agent.next();
      const before = agent.received.length;
      const code = 'import cronium\ndef handler(event, context):\n    return cronium.getVariable("x", 42)';
      const limits = { logBytes: 1_000, responseBytes: 1_000, streamBytes: 1_000, calls: 1 };
      await agent.run(invoke({ runtime: 'python', code, limits }), ({ type }) => {
        if (type === FrameType.call) agent.write(reply);
      });
      const sent = Buffer.concat([asked, answer]);
      expect(agent.received.subarray(before).toString('hex')).toBe(sent.toString('hex'));
    } finally {
      await agent.dispose();
    }
  });
});

describe('python: answers', () => {
  const answers: [string, string, unknown][] = [
    [
      'a class as handler',
      'class handler(dict):\n    def __init__(self, e, c):\n        self["a"] = 1\n',
      { a: 1 },
    ],
    [
      'an async handler',
      'import asyncio\nasync def handler(e, c):\n    await asyncio.sleep(0)\n    return 1\n',
      1,
    ],
    ['a handler inside if', 'if True:\n    def handler(e, c):\n        return __name__\n', 'main'],
    ['a handler by assignment', 'def f(e, c):\n    return 1\nhandler = f\n', 1],
    ['a handler that only running shows', 'exec("def handler(e, c): return 1")\n', 1],
    [
      'the context',
      handler(
        'return [context.aws_request_id, context.function_name, context.memory_limit_in_mb, context.get_remaining_time_in_millis() > 0]',
      ),
      ['test-invocation', 'test', 512, true],
    ],
    ['lone surrogates', handler('return "\\ud800"'), '\ud800'],
    [
      'pickling its own classes',
      'import pickle\nclass A: pass\ndef handler(e, c):\n    return type(pickle.loads(pickle.dumps(A()))).__name__\n',
      'A',
    ],
    [
      'a thread that never ends',
      handler(
        'threading.Thread(target=lambda: time.sleep(1000)).start()\nreturn 1',
        'import threading, time',
      ),
      1,
    ],
    ['a fork that comes back', handler('os.fork()\nreturn 1'), 1],
    [
      'closing every descriptor of the output',
      handler('os.close(1)\nos.close(2)\nprint("x") if 0 else None\nreturn 1'),
      1,
    ],
  ];
  test.each(answers)('%s', { timeout: 30_000 }, async (_name, code, value) => {
    const { result, end } = await run(code);
    expect(end.error).toBeUndefined();
    expect(result).toEqual({ value });
  });

  test('a logging handler does not make a script a handler', async () => {
    const { data } = await run(
      'import logging\nhandler = logging.StreamHandler()\nif __name__ == "__main__":\n    print("script")\n',
    );
    expect(data.toString()).toBe('script\n');
  });

  test('what loading printed is log when it turns out to be a handler', async () => {
    const { logs, result } = await run('print("load")\nexec("def handler(e, c): return 1")\n');
    expect([logs, result?.value]).toEqual(['load\n', 1]);
  });

  test('native prints keep their place', async () => {
    const { logs } = await run(
      handler('print("1")\nctypes.CDLL(None).printf(b"2\\n")\nprint("3")', 'import ctypes'),
    );
    expect(logs).toBe('1\n2\n3\n');
  });

  test('a response object may hold bytes or a stream', async () => {
    const bytes = await run(handler('return {"statusCode": 201, "body": b"\\xff"}'));
    expect([bytes.head?.statusCode, bytes.data.toString('hex')]).toEqual([201, 'ff']);
    const stream = await run(
      'async def body():\n    yield "a"\n    yield b"b"\nasync def handler(e, c):\n    return {"statusCode": 202, "body": body()}\n',
    );
    expect([stream.head?.statusCode, stream.data.toString()]).toEqual([202, 'ab']);
  });

  test('a script waits for its threads and runs atexit', async () => {
    const { data } = await run(
      'import atexit, threading, time\natexit.register(print, "exit")\nthreading.Thread(target=lambda: (time.sleep(0.1), print("thread"))).start()\n',
    );
    expect(data.toString()).toBe('thread\nexit\n');
  });

  test('a script that exits with 0 has succeeded', async () => {
    const { data, end } = await run('import sys\nprint("done")\nsys.exit()\n');
    expect([data.toString(), end.status]).toEqual(['done\n', 'ok']);
  });
});

describe('python: failures', () => {
  const failures: [string, string, string][] = [
    ['a chunk that is no text', 'def handler(e, c):\n    yield 1\n', 'invalid_response'],
    ['a value that is no JSON', handler('return object()'), 'invalid_response'],
    ['a value that holds itself', handler('a = []\na.append(a)\nreturn a'), 'invalid_response'],
    [
      'a value that is too deep',
      handler('a = []\nfor _ in range(100000):\n    a = [a]\nreturn a'),
      'invalid_response',
    ],
    ['a number with too many digits', handler('return 1 << 100000'), 'invalid_response'],
    ['a large text', handler('return "x" * (1 << 28)'), 'response_too_large'],
    ['no memory', handler('return bytearray(1 << 62)'), 'out_of_memory'],
    ['endless recursion', handler('return handler(event, context)'), 'function_error'],
    ['sys.exit(0) before the answer', handler('sys.exit(0)'), 'function_error'],
    ['os._exit(0) before the answer', handler('os._exit(0)'), 'function_error'],
    [
      'an error whose text raises',
      'class E(Exception):\n    def __str__(self):\n        raise E\ndef handler(e, c):\n    raise E\n',
      'function_error',
    ],
    ['a keyboard interrupt', handler('raise KeyboardInterrupt'), 'function_error'],
    ['a null byte in the code', 'x = 1\0', 'function_error'],
    ['a lone surrogate in the code', 'x = "\ud800"', 'function_error'],
  ];
  test.each(failures)('%s', { timeout: 30_000 }, async (_name, code, expected) => {
    const { end, result } = await run(code);
    expect(end.error?.code).toBe(expected);
    expect(result).toBeUndefined();
  });

  test('a segmentation fault is named', async () => {
    const { end } = await run(handler('ctypes.string_at(0)', 'import ctypes'));
    expect(end.exit).toEqual({ code: null, signal: 'SIGSEGV' });
  });

  test('the trace shows the source and nothing of the agent', async () => {
    const { end } = await run('def handler(event, context):\n    return 1 / 0  # here\n');
    expect(end.error).toMatchObject({ type: 'ZeroDivisionError', message: 'division by zero' });
    expect(end.error?.trace).toContain('File "/task/main.py", line 2, in handler');
    expect(end.error?.trace).toContain('return 1 / 0  # here');
    expect(end.error?.trace).not.toContain('cronium_agent');
  });

  // Root may inspect everything, so the agent runs as somebody else; /proc/self shows that the way to look works.
  test('the agent cannot be inspected by what it runs', async () => {
    const unprivileged =
      process.getuid?.() === 0
        ? { file: 'setpriv', args: ['--reuid', '65534', '--clear-groups', command.file, ...command.args] }
        : command;
    const agent = await Agent.boot(unprivileged);
    try {
      const code = handler(
        'os.listdir("/proc/self/fd")\ntry:\n    return os.listdir(f"/proc/{os.getppid()}/fd")\nexcept PermissionError:\n    return [os.getuid() != 0, "denied"]',
      );
      const { result } = await agent.run(invoke({ runtime: 'python', code }));
      expect(result?.value).toEqual([true, 'denied']);
    } finally {
      await agent.dispose();
    }
  });
});
