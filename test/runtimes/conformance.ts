import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import {
  Agent,
  type AgentCommand,
  type Frame,
  FrameType,
  frame,
  gone,
  type Invoke,
  invoke,
  type Transcript,
} from './agent-driver.ts';

/** What a language cannot do at all is skipped, with the reason in the test's name. */
export type Snippet = string | { unsupported: string };

/**
 * One piece of code for each behaviour, in the language under test. `input` is what the helper's `input()` gives.
 * "Answers" means a RESULT: what a handler returns, or what a script hands to `output`.
 */
export interface Snippets {
  /** Answers 42. */
  answers: Snippet;
  /** Answers `{"statusCode":201,"headers":{"x-made":"yes"},"body":"made"}`. */
  answersObject: Snippet;
  /** A script that hands `input()` to `output`. */
  outputsInput: Snippet;
  /** A script that hands `event()` to `output`. */
  outputsEvent: Snippet;
  /** A script: "one\n" to stdout, "err\n" to stderr, "two\n" to stdout. */
  scriptPrints: Snippet;
  /** A script: prints "noise\n" to stdout, then output(1), then output(2). */
  scriptOutputsTwice: Snippet;
  /** A script: prints "partial\n" to stdout and ends with status 3. */
  scriptExits: Snippet;
  /** A script that prints nothing and outputs nothing. */
  scriptSilent: Snippet;
  /** Throws an error whose message is "boom" (Bash: says "boom" to stderr, status 1). */
  fails: Snippet;
  /** Does not parse. */
  syntaxError: Snippet;
  /** Answers, or prints as a script, its environment: `NAME=value` entries joined by NUL. */
  environment: Snippet;
  /** "1\n" to stdout, "2\n" to stderr, "3\n" and "4\n" from a child to stdout and stderr, "5\n" to stdout; answers 1. */
  logsInOrder: Snippet;
  /** Responds with the bytes of the body, through HEAD and DATA. */
  echoesBytes: Snippet;
  /** Streams "first", waits until the file `input.gate` is there, streams "second". */
  streams: Snippet;
  /** Streams after a HEAD of its own: 202 and `x-mine: yes`, then "body". */
  streamsWithHead: Snippet;
  /** Streams "first", waits until the file `input.gate` is there, then fails with "late". */
  streamFails: Snippet;
  /** Streams `input.bytes` bytes in pieces of 64 KiB. */
  streamsMuch: Snippet;
  /** Prints `input.bytes` bytes as log in pieces of 64 KiB or less, then answers 1. */
  logsMuch: Snippet;
  /** Answers a text of `input.bytes` characters. */
  answersMuch: Snippet;
  /** Answers a value that JSON cannot hold. */
  answersNonsense: Snippet;
  /** Ends its process with status 3 before it answers. */
  exits: Snippet;
  /** Ends its process with SIGKILL. */
  killsItself: Snippet;
  /** Writes the text "garbage, garbage, garbage\n" many times to every open descriptor from 1 to 255; then answers 1. */
  writesEverywhere: Snippet;
  /** Closes descriptors 1 and 2, then answers 1. */
  closesOutput: Snippet;
  /** Starts `sleep 1000` in the background, which inherits its descriptors; answers the pid as a number. */
  leavesChild: Snippet;
  /** Ignores SIGTERM, starts `sleep 1000`, logs "pid-of-itself pid-of-child\n" to stderr and waits for ever. */
  hangs: Snippet;
  /** Sets x to {"a":[1,"é"]} and n to what is one more, deletes y; answers what y was before, x, and n: `[null,{"a":[1,"é"]},1]`. */
  usesVariables: Snippet;
  /** Sets the variable `input.name` to a text of `input.chars` characters, reads it and answers its length; or answers the error as text. */
  setsVariable: Snippet;
  /** Reads the variables a, b and c at once, and answers the sum. */
  readsAtOnce: Snippet;
  /** Increments n until that fails, and answers the error as text. */
  incrementsForEver: Snippet;
  /** Asks for x in the background, prints "asked\n" as log when that has begun, and answers 1 without waiting. */
  asksAndLeaves: Snippet;
}

export interface Language {
  name: string;
  runtime: string;
  command: AgentCommand;
  /** Variables that the interpreter adds by itself, beside `PATH`, `HOME`, `LANG` and `TZ`. */
  ownVariables: string[];
  snippets: Snippets;
}

const generous = { timeout: 30_000 };

/** The behaviour of runtimes/PROTOCOL.md that is the same in every language. */
export function conformance(language: Language): void {
  const { command, runtime, snippets } = language;
  const agents: Agent[] = [];

  afterEach(async () => {
    const all = agents.splice(0);
    await Promise.all(all.map((agent) => agent.dispose()));
    await Promise.all(all.map((agent) => gone(agent.pid)));
  });

  async function start(): Promise<Agent> {
    const agent = await Agent.start(command);
    agents.push(agent);
    return agent;
  }

  async function boot(): Promise<Agent> {
    const agent = await Agent.boot(command);
    agents.push(agent);
    return agent;
  }

  function call(code: string, overrides: Partial<Invoke> = {}): Invoke {
    return invoke({ runtime, code, ...overrides });
  }

  async function run(code: string, overrides: Partial<Invoke> = {}): Promise<Transcript> {
    const agent = await boot();
    const transcript = await agent.run(call(code, overrides));
    expectOrder(transcript.frames);
    return transcript;
  }

  /** A test of one snippet. */
  function it(name: string, snippet: keyof Snippets, body: (code: string) => Promise<void>): void {
    const code = snippets[snippet];
    if (typeof code === 'string') test(name, generous, () => body(code));
    else test.skip(`${name} (${code.unsupported})`, () => {});
  }

  describe(`${language.name}: handshake`, () => {
    test('says nothing before HELLO, then READY', generous, async () => {
      const agent = await start();
      await new Promise((resolve) => setTimeout(resolve, 200));
      expect(agent.received).toHaveLength(0);
      agent.write(frame(FrameType.hello, '{"protocol":1}'));
      const ready = await agent.next();
      expect(ready?.type).toBe(FrameType.ready);
      expect(JSON.parse(ready!.payload.toString())).toMatchObject({
        protocol: 1,
        runtime,
        runtimeVersion: expect.stringMatching(/^\d+\.\d+/),
        features: ['variables'],
      });
    });

    test('takes HELLO one byte at a time, with members that it does not know', generous, async () => {
      const agent = await start();
      for (const byte of frame(FrameType.hello, '{ "later": [1], "protocol": 1 }')) {
        agent.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      expect((await agent.next())?.type).toBe(FrameType.ready);
    });

    it('takes HELLO and INVOKE in one piece', 'answers', async (code) => {
      const agent = await start();
      const bytes = frame(FrameType.invoke, JSON.stringify({ ...call(code), later: true }));
      agent.write(Buffer.concat([frame(FrameType.hello, '{"protocol":1}'), bytes]));
      expect((await agent.next())?.type).toBe(FrameType.ready);
      expect((await agent.transcript()).result).toEqual({ value: 42 });
    });

    test('exits with 0 when the channel closes', generous, async () => {
      const fresh = await start();
      fresh.close();
      const booted = await boot();
      booted.close();
      expect(await Promise.all([fresh.exited, booted.exited])).toEqual([
        { code: 0, signal: null },
        { code: 0, signal: null },
      ]);
    });
  });

  describe(`${language.name}: faults of the gateway end the agent with a status`, () => {
    async function expectFault(agent: Agent): Promise<void> {
      const { code } = await agent.exited;
      expect(code).toBeGreaterThan(0);
    }

    const greetings: [string, Buffer][] = [
      ['an unknown type', frame(0x77, '{}')],
      ['INVOKE before HELLO', frame(FrameType.invoke, '{}')],
      ['HELLO over its limit', frame(FrameType.hello, `{"protocol":1,"x":"${'x'.repeat(5000)}"}`)],
      ['HELLO that is not JSON', frame(FrameType.hello, 'protocol=1')],
      ['HELLO that is no object', frame(FrameType.hello, '[1]')],
      ['another protocol', frame(FrameType.hello, '{"protocol":2}')],
    ];
    test.each(greetings)('%s', generous, async (_name, bytes) => {
      const agent = await start();
      agent.write(bytes);
      await expectFault(agent);
      expect(agent.received).toHaveLength(0);
    });

    const calls: [string, Buffer][] = [
      ['INVOKE that is not JSON', frame(FrameType.invoke, '{"runtime":')],
      ['INVOKE that is no object', frame(FrameType.invoke, '"code"')],
      ['INVOKE without code', frame(FrameType.invoke, '{}')],
      ['INVOKE over its limit', Buffer.of(0x04, 0x00, 0x00, 0x01, FrameType.invoke)],
      ['a second HELLO', frame(FrameType.hello, '{"protocol":1}')],
    ];
    test.each(calls)('%s', generous, async (_name, bytes) => {
      const agent = await boot();
      agent.write(bytes);
      await expectFault(agent);
      expect(agent.unread).toHaveLength(0);
    });

    test('a frame that is cut off', generous, async () => {
      const inHeader = await start();
      inHeader.write(Buffer.of(0, 0, 0));
      inHeader.close();
      const inPayload = await boot();
      inPayload.write(frame(FrameType.invoke, JSON.stringify(call('x'))).subarray(0, 40));
      inPayload.close();
      await expectFault(inHeader);
      await expectFault(inPayload);
    });
  });

  describe(`${language.name}: responses`, () => {
    it('a whole value is a RESULT', 'answers', async (code) => {
      const { end, result, head, logs } = await run(code);
      expect(end).toMatchObject({ status: 'ok', droppedLogBytes: 0 });
      expect(result).toEqual({ value: 42 });
      expect(head).toBeUndefined();
      expect(logs).toBe('');
    });

    it('a response object is a RESULT as it is', 'answersObject', async (code) => {
      const { result } = await run(code);
      expect(result?.value).toEqual({ statusCode: 201, headers: { 'x-made': 'yes' }, body: 'made' });
    });

    it('what a script prints is the response, and its stderr the log', 'scriptPrints', async (code) => {
      const { end, head, data, logs } = await run(code);
      expect(end.status).toBe('ok');
      expect(head).toMatchObject({
        statusCode: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
      });
      expect(data.toString()).toBe('one\ntwo\n');
      expect(logs).toBe('err\n');
    });

    it(
      'the last output() of a script is the RESULT, its stdout the log',
      'scriptOutputsTwice',
      async (code) => {
        const { head, result, logs } = await run(code);
        expect(result).toEqual({ value: 2 });
        expect(head).toBeUndefined();
        expect(logs).toBe('noise\n');
      },
    );

    it('a script that does nothing has no response', 'scriptSilent', async (code) => {
      const { frames, end } = await run(code);
      expect(frames).toHaveLength(1);
      expect(end.status).toBe('ok');
    });

    it('bytes go in and out unchanged', 'echoesBytes', async (code) => {
      const bytes = Buffer.from(Array.from({ length: 4096 }, (_, index) => index % 256));
      const event = { version: '2.0', body: bytes.toString('base64'), isBase64Encoded: true };
      const { head, data } = await run(code, { event });
      expect(head?.statusCode).toBe(200);
      expect(data.equals(bytes)).toBe(true);
    });
  });

  describe(`${language.name}: what a function is given`, () => {
    const bodies: [string, string | undefined, unknown][] = [
      ['JSON', '{"a":[1,"é\\n\u{1f600}"]}', { a: [1, 'é\n\u{1f600}'] }],
      ['a number', '12', 12],
      ['text', 'plain é text', 'plain é text'],
    ];
    for (const [name, body, value] of bodies) {
      it(`input() is the body: ${name}`, 'outputsInput', async (code) => {
        const { result } = await run(code, { event: { version: '2.0', body, isBase64Encoded: false } });
        expect(result).toEqual({ value });
      });
    }

    it('event() is the whole event', 'outputsEvent', async (code) => {
      const event = {
        version: '2.0',
        headers: { 'x-a': 'it\'s "é" \\n $HOME `id`' },
        body: '1\n2',
        list: [null, 1.5],
      };
      expect((await run(code, { event })).result).toEqual({ value: event });
    });

    it('the environment is the one of the call', 'environment', async (code) => {
      const env = { CRONIUM_EVENT_ID: 'e1', MY_SECRET: 'a=b\n"c" é $HOME', EMPTY: '' };
      const seen = environmentOf(await run(code, { env }));
      for (const [name, value] of Object.entries(env)) expect(seen[name]).toBe(value);
      const allowed = ['PATH', 'HOME', 'LANG', 'TZ', ...Object.keys(env), ...language.ownVariables];
      expect(Object.keys(seen).filter((name) => !allowed.includes(name))).toEqual([]);
      expect(seen.HOME).toBe('/tmp');
    });
  });

  describe(`${language.name}: logs`, () => {
    it('come in the order of printing, from children too', 'logsInOrder', async (code) => {
      const { result, logs } = await run(code);
      expect(result).toEqual({ value: 1 });
      expect(logs).toBe('1\n2\n3\n4\n5\n');
    });

    it('past the limit are read, thrown away and counted', 'logsMuch', async (code) => {
      const bytes = 8 * 2 ** 20;
      const { logs, end, result } = await run(code, {
        event: bodyOf({ bytes }),
        limits: limits({ logBytes: 1000 }),
      });
      expect(result).toEqual({ value: 1 });
      expect(Buffer.byteLength(logs)).toBe(1000);
      expect(end.droppedLogBytes).toBe(bytes - 1000);
    });

    it('end with the call, though a child holds the pipe', 'leavesChild', async (code) => {
      const agent = await boot();
      const { result, end } = await agent.run(call(code));
      expect(end.status).toBe('ok');
      agent.close();
      expect((await agent.exited).code).toBe(0);
      await gone(result?.value as number);
    });
  });

  describe(`${language.name}: streaming`, () => {
    async function openGate(agent: Agent, code: string): Promise<Transcript> {
      const gate = join(agent.scratch, 'gate');
      return agent.run(call(code, { event: bodyOf({ gate }) }), async ({ type }) => {
        if (type === FrameType.data) await writeFile(gate, '');
      });
    }

    it('a chunk is sent before the next one exists', 'streams', async (code) => {
      const { frames, head, data, end } = await openGate(await boot(), code);
      expectOrder(frames);
      expect(end.status).toBe('ok');
      expect(head?.statusCode).toBe(200);
      expect(frames.find(({ type }) => type === FrameType.data)?.payload.toString()).toBe('first');
      expect(data.toString()).toBe('firstsecond');
    });

    it('a function may give the head', 'streamsWithHead', async (code) => {
      const { head, data } = await run(code);
      expect(head).toMatchObject({ statusCode: 202, headers: { 'x-mine': 'yes' } });
      expect(data.toString()).toBe('body');
    });

    it('a failure half way ends the stream with the error', 'streamFails', async (code) => {
      const { head, data, end } = await openGate(await boot(), code);
      expect(head?.statusCode).toBe(200);
      expect(data.toString()).toBe('first');
      expect(end.error).toMatchObject({ code: 'function_error', message: expect.stringContaining('late') });
    });

    it('a reader that stops holds the function back and loses nothing', 'streamsMuch', async (code) => {
      const bytes = 16 * 2 ** 20;
      const agent = await boot();
      agent.send(call(code, { event: bodyOf({ bytes }) }));
      agent.pause();
      await new Promise((resolve) => setTimeout(resolve, 300));
      agent.resume();
      const { data, end } = await agent.transcript();
      expect(end.status).toBe('ok');
      expect(data).toHaveLength(bytes);
    });
  });

  describe(`${language.name}: limits`, () => {
    it('a result over the limit is not sent', 'answersMuch', async (code) => {
      const large = await run(code, {
        event: bodyOf({ bytes: 2000 }),
        limits: limits({ responseBytes: 1000 }),
      });
      expect(large.end.error?.code).toBe('response_too_large');
      expect(large.result).toBeUndefined();
      const fits = await run(code, {
        event: bodyOf({ bytes: 998 }),
        limits: limits({ responseBytes: 1000 }),
      });
      expect(fits.result).toEqual({ value: 'x'.repeat(998) });
    });

    it('a stream over the limit is cut', 'streamsMuch', async (code) => {
      const streamBytes = 100_000;
      const { data, end } = await run(code, {
        event: bodyOf({ bytes: 2 ** 20 }),
        limits: limits({ streamBytes }),
      });
      expect(end.error?.code).toBe('response_too_large');
      expect(data.length).toBeLessThanOrEqual(streamBytes);
    });

    it('a message and a trace are bounded', 'fails', async (code) => {
      const { end } = await run(code.replaceAll('boom', 'boom'.repeat(5000)));
      expect(Buffer.byteLength(end.error!.message)).toBeLessThanOrEqual(8192);
      expect(Buffer.byteLength(end.error!.trace ?? '')).toBeLessThanOrEqual(65_536);
    });
  });

  describe(`${language.name}: failures`, () => {
    it('an error is reported with its message', 'fails', async (code) => {
      const { end, result, head } = await run(code);
      expect(end).toMatchObject({
        status: 'error',
        error: { code: 'function_error', message: expect.stringContaining('boom') },
      });
      expect([result, head]).toEqual([undefined, undefined]);
    });

    it('code that does not parse is an error of the function', 'syntaxError', async (code) => {
      expect((await run(code)).end.error).toMatchObject({ code: 'function_error' });
    });

    it('a script that ends with a status has only logs', 'scriptExits', async (code) => {
      const { end, head, logs } = await run(code);
      expect(end).toMatchObject({ error: { code: 'function_error' }, exit: { code: 3, signal: null } });
      expect(head).toBeUndefined();
      expect(logs).toBe('partial\n');
    });

    it('a value that is no JSON is an invalid response', 'answersNonsense', async (code) => {
      expect((await run(code)).end.error?.code).toBe('invalid_response');
    });

    it('a process that exits before it answers', 'exits', async (code) => {
      const { end } = await run(code);
      expect(end).toMatchObject({ error: { code: 'function_error' }, exit: { code: 3, signal: null } });
    });

    it('a process that is killed', 'killsItself', async (code) => {
      const { end } = await run(code);
      expect(end).toMatchObject({
        error: { code: 'function_error' },
        exit: { code: null, signal: 'SIGKILL' },
      });
    });

    it('writing to every descriptor cannot break the protocol', 'writesEverywhere', async (code) => {
      const agent = await boot();
      const { end, frames } = await agent.run(call(code));
      expectOrder(frames);
      if (end.status === 'error') expect(['invalid_response', 'function_error']).toContain(end.error?.code);
      await expectSilence(agent);
    });

    it('a function may close its output', 'closesOutput', async (code) => {
      expect((await run(code)).end.status).toBe('ok');
    });
  });

  describe(`${language.name}: variables`, () => {
    const calls = (allowed: number) => ({ limits: limits({ calls: allowed }) });

    it('are asked for over the channel, in one CALL after the other', 'usesVariables', async (code) => {
      const gateway = new Variables(await boot());
      const { result, frames, end } = await gateway.run(call(code, calls(10)));
      expect(end.status).toBe('ok');
      expect(result).toEqual({ value: [null, { a: [1, 'é'] }, 1] });
      expectOrder(frames);
      expect(gateway.asked.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5]);
      expect(gateway.asked.find(({ method }) => method === 'variable.set')).toEqual({
        id: expect.any(Number),
        method: 'variable.set',
        name: 'x',
        value: expect.stringMatching(/^\{"a": ?\[1, ?"(é|\\u00e9)"\]\}$/),
      });
    });

    it('of 64 KiB go there and back', 'setsVariable', async (code) => {
      const gateway = new Variables(await boot());
      const event = bodyOf({ name: 'big', chars: 65_534 });
      expect((await gateway.run(call(code, { ...calls(10), event }))).result).toEqual({ value: 65_534 });
    });

    it('that are larger are refused, and not sent', 'setsVariable', async (code) => {
      const gateway = new Variables(await boot());
      const event = bodyOf({ name: 'big', chars: 65_535 });
      const { result } = await gateway.run(call(code, { ...calls(10), event }));
      expect(result?.value).toContain('value_too_large');
      expect(gateway.asked).toEqual([]);
    });

    it('what the gateway refuses is an error of the language', 'setsVariable', async (code) => {
      const gateway = new Variables(await boot());
      gateway.refusal = { code: 'quota_exceeded', message: 'too many é' };
      const { result } = await gateway.run(
        call(code, { ...calls(10), event: bodyOf({ name: 'x', chars: 1 }) }),
      );
      expect(result?.value).toContain('quota_exceeded');
      expect(result?.value).toContain('too many é');
    });

    it('at once wait for one another', 'readsAtOnce', async (code) => {
      const gateway = new Variables(await boot(), { a: '1', b: '2', c: '4' });
      gateway.delayMs = 20;
      expect((await gateway.run(call(code, calls(10)))).result).toEqual({ value: 7 });
      expect(gateway.mostAtOnce).toBe(1);
    });

    it('are to be had so many times and no more', 'incrementsForEver', async (code) => {
      const gateway = new Variables(await boot());
      expect((await gateway.run(call(code, calls(3)))).result?.value).toContain('too_many_calls');
      expect(gateway.asked).toHaveLength(3);
    });

    it('are an error where the gateway has none', 'incrementsForEver', async (code) => {
      expect((await run(code)).result?.value).toContain('not_available');
    });

    it('that nobody waits for any more change nothing', 'asksAndLeaves', async (code) => {
      const agent = await boot();
      const asked: number[] = [];
      const { result, end } = await agent.run(call(code, calls(10)), ({ type, payload }) => {
        if (type === FrameType.call) asked.push(JSON.parse(payload.toString()).id);
      });
      expect([result, end.status]).toEqual([{ value: 1 }, 'ok']);
      for (const id of asked) agent.write(frame(FrameType.reply, JSON.stringify({ id, ok: true })));
      await expectSilence(agent);
    });

    const wrong: [string, (id: number) => Buffer][] = [
      ['to another CALL', (id) => frame(FrameType.reply, JSON.stringify({ id: id + 1, ok: true }))],
      ['that is not JSON', () => frame(FrameType.reply, '{')],
      ['over its limit', () => Buffer.of(0x00, 0x04, 0x00, 0x01, FrameType.reply)],
    ];
    for (const [name, bytes] of wrong) {
      it(`a REPLY ${name} ends the agent with a status`, 'usesVariables', async (code) => {
        const agent = await boot();
        agent.send(call(code, calls(10)));
        const asked = await agent.next();
        expect(asked?.type).toBe(FrameType.call);
        agent.write(bytes(JSON.parse(asked!.payload.toString()).id));
        expect((await agent.exited).code).toBeGreaterThan(0);
      });
    }

    it('a REPLY that nobody waits for ends the agent with a status', 'hangs', async (code) => {
      const agent = await boot();
      agent.send(call(code, calls(10)));
      const pids = (await agent.next())!.payload.toString().trim().split(' ').map(Number);
      agent.write(frame(FrameType.reply, '{"id":1,"ok":true}'));
      expect((await agent.exited).code).toBeGreaterThan(0);
      await Promise.all(pids.map(gone));
    });
  });

  describe(`${language.name}: the end`, () => {
    it('nothing follows END, and the agent stays until the channel closes', 'answers', async (code) => {
      const agent = await boot();
      await agent.run(call(code));
      await expectSilence(agent);
    });

    it('the function and its children go with the channel', 'hangs', async (code) => {
      const agent = await boot();
      agent.send(call(code));
      const log = await agent.next();
      expect(log?.type).toBe(FrameType.log);
      const pids = log!.payload.toString().trim().split(' ').map(Number);
      expect(pids).toHaveLength(2);
      agent.close();
      expect((await agent.exited).code).toBe(0);
      await Promise.all(pids.map(gone));
      expect(agent.unread).toHaveLength(0);
    });
  });
}

interface Asked {
  id: number;
  method: string;
  name: string;
  value?: string;
  by?: number;
}

/** The gateway's side of variables, as simple as can be. */
class Variables {
  readonly asked: Asked[] = [];
  mostAtOnce = 0;
  delayMs = 0;
  refusal: { code: string; message: string } | undefined;
  readonly #agent: Agent;
  readonly #kept: Map<string, string>;
  #open = 0;

  constructor(agent: Agent, kept: Record<string, string> = {}) {
    this.#agent = agent;
    this.#kept = new Map(Object.entries(kept));
  }

  run(invocation: Invoke): Promise<Transcript> {
    return this.#agent.run(invocation, ({ type, payload }) => {
      if (type === FrameType.call) this.#answer(JSON.parse(payload.toString()));
    });
  }

  #answer(asked: Asked): void {
    this.asked.push(asked);
    this.#open += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#open);
    const answer = this.refusal ? { ok: false, error: this.refusal } : { ok: true, ...this.#done(asked) };
    setTimeout(() => {
      this.#open -= 1;
      this.#agent.write(frame(FrameType.reply, JSON.stringify({ id: asked.id, ...answer, later: [1] })));
    }, this.delayMs);
  }

  #done({ method, name, value, by }: Asked): object {
    const before = this.#kept.get(name);
    if (method === 'variable.delete') return { existed: this.#kept.delete(name) };
    const after = { 'variable.set': value, 'variable.increment': String(Number(before ?? 0) + by!) }[method];
    if (after !== undefined) this.#kept.set(name, after);
    if (method === 'variable.set') return { revision: 'r' };
    const found = after ?? before;
    return found === undefined ? {} : { value: found, revision: 'r' };
  }
}

/** Closes the channel after END and expects that not a byte follows. */
async function expectSilence(agent: Agent): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  agent.close();
  expect((await agent.exited).code).toBe(0);
  expect(agent.unread).toHaveLength(0);
}

/** The order that the protocol prescribes: LOG and CALL anywhere; RESULT, or HEAD and DATA; one END, the last. */
function expectOrder(frames: Frame[]): void {
  const letters: Record<number, string> = { 130: 'H', 131: 'D', 132: '', 133: 'R', 134: 'E', 135: '' };
  expect(frames.map(({ type }) => letters[type] ?? '?').join('')).toMatch(/^(R|HD*)?E$/);
}

function bodyOf(input: unknown): unknown {
  return { version: '2.0', body: JSON.stringify(input), isBase64Encoded: false };
}

function limits(overrides: Partial<Invoke['limits']>): Invoke['limits'] {
  return { logBytes: 262_144, responseBytes: 6_291_456, streamBytes: 104_857_600, ...overrides };
}

function environmentOf({ result, data }: Transcript): Record<string, string> {
  const text = result ? String(result.value) : data.toString();
  const entries = text.split('\0').filter((entry) => entry !== '');
  return Object.fromEntries(
    entries.map((entry) => {
      const cut = entry.indexOf('=');
      return [entry.slice(0, cut), entry.slice(cut + 1)];
    }),
  );
}
