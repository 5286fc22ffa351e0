import { S3Error } from '../errors.js';
import { xmlAnswer, type Operation } from '../operation.js';
import type { Query } from '../request-target.js';
import { OWNER } from '../xml/listing.js';
import { document, element, isoTime, optional } from '../xml/write.js';
import { decodeContinuationToken, encodeContinuationToken } from './list-objects-v2.js';

const BUCKETS_MAX = 10_000;

/** AWS ListBuckets: 1 to 10,000; without it there are no pages. @throws S3Error InvalidArgument */
function readMaxBuckets(query: Query): number | undefined {
  const text = query.get('max-buckets');
  if (text === undefined) return undefined;
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > BUCKETS_MAX)
    throw new S3Error(
      'InvalidArgument',
      `Argument max-buckets must be an integer between 1 and ${BUCKETS_MAX}`,
      {
        fields: { ArgumentName: 'max-buckets', ArgumentValue: text },
      },
    );
  return count;
}

/** Only buckets on which the access key has some right. */
export const listBuckets: Operation = {
  name: 'ListBuckets',
  target: 'service',
  right: 'read',
  parameters: ['prefix', 'max-buckets', 'continuation-token', 'bucket-region'],
  run: async ({ objects, identity, query, region }) => {
    const prefix = query.get('prefix') ?? '';
    const limit = readMaxBuckets(query);
    const token = query.get('continuation-token');
    const after = token === undefined ? '' : decodeContinuationToken(token);
    const wantedRegion = query.get('bucket-region');
    const all = (await objects.listBuckets()).filter(
      (b) =>
        b.name.startsWith(prefix) &&
        b.name > after &&
        (wantedRegion === undefined || wantedRegion === '' || wantedRegion === region) &&
        identity.credential.rights(b.name) !== 'none',
    );
    const page = all.slice(0, limit);
    const next = page.length < all.length ? encodeContinuationToken(page.at(-1)!.name) : undefined;
    // Only with one of its newer parameters does S3 add the newer elements.
    const isNew = [prefix, limit, token, wantedRegion].some((v) => v !== undefined && v !== '');
    return xmlAnswer(
      document('ListAllMyBucketsResult', [
        element('Owner', OWNER),
        element(
          'Buckets',
          page.map((b) =>
            element('Bucket', [
              element('Name', b.name),
              element('CreationDate', isoTime(b.createdMs)),
              ...optional('BucketRegion', isNew ? region : undefined),
            ]),
          ),
        ),
        ...optional('Prefix', prefix === '' ? undefined : prefix),
        ...optional('ContinuationToken', next),
      ]),
    );
  },
};
