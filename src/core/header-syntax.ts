const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const SHOWN_CHARACTERS = 100;

/**
 * What makes headers and cookies impossible to send (RFC 9110, section 5); `undefined` when nothing does. Looked at before an answer
 * counts as one, so that what is recorded is what the caller got.
 */
export function headerFault(
  headers: Readonly<Record<string, string>>,
  cookies: readonly string[],
): string | undefined {
  for (const [name, value] of Object.entries(headers)) {
    if (!NAME.test(name))
      return `${JSON.stringify(name.slice(0, SHOWN_CHARACTERS))} is not the name of a header`;
    if (!VALUE.test(value)) {
      return `the value of the header ${name.slice(0, SHOWN_CHARACTERS)} has characters that no header can`;
    }
  }
  if (!cookies.every((cookie) => VALUE.test(cookie))) return 'a cookie has characters that no header can';
  return undefined;
}
