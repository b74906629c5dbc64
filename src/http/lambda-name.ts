import { GatewayError } from '../errors.ts';

/** A name, `name:qualifier`, a partial ARN or a whole one, as the Lambda API takes them. */
const FUNCTION_NAME =
  /^(?:arn:aws[a-z-]*:lambda:[a-z0-9-]*:\d{12}:function:|\d{12}:function:|function:)?([A-Za-z0-9_-]{1,140})(?::(\$LATEST|[A-Za-z0-9_-]{1,128}))?$/;
const LATEST = '$LATEST';

/**
 * @param qualifier the query parameter `Qualifier`
 * @returns the event, and its version unless the current one is meant
 * @throws GatewayError `bad_request`
 */
export function parseFunctionName(
  text: string,
  qualifier: string | undefined,
): { name: string; version: string | undefined } {
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
  const version = derived ?? qualifier;
  return { name, version: version === LATEST ? undefined : version };
}
