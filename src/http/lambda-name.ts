import type { Qualifier } from '../core/target.ts';
import { GatewayError } from '../errors.ts';

/** A name, `name:qualifier`, a partial ARN or a whole one, as the Lambda API takes them. */
const FUNCTION_NAME =
  /^(?:arn:aws[a-z-]*:lambda:[a-z0-9-]*:\d{12}:function:|\d{12}:function:|function:)?([A-Za-z0-9_-]{1,140})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?$/;
const LATEST = '$LATEST';
const NUMBER = /^\d+$/;

/**
 * @param qualifier the query parameter `Qualifier`
 * @returns the event, and its version or alias unless the current version is meant
 * @throws GatewayError `bad_request`
 */
export function parseFunctionName(
  text: string,
  qualifier: string | undefined,
): { name: string; qualifier: Qualifier } {
  const [, name, derived] = FUNCTION_NAME.exec(text) ?? [];
  if (name === undefined) {
    throw new GatewayError(
      'bad_request',
      `${JSON.stringify(text)} is neither the name of a function nor an ARN of one`,
    );
  }
  if (derived !== undefined && qualifier !== undefined && derived !== qualifier) {
    const message = 'The derived qualifier from the function name does not match the specified qualifier.';
    throw new GatewayError('bad_request', message);
  }
  const asked = derived ?? qualifier;
  if (asked === undefined || asked === LATEST) return { name, qualifier: undefined };
  return { name, qualifier: NUMBER.test(asked) ? { version: asked } : { alias: asked } };
}
