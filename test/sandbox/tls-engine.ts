import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { createServer, type Server } from 'node:tls';

/** An engine's socket behind TLS, as dockerd's `--tlsverify` has it: who has no certificate of its authority is not let in. */
export class TlsEngine implements AsyncDisposable {
  /** Certificates of a client that it lets in, by the names that the docker command gives them. */
  readonly certPath = mkdtempSync(join(tmpdir(), 'cronium-tls-'));
  readonly #server: Server;
  readonly #sockets = new Set<{ destroy(): void }>();
  /** Connections that were let in. */
  connections = 0;

  private constructor(socketPath: string, certified: Certified) {
    makeCertificates(this.certPath, certified);
    const read = (name: string) => readFileSync(join(this.certPath, name));
    const secured = { key: read('server-key.pem'), cert: read('server.pem'), ca: read('ca.pem') };
    this.#server = createServer({ ...secured, requestCert: true, rejectUnauthorized: true }, (client) => {
      this.connections += 1;
      const engine = connect({ path: socketPath, allowHalfOpen: true });
      for (const socket of [client, engine]) this.#sockets.add(socket);
      pipeline(client, engine, () => {});
      pipeline(engine, client, () => {});
    });
    this.#server.on('tlsClientError', () => {});
  }

  static async inFrontOf(socketPath: string, certified: Certified = {}): Promise<TlsEngine> {
    const engine = new TlsEngine(socketPath, certified);
    await new Promise<void>((resolve) => engine.#server.listen(0, '127.0.0.1', resolve));
    return engine;
  }

  get host(): string {
    return `tcp://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.certPath, { recursive: true });
  }
}

/** What the engine's certificate says. */
export interface Certified {
  name?: string;
  /** With 0 it has expired as soon as its second is over. */
  days?: number;
}

/** An authority, and what it vouches for: the engine at 127.0.0.1, when not told otherwise, and one client. */
export function makeCertificates(folder: string, { name = 'IP:127.0.0.1', days = 2 }: Certified = {}): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=ca');
  writeFileSync(join(folder, 'server.ext'), `subjectAltName=${name}\nextendedKeyUsage=serverAuth\n`);
  writeFileSync(join(folder, 'client.ext'), 'extendedKeyUsage=clientAuth\n');
  const vouch = (name: string, keyFile: string, certificate: string) => {
    openssl('req', ...key, '-keyout', keyFile, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-days', String(days)];
    openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', `${name}.ext`, '-out', certificate);
  };
  vouch('server', 'server-key.pem', 'server.pem');
  vouch('client', 'key.pem', 'cert.pem');
}
