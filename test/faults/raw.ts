import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const DEADLINE_MS = 20_000;

/** A socket on which a test says what it likes. */
export class Raw implements Disposable {
  readonly socket: Socket;
  text = '';
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.text += chunk;
    });
    // A reset is an end like any other.
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  static async to(port: number): Promise<Raw> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const raw = new Raw(socket);
    await once(socket, 'connect');
    return raw;
  }

  write(bytes: string | Buffer): this {
    this.socket.write(bytes);
    return this;
  }

  /** Waits until what came back matches. */
  async until(pattern: RegExp): Promise<string> {
    for (const deadline = Date.now() + DEADLINE_MS; Date.now() < deadline; await sleep(5)) {
      if (pattern.test(this.text)) return this.text;
      if (this.socket.destroyed) break;
    }
    throw new Error(`${pattern} never came, but ${JSON.stringify(this.text)}`);
  }

  /** All that came, once the other side has closed. */
  async toEnd(): Promise<string> {
    const timer = AbortSignal.timeout(DEADLINE_MS);
    await Promise.race([this.closed, once(timer, 'abort')]);
    if (!this.socket.destroyed) throw new Error(`still open after ${JSON.stringify(this.text)}`);
    return this.text;
  }

  /** Hangs up without another word. */
  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Says it all at once, and reads until the other side closes. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  using raw = await Raw.to(port);
  return await raw.write(bytes).toEnd();
}

/** A request, which asks for the connection to be closed after it unless its headers say otherwise. */
export function request(line: string, headers: readonly string[] = ['connection: close'], body = ''): string {
  return [`${line} HTTP/1.1`, 'host: gateway', ...headers, '', body].join('\r\n');
}

/** The statuses of the responses in what came. */
export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
}

/** The body of the only response in it, as a problem. */
export function problemIn(text: string): { status: number; code: string } {
  const at = text.indexOf('\r\n\r\n');
  const head = text.slice(0, at).toLowerCase();
  if (!head.includes('content-type: application/problem+json')) throw new Error(`no problem: ${text}`);
  return JSON.parse(text.slice(at + 4)) as { status: number; code: string };
}
