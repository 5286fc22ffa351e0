import type { ObjectKey } from '../../format/ids.js';
import { toS3Error } from '../error-map.js';
import { S3Error } from '../errors.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { readDocument } from '../request-body.js';
import { checkKey } from '../request-target.js';
import { parseDocument, type XmlNode } from '../xml/read.js';
import { document, element, type Xml } from '../xml/write.js';

const DOCUMENT_BYTES_MAX = 2 * 1024 * 1024;
const OBJECTS_MAX = 1000;

interface Wanted {
  readonly text: string;
  readonly key: ObjectKey | undefined;
  /** Why this one cannot be deleted; the others are. */
  readonly refused: S3Error | undefined;
}

function readObject(node: XmlNode): Wanted {
  const text = node.childText('Key');
  if (text === undefined || text === '') throw new S3Error('MalformedXML');
  try {
    const versionId = node.childText('VersionId');
    if (versionId !== undefined && versionId !== '' && versionId !== 'null')
      throw new S3Error('NoSuchVersion');
    for (const condition of ['ETag', 'LastModifiedTime', 'Size'])
      if (node.child(condition))
        throw new S3Error('NotImplemented', `${condition} of a key is not implemented.`);
    return { text, key: checkKey(text), refused: undefined };
  } catch (error) {
    if (!(error instanceof S3Error) || error.code === 'MalformedXML') throw error;
    return { text, key: undefined, refused: error };
  }
}

/** @throws S3Error MalformedXML for none, or more than 1,000. */
export function parseDelete(bytes: Uint8Array): { wanted: Wanted[]; isQuiet: boolean } {
  const root = parseDocument(bytes, 'Delete');
  const nodes = root.children('Object');
  if (nodes.length === 0 || nodes.length > OBJECTS_MAX) throw new S3Error('MalformedXML');
  return { wanted: nodes.map(readObject), isQuiet: root.childText('Quiet')?.trim().toLowerCase() === 'true' };
}

export const deleteObjects: Operation = {
  name: 'DeleteObjects',
  target: 'bucket',
  right: 'write',
  run: async ({ objects, bucket, context, body }) => {
    const request = body();
    const { md5, sha256Hex, checksumAlgorithm } = request.promise;
    // AWS asks for Content-MD5 or a checksum; a signed payload hash protects the list as well.
    if (!md5 && sha256Hex === undefined && !checksumAlgorithm)
      throw new S3Error(
        'InvalidRequest',
        'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
      );
    const { wanted, isQuiet } = parseDelete(await readDocument(request, DOCUMENT_BYTES_MAX));
    const keys = wanted.flatMap((w) => (w.key === undefined ? [] : [w.key]));
    const results = await objects.deleteObjects(bucket, keys, context);
    let next = 0;
    const items = wanted.flatMap((w): Xml[] => {
      const error = w.refused ?? results[next++];
      if (!error) return isQuiet ? [] : [element('Deleted', [element('Key', w.text)])];
      const s3Error = toS3Error(error);
      return [
        element('Error', [
          element('Key', w.text),
          element('Code', s3Error.code),
          element('Message', s3Error.message),
        ]),
      ];
    });
    return xmlAnswer(document('DeleteResult', items));
  },
};
