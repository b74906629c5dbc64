/** The request body: parsed if it is JSON, else text, else bytes; null where there is none. */
export function input(): unknown;
/** Answers with `value` in place of what the script prints; the last call wins. */
export function output(value: unknown): void;
/** The whole event. */
export function event(): unknown;
/** The value of a variable of the event's owner; undefined where there is none. Rejects with VariableError. */
export function getVariable<T = unknown>(name: string): Promise<T | undefined>;
/** Keeps a value that JSON can hold, at most 64 KiB of it. Rejects with VariableError. */
export function setVariable(name: string, value: unknown): Promise<void>;
/** Removes a variable; false where there is none. Rejects with VariableError. */
export function deleteVariable(name: string): Promise<boolean>;
/** Adds to a number, which is 0 where there is none, in one step; resolves to the sum. Rejects with VariableError. */
export function incrementVariable(name: string, by?: number): Promise<number>;
/** Sets a variable to what `change` makes of its value, again if somebody else was faster. Rejects with VariableError. */
export function updateVariable<T>(name: string, change: (value: T | undefined) => T | Promise<T>): Promise<T>;
/** A variable could not be read or written. */
export class VariableError extends Error {
  readonly code:
    | 'invalid_name'
    | 'invalid_value'
    | 'value_too_large'
    | 'quota_exceeded'
    | 'conflict'
    | 'not_a_number'
    | 'too_many_calls'
    | 'unavailable'
    | 'not_available';
}
