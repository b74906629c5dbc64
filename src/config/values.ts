import { z } from 'zod';

export const flag = z.stringbool({ truthy: ['true', '1', 'yes', 'on'], falsy: ['false', '0', 'no', 'off'] });
export const whole = (min: number, max: number) => z.coerce.number().int().min(min).max(max);
export const optionalUrl = z.url({ protocol: /^https?$/ }).optional();
