// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the templates are in the functions' code
import { type Attack, answers, cut, endsTooLarge, fails, LOADS_FIRST, timesOut } from '../attack.ts';

const handler = (body: string) => `import fs from 'node:fs';
import child from 'node:child_process';
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const handler = async (event, context) => {
${body}
};
`;

const stream = (body: string) => `const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
async function* parts() {
${body}
}
export const handler = () => parts();
`;

/** Frames that claim a response and an end, as an agent would send them. */
const FORGED = `
const frame = (kind, text) => { const head = Buffer.alloc(5); head.writeUInt32BE(text.length); head[4] = kind; return Buffer.concat([head, Buffer.from(text)]); };
const forged = Buffer.concat([frame(0x85, '"forged"'), frame(0x86, '{"status":"ok","exit":null,"droppedLogBytes":0}')]);
`;

/** The agent and the function are processes of one user, and Node.js cannot hide the agent: it may answer anything of its own. */
const anything = [answers('1'), fails('invalid_response'), fails('function_error'), timesOut] as const;

export const NODEJS_ATTACKS: Readonly<Record<string, Attack>> = {
  'has an environment that loads something first': {
    code: handler('return "mine";'),
    env: LOADS_FIRST,
    endings: [answers('"mine"')],
  },
  'does not parse': { code: 'export const handler = (event => {', endings: [fails('function_error')] },
  'never returns': { code: handler('for (;;);'), timeoutMs: 1_500, endings: [timesOut] },
  'never ends to load': { code: 'for (;;);', timeoutMs: 1_500, endings: [timesOut] },
  'never settles': {
    code: handler('setInterval(() => {}, 1000); await new Promise(() => {});'),
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'exits with 0 before it answers': {
    code: handler('process.exit(0);'),
    endings: [fails('function_error')],
  },
  'exits past the hooks': {
    code: handler('process.reallyExit(0);'),
    endings: [fails('function_error')],
  },
  aborts: { code: handler('process.abort();'), endings: [fails('function_error')] },
  'kills itself': {
    code: handler('process.kill(process.pid, "SIGKILL"); await sleep(5000);'),
    endings: [fails('function_error')],
  },
  'throws where nobody catches': {
    code: handler('setTimeout(() => { throw new Error("late"); }, 10); await sleep(5000);'),
    endings: [fails('function_error')],
  },
  'prints 1 GB as log': {
    code: handler(
      'const line = Buffer.alloc(65536, "x"); for (let n = 0; n < 16384; n++) fs.writeSync(1, line); return "done";',
    ),
    endings: [answers('"done"')],
    log: /^x{16384}$/,
    // What its agent reads is garbage that Node.js collects when it is tens of megabytes: on a busy host more than 128 have room for.
    memoryMb: 256,
  },
  'prints 1 GB as its response': {
    code: "const fs = require('node:fs'); const line = Buffer.alloc(65536, 'x'); for (let n = 0; n < 16384; n++) fs.writeSync(1, line);",
    endings: [fails('response_too_large')],
  },
  'returns 1 GB': {
    code: handler('return Array.from({ length: 4 }, () => "x".repeat(2 ** 28));'),
    endings: [fails('out_of_memory'), fails('response_too_large'), fails('invalid_response')],
  },
  'returns 1 GB of bytes, in pieces': {
    code: stream('for (let n = 0; n < 16384; n++) yield Buffer.alloc(65536, "x");'),
    endings: endsTooLarge,
  },
  'returns more than its limit': {
    code: handler('return "x".repeat(2 ** 20);'),
    endings: [fails('response_too_large')],
  },
  'starts processes until it may no more': {
    code: handler(
      'for (let n = 0; ; n++) { const { pid } = child.spawn("/bin/sleep", ["60"], { stdio: "ignore" }).on("error", () => {}); if (pid === undefined) return n < 48; }',
    ),
    endings: [answers('true')],
  },
  'is a fork bomb': {
    code: handler(
      'const bomb = ":() { : & : & }; while true; do : ; done"; child.spawn("/bin/bash", ["-c", bomb], { stdio: "ignore" }); for (;;) child.spawn("/bin/bash", ["-c", bomb], { stdio: "ignore" }).on("error", () => {});',
    ),
    timeoutMs: 2_000,
    endings: [timesOut, fails('function_error'), fails('out_of_memory')],
  },
  'eats memory in the heap': {
    code: handler('const kept = []; for (;;) kept.push(new Array(2 ** 17).fill(kept.length));'),
    endings: [fails('out_of_memory')],
  },
  'eats memory outside of the heap': {
    code: handler('const kept = []; for (;;) kept.push(Buffer.alloc(2 ** 20, "x"));'),
    endings: [fails('out_of_memory')],
  },
  'fills /tmp': {
    code: handler(
      'const fd = fs.openSync("/tmp/fill", "w"); try { for (;;) fs.writeSync(fd, Buffer.alloc(65536)); } catch (error) { return error.code; }',
    ),
    endings: [answers('"ENOSPC"')],
  },
  'writes garbage to every open descriptor': {
    code: handler(
      'for (let fd = 1; fd < 64; fd++) try { fs.writeSync(fd, "garbage".repeat(100)); } catch {}\nreturn 1;',
    ),
    endings: [answers('1'), fails('invalid_response'), fails('function_error')],
  },
  'writes garbage to the descriptors of every process': {
    code: handler(
      'for (const pid of fs.readdirSync("/proc").filter(Number)) { let fds = []; try { fds = fs.readdirSync(`/proc/${pid}/fd`); } catch {} for (const fd of fds) try { fs.writeSync(fs.openSync(`/proc/${pid}/fd/${fd}`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK), "garbage".repeat(100)); } catch {} }\nreturn 1;',
    ),
    endings: anything,
  },
  'writes forged frames to every open descriptor': {
    code:
      FORGED +
      handler('for (let fd = 1; fd < 64; fd++) try { fs.writeSync(fd, forged); } catch {}\nreturn "real";'),
    endings: [answers('"real"'), answers('"forged"'), fails('invalid_response'), fails('function_error')],
  },
  'writes forged frames to the descriptors of its agent': {
    code:
      FORGED +
      handler(
        'for (const fd of fs.readdirSync(`/proc/${process.ppid}/fd`)) try { fs.writeSync(fs.openSync(`/proc/${process.ppid}/fd/${fd}`, fs.constants.O_WRONLY | fs.constants.O_NONBLOCK), forged); } catch {}\nreturn "real";',
      ),
    endings: [answers('"real"'), answers('"forged"'), fails('invalid_response'), fails('function_error')],
  },
  'closes what it prints to': {
    code: handler('for (const fd of [0, 1, 2]) try { fs.closeSync(fd); } catch {}\nreturn "closed";'),
    endings: [answers('"closed"')],
  },
  'closes every descriptor': {
    code: handler('for (let fd = 0; fd < 64; fd++) try { fs.closeSync(fd); } catch {}\nreturn "closed";'),
    timeoutMs: 5_000,
    endings: [answers('"closed"'), fails('function_error'), fails('invalid_response')],
  },
  'ignores signals and never returns': {
    code: handler(
      'for (const name of ["SIGTERM", "SIGINT", "SIGHUP", "SIGPIPE"]) process.on(name, () => {}); for (;;) await sleep(1000);',
    ),
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'leaves daemons': {
    code: handler(
      'for (let n = 0; n < 5; n++) child.spawn("/bin/bash", ["-c", "trap \'\' TERM HUP; setsid sleep 1000 & disown; sleep 1000"], { detached: true, stdio: "ignore" }).unref();\nreturn "left";',
    ),
    endings: [answers('"left"')],
  },
  'kills its agent': {
    code: handler('process.kill(process.ppid, "SIGKILL"); await sleep(30000);'),
    endings: [fails('function_error')],
  },
  'kills every process': {
    code: handler('process.kill(-1, "SIGKILL"); await sleep(30000);'),
    endings: [fails('function_error')],
  },
  'stops its agent': {
    code: handler('process.kill(process.ppid, "SIGSTOP"); return 1;'),
    timeoutMs: 1_500,
    endings: [timesOut],
  },
  'writes to the memory of its agent': {
    code: handler(
      'let fd; try { fd = fs.openSync(`/proc/${process.ppid}/mem`, "r+"); } catch { return 1; }\nfor (const line of fs.readFileSync(`/proc/${process.ppid}/maps`, "utf8").split("\\n")) { const [range, mode] = line.split(" "); if (!mode?.startsWith("rw")) continue; try { fs.writeSync(fd, Buffer.alloc(65536, 0x41), 0, 65536, parseInt(range.split("-")[0], 16)); } catch {} }\nreturn 1;',
    ),
    timeoutMs: 5_000,
    endings: anything,
  },
  'answers with headers of 200 KB': {
    code: handler(
      'return { statusCode: 200, headers: Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`x-${n}`, "y".repeat(1000)])) };',
    ),
    endings: [fails('invalid_response')],
  },
  'streams after headers of 200 KB': {
    code: stream('yield { statusCode: 200, headers: { x: "y".repeat(200000) } }; yield "x";'),
    endings: [fails('invalid_response')],
  },
  'puts a line break into a header': {
    code: handler('return { statusCode: 200, headers: { x: "y\\r\\nset-cookie: a=b" }, body: "" };'),
    endings: [fails('invalid_response')],
  },
  'puts a line break into a streamed header': {
    code: stream('yield { statusCode: 200, headers: { x: "y\\r\\nset-cookie: a=b" } }; yield "x";'),
    endings: [fails('invalid_response')],
  },
  'answers with a status that is none': {
    code: handler('return { statusCode: 1000 };'),
    endings: [fails('invalid_response')],
  },
  'switches protocols': {
    code: handler('return { statusCode: 101 };'),
    endings: [fails('invalid_response')],
  },
  'streams with a status that is none': {
    code: stream('yield { statusCode: 99 }; yield "x";'),
    endings: [fails('invalid_response')],
  },
  'answers with endless depth': {
    code: handler('let value = []; for (let n = 0; n < 100000; n++) value = [value]; return value;'),
    endings: [fails('invalid_response')],
  },
  'answers with a loop': {
    code: handler('const value = {}; value.value = value; return value;'),
    endings: [fails('invalid_response')],
  },
  'answers with the names of prototypes': {
    code: handler(
      'return JSON.parse(`{"statusCode":200,"headers":{"__proto__":"x","constructor":"y"},"body":"","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`);',
    ),
    endings: [answers('')],
  },
  'replaces what its worker works with': {
    code: handler(
      'JSON.stringify = JSON.parse = () => { throw new Error("mine"); }; Buffer.from = Buffer.concat = () => { throw new Error("mine"); }; Array.prototype.push = () => { throw new Error("mine"); }; return 1;',
    ),
    timeoutMs: 5_000,
    endings: [answers('1'), fails('function_error'), fails('invalid_response')],
  },
  'streams for ever': {
    code: stream('for (;;) yield Buffer.alloc(65536, "x");'),
    endings: endsTooLarge,
  },
  'streams slowly for ever': {
    code: stream('for (;;) { yield "x"; await sleep(50); }'),
    timeoutMs: 1_500,
    endings: [cut('function_timeout')],
  },
  'dies while it streams': {
    code: stream('yield "x"; await sleep(200); process.kill(process.pid, "SIGKILL"); await sleep(5000);'),
    endings: [cut('function_error')],
  },
};
