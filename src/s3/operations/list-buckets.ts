import { xmlAnswer, type Operation } from '../operation.js';
import { OWNER } from '../xml/listing.js';
import { document, element, isoTime } from '../xml/write.js';

/** Only buckets on which the access key has some right. */
export const listBuckets: Operation = {
  name: 'ListBuckets',
  target: 'service',
  right: 'read',
  run: async ({ objects, identity }) => {
    const buckets = (await objects.listBuckets()).filter(
      (b) => identity.credential.rights(b.name) !== 'none',
    );
    return xmlAnswer(
      document('ListAllMyBucketsResult', [
        element('Owner', OWNER),
        element(
          'Buckets',
          buckets.map((b) =>
            element('Bucket', [element('Name', b.name), element('CreationDate', isoTime(b.createdMs))]),
          ),
        ),
      ]),
    );
  },
};
