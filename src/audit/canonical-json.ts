/**
 * The one way to write a JSON value (RFC 8785, JCS): members in the order of their names' UTF-16 units, no white space, and
 * strings and numbers as ECMAScript writes them. What is undefined is left out; half a surrogate pair, which UTF-8 cannot hold,
 * becomes U+FFFD.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.toWellFormed());
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  // Plain comparison of strings is by UTF-16 units.
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`).join(',')}}`;
}
