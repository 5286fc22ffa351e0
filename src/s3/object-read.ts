/**
 * What GetObject and HeadObject share, which is all but the bytes: a HEAD is answered with the headers of the GET
 * (RFC 9110 §9.3.2), whatever range, part, condition or override is asked for.
 */
import type { HeadResult, RangeRequest, RangeValidator, ReadOptions } from '../objects/api.js';
import { entityTags, httpDateMs, readConditions } from './conditions.js';
import { toS3Error } from './error-map.js';
import { S3Error } from './errors.js';
import type { RequestHeaders } from './headers.js';
import { CONTENT_HEADERS, objectHeaders } from './object-headers.js';
import { checkVersion, readPartNumber, type OperationRequest } from './operation.js';
import { parseRange } from './range.js';

export const READ_PARAMETERS: readonly string[] = [
  'versionId',
  'partNumber',
  ...CONTENT_HEADERS.map(({ override }) => override),
];
export const READ_HEADERS: readonly string[] = ['x-amz-checksum-mode'];

/** Range or partNumber of a read. @throws S3Error InvalidRequest where both are given. */
function readRange({ headers, query }: OperationRequest): RangeRequest | undefined {
  if (!query.has('partNumber')) return parseRange(headers.get('range'));
  if (headers.has('range'))
    throw new S3Error('InvalidRequest', 'Cannot specify both Range header and partNumber query parameter');
  return { kind: 'part', partNumber: readPartNumber(query) };
}

/** RFC 9110 §13.1.5: a date, or one entity tag that is not weak. */
function readIfRange(headers: RequestHeaders): RangeValidator | undefined {
  const text = headers.get('if-range');
  if (text === undefined) return undefined;
  const lastModifiedMs = httpDateMs(text);
  return lastModifiedMs === undefined ? { etags: entityTags(text, 'strong') } : { lastModifiedMs };
}

/**
 * Asks for the object in the way of the request, and says what is answered before its bytes.
 * @throws S3Error InvalidArgument, InvalidRequest, NoSuchVersion, InvalidRange; what `fetch` rejects with.
 */
export async function readObject<R extends HeadResult>(
  request: OperationRequest,
  fetch: (options: ReadOptions) => Promise<R>,
): Promise<{ result: R; status: number; headers: Record<string, string> }> {
  const { headers, query } = request;
  checkVersion(query);
  const range = readRange(request);
  const ifRange = readIfRange(headers);
  const result = await fetch({
    conditions: readConditions(headers),
    ...(range ? { range } : {}),
    ...(ifRange ? { ifRange } : {}),
  }).catch((error: unknown) => {
    throw withRangeRequested(toS3Error(error), headers.get('range'));
  });
  return {
    result,
    status: result.isPartial ? 206 : 200,
    headers: objectHeaders(result, {
      query,
      wantsChecksum: headers.get('x-amz-checksum-mode')?.toUpperCase() === 'ENABLED',
    }),
  };
}

/** S3 repeats the range that it cannot give. */
function withRangeRequested(error: S3Error, range: string | undefined): S3Error {
  if (error.code !== 'InvalidRange' || range === undefined) return error;
  return new S3Error(error.code, error.message, {
    cause: error.cause,
    headers: { ...error.headers },
    fields: { RangeRequested: range, ...error.fields },
  });
}
