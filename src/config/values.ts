import { z } from 'zod';

export const flag = z.stringbool({ truthy: ['true', '1', 'yes', 'on'], falsy: ['false', '0', 'no', 'off'] });
export const whole = (min: number, max: number) =>
  numeric(`must be a whole number from ${min} to ${max}`, (value) => Number.isSafeInteger(value), min, max);
export const decimal = (min: number, max: number) =>
  numeric(`must be a number from ${min} to ${max}`, Number.isFinite, min, max);
export const optionalUrl = z
  .url({ protocol: /^https?$/, error: 'must be a URL that begins with http:// or https://' })
  .optional();

/** With one message for whatever is wrong: it tells what may be written. */
function numeric(error: string, isOfKind: (value: number) => boolean, min: number, max: number) {
  return (
    z
      .string()
      // To Number() spaces alone are 0.
      .transform((text) => (text.trim() === '' ? Number.NaN : Number(text)))
      .refine((value) => isOfKind(value) && value >= min && value <= max, { error })
  );
}
