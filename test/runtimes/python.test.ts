import { join } from 'node:path';
import { conformance } from './conformance.ts';

const agent = join(import.meta.dirname, '../../runtimes/python/agent.py');
const command = {
  file: 'python3',
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
  },
});
