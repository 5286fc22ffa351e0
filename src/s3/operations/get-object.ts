import type { RangeRequest } from '../../objects/api.js';
import { entityTags, httpDateMs, readConditions } from '../conditions.js';
import { S3Error } from '../errors.js';
import { objectHeaders } from '../object-headers.js';
import { checkVersion, readPartNumber, type Operation, type OperationRequest } from '../operation.js';
import { parseRange } from '../range.js';

/** Range or partNumber of a read. @throws S3Error InvalidRequest where both are given. */
export function readRange({ headers, query }: OperationRequest): RangeRequest | undefined {
  const range = parseRange(headers.get('range'));
  if (!query.has('partNumber')) return range;
  if (headers.has('range'))
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  return { kind: 'part', partNumber: readPartNumber(query) };
}

/** RFC 9110 §13.1.5: with If-Range the range counts only while the object is still the one that was begun. */
async function rangeStillHolds(request: OperationRequest): Promise<boolean> {
  const validator = request.headers.get('if-range');
  if (validator === undefined) return true;
  const { record } = await request.objects.headObject(
    request.bucket,
    request.key,
    { conditions: {} },
    request.context,
  );
  const dateMs = httpDateMs(validator);
  if (dateMs !== undefined) return Math.floor(record.lastModifiedMs / 1000) * 1000 === dateMs;
  return entityTags(validator, 'strong').includes(record.etag);
}

/**
 * GetObject. Headers go out with the first byte, so that bytes that cannot be had are an S3 error and not a
 * broken connection; a source that fails later, or is short, breaks the connection and never ends cleanly.
 */
export const getObject: Operation = {
  name: 'GetObject',
  target: 'object',
  right: 'read',
  run: async (request) => {
    const { objects, bucket, key, query, headers, context } = request;
    checkVersion(query);
    const asked = readRange(request);
    const range = asked && (await rangeStillHolds(request)) ? asked : undefined;
    const result = await objects.getObject(
      bucket,
      key,
      { conditions: readConditions(headers), ...(range ? { range } : {}) },
      context,
    );
    return {
      status: range ? 206 : 200,
      headers: objectHeaders(result, {
        query,
        isRange: range !== undefined,
        wantsChecksum: headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED',
      }),
      body: { open: () => result.open(), lengthBytes: result.endBytes - result.startBytes },
    };
  },
};
