/** Keeps the number of an insert's parameters below what every database allows. */
const ROWS_PER_INSERT = 100;

/** The rows in parts that one statement each can insert. */
export function* chunksOf<T>(rows: readonly T[]): Generator<T[]> {
  for (let from = 0; from < rows.length; from += ROWS_PER_INSERT)
    yield rows.slice(from, from + ROWS_PER_INSERT);
}
