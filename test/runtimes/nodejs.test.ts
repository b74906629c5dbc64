import { afterEach, describe, expect, test } from 'vitest';
import { Agent, gone, type Invoke, invoke, type Transcript } from './agent-driver.ts';
import { conformance } from './conformance.ts';

const command = {
  file: process.execPath,
  args: [new URL('../../runtimes/nodejs/agent.js', import.meta.url).pathname],
};

/** A handler that has the helper's functions and the file system at hand. */
function handler(body: string): string {
  return `import { input } from 'cronium';
import fs from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
export const handler = async (event, context) => { ${body} };`;
}

/** A handler that returns what the async generator yields. */
function generator(body: string): string {
  return handler(`return (async function* () { ${body} })();`);
}

const waitForGate =
  'while (!fs.existsSync(input().gate)) await new Promise((resolve) => setTimeout(resolve, 10));';

conformance({
  name: 'nodejs',
  runtime: 'nodejs',
  command,
  ownVariables: [],
  snippets: {
    answers: 'exports.handler = async () => 42;',
    answersObject:
      "exports.handler = () => ({ statusCode: 201, headers: { 'x-made': 'yes' }, body: 'made' });",
    outputsInput: "import { input, output } from 'cronium'; output(input());",
    outputsEvent: "const cronium = require('cronium'); cronium.output(cronium.event());",
    scriptPrints: "console.log('one'); console.error('err'); process.stdout.write('two\\n');",
    scriptOutputsTwice:
      "import cronium from 'cronium'; console.log('noise'); cronium.output(1); cronium.output(2);",
    scriptExits: "console.log('partial'); process.exit(3);",
    scriptSilent: 'const nothing = 1;',
    fails: "exports.handler = async () => { throw new Error('boom'); };",
    syntaxError: 'export const handler = () => {',
    environment: handler("return Object.entries(process.env).map((entry) => entry.join('=')).join('\\0');"),
    logsInOrder: handler(`
      console.log(1);
      console.error(2);
      spawnSync('sh', ['-c', 'echo 3; echo 4 >&2'], { stdio: 'inherit' });
      process.stdout.write('5\\n');
      return 1;`),
    echoesBytes: handler('return input();'),
    streams: generator(`yield 'first'; ${waitForGate} yield Buffer.from('second');`),
    streamsWithHead: generator("yield { statusCode: 202, headers: { 'X-Mine': 'yes' } }; yield 'body';"),
    streamFails: generator(`yield 'first'; ${waitForGate} throw new Error('late');`),
    streamsMuch: generator(
      'for (let left = input().bytes; left > 0; left -= 65536) yield Buffer.alloc(Math.min(left, 65536));',
    ),
    logsMuch: handler(`
      for (let left = input().bytes; left > 0; left -= 65536) fs.writeSync(left % 131072 ? 1 : 2, Buffer.alloc(Math.min(left, 65536), 'x'));
      return 1;`),
    answersMuch: handler("return 'x'.repeat(input().bytes - 2 + 2);"),
    answersNonsense: 'exports.handler = () => { const self = {}; self.self = self; return self; };',
    exits: 'exports.handler = async () => process.exit(3);',
    killsItself: "exports.handler = () => { process.kill(process.pid, 'SIGKILL'); while (true); };",
    writesEverywhere: handler(`
      for (let fd = 1; fd < 256; fd++) {
        try { for (let i = 0; i < 1000; i++) fs.writeSync(fd, 'garbage, garbage, garbage\\n'); } catch {}
      }
      return 1;`),
    closesOutput: handler("fs.closeSync(1); fs.closeSync(2); console.log('lost'); return 1;"),
    leavesChild: handler("return spawn('sleep', ['1000'], { stdio: 'inherit' }).pid;"),
    hangs: handler(`
      process.on('SIGTERM', () => {});
      const child = spawn('sleep', ['1000']);
      console.error(process.pid, child.pid);
      await new Promise(() => {});`),
    usesVariables: `
      import { deleteVariable, getVariable, incrementVariable, setVariable } from 'cronium';
      export const handler = async () => {
        const y = await getVariable('y');
        await setVariable('x', { a: [1, 'é'] });
        await deleteVariable('y');
        return [y, await getVariable('x'), await incrementVariable('n')];
      };`,
    setsVariable: `
      const cronium = require('cronium');
      exports.handler = async ({ body }) => {
        const { name, chars } = JSON.parse(body);
        try {
          await cronium.setVariable(name, 'x'.repeat(chars));
          return (await cronium.getVariable(name)).length;
        } catch (error) {
          return error.code + ': ' + error.message;
        }
      };`,
    readsAtOnce: `
      const { getVariable } = require('cronium');
      exports.handler = async () => {
        const [a, b, c] = await Promise.all(['a', 'b', 'c'].map(getVariable));
        return a + b + c;
      };`,
    incrementsForEver: `
      import { incrementVariable, output } from 'cronium';
      try {
        for (;;) await incrementVariable('n');
      } catch (error) {
        output(error.code + ': ' + error.message);
      }`,
    asksAndLeaves: `
      const { getVariable } = require('cronium');
      exports.handler = async () => {
        getVariable('x').catch(() => {});
        console.error('asked');
        return 1;
      };`,
  },
});

describe('nodejs', () => {
  const agents: Agent[] = [];

  afterEach(async () => {
    const all = agents.splice(0);
    await Promise.all(all.map((agent) => agent.dispose()));
    await Promise.all(all.map((agent) => gone(agent.pid)));
  });

  async function run(code: string, overrides: Partial<Invoke> = {}): Promise<Transcript> {
    const agent = await Agent.boot(command);
    agents.push(agent);
    return agent.run(invoke({ runtime: 'nodejs', code, ...overrides }));
  }

  async function answer(code: string, overrides: Partial<Invoke> = {}): Promise<unknown> {
    const { end, result } = await run(code, overrides);
    expect(end).toMatchObject({ status: 'ok' });
    return result?.value;
  }

  const limits = { logBytes: 262_144, responseBytes: 6_291_456, streamBytes: 104_857_600 };
  const generous = { timeout: 60_000 };

  const handlers: [string, string][] = [
    ['a named export', 'export const handler = async () => 42;'],
    ['an export after top-level await', 'const value = await 42; export const handler = () => value;'],
    ['a default export', 'export default () => 42;'],
    ['a default export that holds it', 'export default { handler: () => 42 };'],
    ['module.exports', 'module.exports = { handler: () => 42 };'],
    ['module.exports itself', 'module.exports = () => 42;'],
    ['exports under a computed name', "exports['hand' + 'ler'] = () => 42;"],
    ['a callback', 'exports.handler = (event, context, callback) => { setTimeout(callback, 1, null, 42); };'],
    ['TypeScript', 'export const handler = async (event: unknown): Promise<number> => 42;'],
    ['TypeScript in CommonJS', 'const value: number = 42; exports.handler = () => value;'],
  ];
  test.each(handlers)('a handler may be %s', generous, async (_name, code) => {
    expect(await answer(code)).toBe(42);
  });

  test('the name of the handler may be another', generous, async () => {
    const overrides = { handler: 'index.main' } as Partial<Invoke>;
    expect(await answer('exports.main = () => 42; exports.handler = () => 1;', overrides)).toBe(42);
  });

  test('the context is the one of AWS Lambda', generous, async () => {
    const code = `exports.handler = (event, context) => ({ ...context, left: context.getRemainingTimeInMillis() });`;
    expect(await answer(code)).toMatchObject({
      awsRequestId: 'test-invocation',
      functionName: 'test',
      functionVersion: '1',
      memoryLimitInMB: '512',
      left: expect.any(Number),
    });
  });

  test('a file is the main module of its process', generous, async () => {
    expect((await run('if (require.main === module) console.log("main");')).data.toString()).toBe('main\n');
    expect((await run('if (import.meta.main) console.log("main");')).data.toString()).toBe('main\n');
  });

  test('a script ends when its event loop is empty', generous, async () => {
    const { data, end } = await run('setTimeout(() => console.log("late"), 50); console.log("handler");');
    expect(end).toMatchObject({ status: 'ok', exit: { code: 0 } });
    expect(data.toString()).toBe('handler\nlate\n');
  });

  test('a script may end by process.exit(0)', generous, async () => {
    expect((await run('console.log("handler"); process.exit(0);')).data.toString()).toBe('handler\n');
  });

  test("a script's children print into the response and the log", generous, async () => {
    const { data, logs } = await run(
      "require('child_process').execSync('echo out; echo err > /dev/stderr', { stdio: 'inherit' })",
    );
    expect([data.toString(), logs]).toEqual(['out\n', 'err\n']);
  });

  test('what a handler module prints while it loads is log, in order', generous, async () => {
    const code =
      'console.log(1); console.error(2); console.log(3); exports.handler = () => { console.log(4); };';
    expect(await run(code)).toMatchObject({ logs: '1\n2\n3\n4\n', result: { value: null } });
  });

  test('a script that prints more than the limit', generous, async () => {
    const { end } = await run('while (true) console.log("x".repeat(10000));', {
      limits: { ...limits, streamBytes: 100_000 },
    });
    expect(end.error?.code).toBe('response_too_large');
  });

  test('timers that are left behind do not hold up the answer', generous, async () => {
    expect(await answer('exports.handler = () => { setInterval(() => {}, 1000); return 1; };')).toBe(1);
  });

  const values: [string, unknown][] = [
    ['undefined', null],
    ['NaN', null],
    ["'é\\u2028'", 'é\u2028'],
    ['new Map([[1, 2]])', {}],
    ['[1, undefined]', [1, null]],
    ['new Date(0)', '1970-01-01T00:00:00.000Z'],
  ];
  test.each(values)('%s as JSON', generous, async (expression, value) => {
    expect(await answer(`exports.handler = () => (${expression});`)).toEqual(value);
  });

  const errors: [string, string, object][] = [
    [
      'a BigInt',
      'exports.handler = () => 1n;',
      { code: 'invalid_response', message: expect.stringContaining('BigInt') },
    ],
    ['a function', 'exports.handler = () => () => 1;', { code: 'invalid_response' }],
    [
      'a chunk that is no bytes',
      'exports.handler = async function* () { yield 1; };',
      { code: 'invalid_response' },
    ],
    ['a text', 'exports.handler = () => { throw "boom"; };', { type: 'string', message: 'boom' }],
    ['null', 'exports.handler = () => Promise.reject(null);', { code: 'function_error', message: 'null' }],
    [
      'a hostile error',
      'exports.handler = () => { throw new Proxy({}, { get() { throw 1; } }); };',
      { code: 'function_error' },
    ],
    [
      'an unhandled rejection',
      'exports.handler = () => { Promise.reject(new Error("lost")); return new Promise((r) => setTimeout(r, 1e6)); };',
      { message: 'lost' },
    ],
    [
      'an exception in a timer',
      'exports.handler = () => new Promise(() => setTimeout(() => { throw new TypeError("timer"); }));',
      { type: 'TypeError', message: 'timer' },
    ],
    [
      'a promise that never settles',
      'exports.handler = () => new Promise(() => {});',
      { message: expect.stringContaining('without an answer') },
    ],
    [
      'a top-level await that never settles',
      'await new Promise(() => {});',
      { message: expect.stringContaining('without an answer') },
    ],
    [
      'an enum',
      'enum A { B } export const handler = () => A.B;',
      { message: expect.stringContaining('enum is not supported') },
    ],
    [
      'a SyntaxError of its own',
      'console.log("once"); JSON.parse("{"); exports.handler = 1;',
      { type: 'SyntaxError', message: expect.stringContaining('JSON') },
    ],
    ['a module that is not there', "import 'nowhere';", { message: expect.stringContaining('nowhere') }],
  ];
  test.each(errors)('%s is an error', generous, async (_name, code, error) => {
    const { end, result } = await run(code);
    expect(end.error).toMatchObject({ code: 'function_error', ...error });
    expect(result).toBeUndefined();
  });

  const traces: [string, string, RegExp][] = [
    [
      'CommonJS',
      'exports.handler = () => {\n\n  throw new Error("x"); };',
      /^Error: x\n {4}at .*main\.js:3:9\)?$/,
    ],
    [
      'an ES module',
      'export const handler = async () => {\n  throw new Error("x"); };',
      /^Error: x\n {4}at .*main\.js:2:9\)?$/,
    ],
    [
      'TypeScript',
      'interface A {\n  b: string }\nexport const handler = (a: A) => {\n  throw new Error("x"); };',
      /^Error: x\n {4}at .*main\.ts:4:9\)?$/,
    ],
    [
      'a script',
      'await null;\nthrow new Error("x", { cause: new TypeError("y") });',
      /^Error: x\n {4}at .*main\.js:2:7\n\[cause\]: TypeError: y\n {4}at .*main\.js:2:31$/,
    ],
    ['a syntax error in CommonJS', 'let a;\nlet b =;', /main\.js:2\n[\s\S]*SyntaxError/],
    ['a syntax error in an ES module', 'export let a;\nlet b =;', /main\.js:2\n[\s\S]*SyntaxError/],
  ];
  test.each(traces)("a trace names the function's own lines: %s", generous, async (_name, code, trace) => {
    expect((await run(code)).end.error?.trace).toMatch(trace);
  });

  test('a stream may be the body of a response object', generous, async () => {
    const { head, data } = await run(
      `exports.handler = () => ({ statusCode: 203, headers: { 'X-A': [1, 2] }, cookies: ['a=b'], body: new Blob(['text']).stream() });`,
    );
    expect(head).toEqual({ statusCode: 203, headers: { 'x-a': '1, 2' }, cookies: ['a=b'] });
    expect(data.toString()).toBe('text');
  });

  test('bytes may be the body of a response object', generous, async () => {
    const { head, data } = await run(
      'exports.handler = () => ({ statusCode: 200, body: new Uint8Array([0, 255]) });',
    );
    expect(head).toMatchObject({ statusCode: 200 });
    expect([...data]).toEqual([0, 255]);
  });

  test('a stream that fails before its first chunk has no head', generous, async () => {
    const { head, end } = await run('exports.handler = async function* () { throw new Error("early"); };');
    expect(head).toBeUndefined();
    expect(end.error).toMatchObject({ code: 'function_error', message: 'early' });
  });

  test('a full heap is out_of_memory', generous, async () => {
    const small = {
      file: 'env',
      args: ['CRONIUM_MEMORY_MB=128', command.file, ...command.args],
    };
    const agent = await Agent.boot(small);
    agents.push(agent);
    const code = 'exports.handler = () => { const all = []; while (true) all.push({ x: [all.length] }); };';
    const { end } = await agent.run(invoke({ runtime: 'nodejs', code }));
    expect(end.error?.code).toBe('out_of_memory');
  });

  const endings: [string, string, object][] = [
    ['process.abort()', 'process.abort()', { code: null, signal: 'SIGABRT' }],
    ['SIGSEGV', "process.kill(process.pid, 'SIGSEGV'); while (true);", { code: null, signal: 'SIGSEGV' }],
    ['process.exit(0)', 'process.exit(0)', { code: 0, signal: null }],
  ];
  test.each(endings)('%s in a handler is reported', generous, async (_name, body, exit) => {
    const { end } = await run(`exports.handler = async () => { ${body} };`);
    expect(end).toMatchObject({ error: { code: 'function_error' }, exit });
  });

  test('a function that closes every descriptor is ended', generous, async () => {
    const { end } = await run(`const fs = require('fs'); exports.handler = () => {
      for (let fd = 3; fd < 64; fd++) if (fs.existsSync('/proc/self/fd/' + fd) && fs.fstatSync(fd).isSocket()) fs.closeSync(fd);
      return new Promise((resolve) => setTimeout(resolve, 1e6)); };`);
    expect(end.error?.code).toBe('function_error');
  });

  test('a function that breaks the globals is still reported', generous, async () => {
    const code = `exports.handler = async () => {
      const broken = () => { throw new Error('broken'); };
      JSON.stringify = JSON.parse = Buffer.from = Buffer.alloc = Buffer.allocUnsafe = Reflect.apply = broken;
      Promise.prototype.then = Array.prototype.push = Function.prototype.call = Function.prototype.bind = broken;
      Object.prototype.toJSON = Uint8Array.prototype.set = String.prototype.slice = RegExp.prototype.test = broken;
      require('fs').writeSync = broken;
      return 42;
    };`;
    const fine = await run(code);
    expect([fine.end.status, fine.result]).toEqual(['ok', { value: 42 }]);
    const bad = await run(code.replace('return 42', 'throw new Error("mine")'));
    expect(bad.end.error).toMatchObject({ code: 'function_error', message: 'mine' });
  });

  test('a function that forges frames harms itself only', generous, async () => {
    const { end } = await run(`exports.handler = () => {
      require('fs').writeSync(3, Buffer.from([0x7f, 0xff, 0xff, 0xff, 0x85])); return 1; };`);
    expect(end.error?.code).toBe('response_too_large');
  });

  test('input() is null without a body, and a Buffer for bytes', generous, async () => {
    const code = "import { input } from 'cronium'; export const handler = () => input();";
    expect(await answer(code)).toBeNull();
    const event = { body: Buffer.from([255, 0]).toString('base64'), isBase64Encoded: true };
    expect([...(await run(code, { event })).data]).toEqual([255, 0]);
  });
});
