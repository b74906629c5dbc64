/** The request body: parsed if it is JSON, else text, else bytes; null where there is none. */
export function input(): unknown;
/** Answers with `value` in place of what the script prints; the last call wins. */
export function output(value: unknown): void;
/** The whole event. */
export function event(): unknown;
