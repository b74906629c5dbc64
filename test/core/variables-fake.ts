import type { Variable, VariableStore } from '../../src/core/variables.ts';

/** Variables in memory. `hold` makes it a store that does not answer. */
export class FakeVariables implements VariableStore {
  readonly kept = new Map<string, Variable>();
  reads = 0;
  writes = 0;
  hold: Promise<void> | undefined;
  #revision = 0;

  async get(ownerId: string, name: string) {
    this.reads += 1;
    await this.hold;
    return this.kept.get(`${ownerId}/${name}`);
  }

  async list() {
    return {
      items: [...this.kept.values()].map(({ json, ...rest }) => ({ ...rest, bytes: json.length })),
      nextCursor: null,
    };
  }

  async change(ownerId: string, name: string, change: (before: Variable | undefined) => string | undefined) {
    await this.hold;
    const key = `${ownerId}/${name}`;
    const before = this.kept.get(key);
    const json = change(before);
    this.writes += 1;
    this.kept.delete(key);
    if (json === undefined) return { before, after: undefined };
    const after = { name, json, revision: `r${++this.#revision}`, updatedAt: new Date(0) };
    this.kept.set(key, after);
    return { before, after };
  }
}
