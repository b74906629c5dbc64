/** A way of isolating cannot be had here as it is asked for, though its engine may be there: the remedy is its own. */
export class IsolationRefused extends Error {
  readonly remedy: string;

  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}
