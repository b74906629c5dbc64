import { LambdaClient, type LambdaClientConfig } from '@aws-sdk/client-lambda';
import { Harness, listen } from './harness.ts';

/** A gateway at an address, with the functions `hello` and, for everybody, `open`, and AWS's own clients of it. */
export class LambdaDoor implements AsyncDisposable {
  readonly gateway: Harness;
  readonly #server: Awaited<ReturnType<typeof listen>>;
  readonly #clients: LambdaClient[] = [];

  private constructor(gateway: Harness, server: Awaited<ReturnType<typeof listen>>) {
    this.gateway = gateway;
    this.#server = server;
  }

  static async open(answer: Harness['answer']): Promise<LambdaDoor> {
    const gateway = await Harness.open();
    gateway.answer = answer;
    await gateway.deploy();
    await gateway.deploy({ name: 'open', auth: 'public' });
    return new LambdaDoor(gateway, await listen(gateway.app));
  }

  get url(): string {
    return this.#server.url;
  }

  client(config: LambdaClientConfig): LambdaClient {
    const made = new LambdaClient({ region: 'local', endpoint: this.url, maxAttempts: 1, ...config });
    this.#clients.push(made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.#server[Symbol.asyncDispose]();
    await this.gateway[Symbol.asyncDispose]();
  }
}
