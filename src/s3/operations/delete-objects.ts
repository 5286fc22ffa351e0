import type { ObjectKey } from '../../format/ids.js';
import type { ObjectsApi, RequestContext } from '../../objects/api.js';
import { ObjectError } from '../../objects/errors.js';
import { BODY_HEADERS } from '../checksums.js';
import { oneEntityTag } from '../conditions.js';
import { toS3Error } from '../error-map.js';
import { S3Error } from '../errors.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { DELETE_HEADERS } from './delete-object.js';
import { readDocument } from '../request-body.js';
import { checkKey } from '../request-target.js';
import { parseDocument, type XmlNode } from '../xml/read.js';
import { document, element, optional, type Xml } from '../xml/write.js';

/** 1,000 keys of 1,024 characters, every second of which XML must write as `&quot;`. */
const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;
const OBJECTS_MAX = 1000;
/** An object has six at most. */
const ELEMENTS_MAX = 10 * OBJECTS_MAX;

interface Wanted {
  readonly text: string;
  readonly key: ObjectKey | undefined;
  /** Named by the client; all that there is. */
  readonly versionId: 'null' | undefined;
  /** AWS "How to perform conditional deletes": the entity tag that the object must have. */
  readonly ifMatch: readonly string[] | undefined;
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
    // AWS: these two are for directory buckets only.
    for (const condition of ['LastModifiedTime', 'Size'])
      if (node.child(condition))
        throw new S3Error('NotImplemented', `${condition} of a key is not implemented.`);
    const etag = node.childText('ETag');
    return {
      text,
      key: checkKey(text),
      versionId: versionId === 'null' ? versionId : undefined,
      ifMatch: etag === undefined ? undefined : [oneEntityTag(etag)],
      refused: undefined,
    };
  } catch (error) {
    if (!(error instanceof S3Error) || error.code === 'MalformedXML') throw error;
    return { text, key: undefined, versionId: undefined, ifMatch: undefined, refused: error };
  }
}

/** @throws S3Error MalformedXML for none, or more than 1,000. */
export function parseDelete(bytes: Uint8Array): { wanted: Wanted[]; isQuiet: boolean } {
  const root = parseDocument(bytes, 'Delete', ELEMENTS_MAX);
  const nodes = root.children('Object');
  if (nodes.length === 0 || nodes.length > OBJECTS_MAX) throw new S3Error('MalformedXML');
  return { wanted: nodes.map(readObject), isQuiet: root.childText('Quiet')?.trim().toLowerCase() === 'true' };
}

/** One error, or none, for each that is wanted. Those without a condition are deleted together. */
async function deleteAll(
  wanted: readonly Wanted[],
  objects: ObjectsApi,
  bucket: string,
  context: RequestContext,
): Promise<(Error | undefined)[]> {
  const plain = wanted.flatMap((w) => (w.key === undefined || w.ifMatch ? [] : [w.key]));
  const results = await objects.deleteObjects(bucket, plain, context);
  const errors: (Error | undefined)[] = [];
  let next = 0;
  for (const { key, ifMatch } of wanted) {
    if (key === undefined) errors.push(undefined);
    else if (!ifMatch) errors.push(results[next++]);
    else errors.push(await conditionally(objects.deleteObject(bucket, key, { ifMatch }, context)));
  }
  return errors;
}

/** The answer names the object that could not be deleted; the others are. */
async function conditionally(deletion: Promise<void>): Promise<Error | undefined> {
  try {
    await deletion;
    return undefined;
  } catch (error) {
    if (error instanceof ObjectError) return error;
    throw error;
  }
}

export const deleteObjects: Operation = {
  name: 'DeleteObjects',
  audited: 'object.delete',
  target: 'bucket',
  right: 'write',
  headers: [...BODY_HEADERS, ...DELETE_HEADERS],
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
    const errors = await deleteAll(wanted, objects, bucket, context);
    const items = wanted.flatMap((w, i): Xml[] => {
      const error = w.refused ?? errors[i];
      const named = [element('Key', w.text), ...optional('VersionId', w.versionId)];
      if (!error) return isQuiet ? [] : [element('Deleted', named)];
      const s3Error = toS3Error(error);
      return [
        element('Error', [...named, element('Code', s3Error.code), element('Message', s3Error.message)]),
      ];
    });
    const changedKeys = wanted.filter((w, i) => !w.refused && !errors[i]).map((w) => w.text);
    return { ...xmlAnswer(document('DeleteResult', items)), changedKeys };
  },
};
