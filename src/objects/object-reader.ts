import { Readable } from 'node:stream';
import type { ObjectKey } from '../format/ids.js';
import type { ObjectRecord } from '../index/object-record.js';
import type { GetResult, HeadResult, ReadOptions, RequestContext } from './api.js';
import type { Bucket } from './bucket.js';
import { checkReadConditions } from './conditions.js';
import { ObjectError } from './errors.js';
import { resolveRange } from './range.js';
import { TranslatedStream } from './translated-stream.js';

export type { ReadOptions } from './api.js';

/** @throws ObjectError no-such-key. */
export async function findRecord(bucket: Bucket, key: ObjectKey): Promise<ObjectRecord> {
  const record = await bucket.state.get(key);
  if (!record) {
    throw new ObjectError('no-such-key', 'the specified key does not exist', { fields: { key } });
  }
  return record;
}

/** HeadObject: conditions, then the range (RFC 9110 §13.2.2). */
export async function headObject(bucket: Bucket, key: ObjectKey, options: ReadOptions): Promise<HeadResult> {
  const record = await findRecord(bucket, key);
  checkReadConditions(record, options.conditions);
  return { record, ...resolveRange(record, options) };
}

/**
 * GetObject. The body is opened before the answer begins, so that an object which is overwritten meanwhile is
 * still read whole, as it was. Errors of the stream are ObjectErrors, as those of the call.
 */
export async function getObject(
  bucket: Bucket,
  key: ObjectKey,
  options: ReadOptions,
  context: RequestContext,
): Promise<GetResult> {
  const head = await headObject(bucket, key, options);
  const body = await bucket.state.openBody(head.record);
  const { startBytes, endBytes } = head;
  if (body.kind === 'plain') {
    const bytes = Buffer.from(body.bytes.subarray(startBytes, endBytes));
    return { ...head, bytes, open: () => Readable.from([bytes]) };
  }
  return {
    ...head,
    open: () => new TranslatedStream(bucket.chunks.read(body.list, startBytes, endBytes, context.signal)),
    giveBack: (piece) => bucket.chunks.giveBack(piece),
  };
}
