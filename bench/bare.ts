import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import type { Duplex, Readable, Writable } from 'node:stream';
import type Docker from 'dockerode';
import type { Runtime } from '../src/core/event.ts';
import type { Kernel } from '../src/core/isolation.ts';
import { messageOf } from '../src/errors.ts';
import { bubblewrapArgs, confined, type HostFiles } from '../src/sandbox/bubblewrap-args.ts';
import type { Cgroups } from '../src/sandbox/cgroups.ts';
import type { Dialect } from '../src/sandbox/dialect.ts';
import { containerOptions } from '../src/sandbox/hardening.ts';
import type { OciRuntime } from '../src/sandbox/oci-runtime.ts';
import { FIRST_SANDBOX_UID } from '../src/sandbox/uids.ts';
import { specOf, TRIVIAL } from './functions.ts';
import { pause } from './stats.ts';

/**
 * The floor: the least code that boots the same sandbox, hands the same call to the same agent and removes it. It has no pool,
 * no checks and none of the gateway's own parts but the arguments that make the sandbox the same.
 */
export interface Bare {
  /** Boots a sandbox until its agent has answered. */
  boot(runtime: Runtime): Promise<BareSandbox>;
}

export interface BareSandbox {
  /** Hands the trivial function over and waits for its END. */
  call(): Promise<void>;
  destroy(): Promise<void>;
}

/** An engine, and what it starts containers with. */
export interface BareEngine {
  docker: Docker;
  /** Has learnt how the engine wants to be spoken to, when something was booted before. */
  dialect: Dialect;
  ociRuntime: OciRuntime;
  kernel: Kernel;
}

export function bareContainers(
  { docker, dialect, ociRuntime, kernel }: BareEngine,
  imageOf: (runtime: Runtime) => string,
  instanceId: string,
): Bare {
  return {
    async boot(runtime) {
      const spec = specOf(runtime);
      const options = containerOptions({
        image: imageOf(runtime),
        name: `cronium-bench-${Math.random().toString(16).slice(2)}`,
        spec,
        uid: FIRST_SANDBOX_UID,
        instanceId,
        limitsEnabled: true,
        engineCpus: 64,
        level: 'basic',
        seccomp: undefined,
      });
      const container = await docker.createContainer(dialect.adapt(options, spec, ociRuntime, kernel));
      if (dialect.attachesAfterStart) await container.start();
      const socket = await attach(container);
      if (!dialect.attachesAfterStart) await container.start();
      const talk = await greet(socket, unwrapAttach);
      return {
        call: () => talk(runtime),
        async destroy() {
          socket.destroy();
          await remove(container);
        },
      };
    },
  };
}

/** Without the body that the library's own sends along, which Podman takes for standard input. */
function attach({ modem, id }: Docker.Container): Promise<Duplex> {
  const request = {
    path: `/containers/${id}/attach?`,
    method: 'POST',
    options: { stream: true, stdin: true, stdout: true, stderr: true },
    file: Buffer.alloc(0),
    isStream: true,
    hijack: true,
    statusCodes: { 200: true },
  };
  return new Promise((resolve, reject) => {
    modem.dial(request, (error: unknown, stream: Duplex) => (error ? reject(error) : resolve(stream)));
  });
}

/** Podman does not remove what ends by itself while it is about to kill it. */
async function remove(container: Docker.Container): Promise<void> {
  for (let triesLeft = 20; ; triesLeft -= 1) {
    try {
      return await container.remove({ force: true });
    } catch (error) {
      if (triesLeft === 0 || !/state improper/.test(messageOf(error))) throw error;
      await pause(10);
    }
  }
}

/** @param cgroups the same limits, where the gateway has them too */
export function bareBubblewrap(files: HostFiles, cgroups: Cgroups | undefined): Bare {
  let count = 0;
  const uid = process.getuid?.() === 0 ? 1_999_999_999 : undefined;
  return {
    async boot(runtime) {
      count += 1;
      const spec = specOf(runtime);
      const cgroup = cgroups?.create(String(count), spec);
      const bwrap = ['/usr/bin/bwrap', ...bubblewrapArgs(spec, files, true)];
      const [program, ...args] = confined(bwrap, uid, cgroup?.directories ?? []);
      // Opened each time: whoever reads it moves the place that all who share the descriptor read from.
      const filter = files.filter === undefined ? undefined : openSync(files.filter, 'r');
      const child = spawn(program!, args, {
        stdio: ['pipe', 'pipe', 'ignore', ...(filter === undefined ? [] : [filter])],
        env: {},
        detached: true,
      });
      if (filter !== undefined) closeSync(filter);
      const [stdin, stdout] = child.stdio as [Writable, Readable, ...unknown[]];
      const talk = await greet(
        { write: (chunk) => stdin.write(chunk), on: (event, listener) => stdout.on(event, listener) },
        (chunk) => chunk,
      );
      return {
        call: () => talk(runtime),
        async destroy() {
          child.kill('SIGKILL');
          if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
          await cgroup?.remove();
        },
      };
    },
  };
}

interface Channel {
  write(chunk: Buffer): unknown;
  on(event: 'data' | 'close', listener: (chunk: Buffer) => void): unknown;
}

const READY = 0x81;
const END = 0x86;

async function greet(
  channel: Channel,
  unwrap: (chunk: Buffer) => Buffer,
): Promise<(runtime: Runtime) => Promise<void>> {
  let awaited: { type: number; resolve: () => void; reject: (error: Error) => void } | undefined;
  let buffered = Buffer.alloc(0);
  channel.on('data', (chunk) => {
    buffered = Buffer.concat([buffered, unwrap(chunk)]);
    while (buffered.length >= 5 && buffered.length >= 5 + buffered.readUInt32BE(0)) {
      const type = buffered.readUInt8(4);
      buffered = buffered.subarray(5 + buffered.readUInt32BE(0));
      if (type === awaited?.type) awaited.resolve();
    }
  });
  channel.on('close', () => awaited?.reject(new Error('a bare sandbox ended without an answer')));
  const until = (type: number) =>
    new Promise<void>((resolve, reject) => (awaited = { type, resolve, reject }));
  const ready = until(READY);
  channel.write(frame(0x01, { protocol: 1 }));
  await ready;
  return (runtime) => {
    const ended = until(END);
    channel.write(
      frame(0x02, {
        runtime,
        invocationId: 'bench',
        functionName: 'bench',
        functionVersion: '1',
        memoryMb: 512,
        deadlineMs: Date.now() + 60_000,
        handler: 'handler',
        code: TRIVIAL[runtime],
        env: {},
        event: { version: '2.0', rawPath: '/', isBase64Encoded: false },
        limits: { logBytes: 262_144, responseBytes: 6_291_456, streamBytes: 104_857_600 },
      }),
    );
    return ended;
  };
}

function frame(type: number, value: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(value));
  const header = Buffer.alloc(5);
  header.writeUInt32BE(payload.length);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, payload]);
}

/** Takes the engine's 8-byte headers off; answers this small always come with their header in one piece. */
function unwrapAttach(chunk: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= chunk.length; ) {
    const length = chunk.readUInt32BE(at + 4);
    if (chunk.readUInt8(at) === 1) parts.push(chunk.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return Buffer.concat(parts);
}
