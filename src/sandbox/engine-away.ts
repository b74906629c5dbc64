/** No engine answers there, so that nothing of it need be tried. */
export class EngineAway extends Error {
  override readonly name = 'EngineAway';
  /** Where it is another than to start one. */
  readonly remedy: string | undefined;

  constructor(message: string, { cause, remedy }: { cause?: unknown; remedy?: string | undefined } = {}) {
    super(message, { cause });
    this.remedy = remedy;
  }
}
