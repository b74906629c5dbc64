import type { StoredResult } from '../core/queue/queue.ts';
import type { InvocationResultTable } from './schema.ts';

export function resultRow(id: string, result: StoredResult): InvocationResultTable {
  return {
    invocation_id: id,
    status_code: result.statusCode,
    headers: JSON.stringify(result.headers),
    cookies: JSON.stringify(result.cookies),
    body: result.body,
    is_base64: result.isBase64Encoded ? 1 : 0,
  };
}

export function toResult(row: InvocationResultTable): StoredResult {
  return {
    statusCode: row.status_code,
    headers: JSON.parse(row.headers),
    cookies: JSON.parse(row.cookies),
    body: row.body,
    isBase64Encoded: row.is_base64 === 1,
  };
}
