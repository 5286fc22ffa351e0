import type { CompletePart } from '../../objects/api.js';
import { ObjectError } from '../../objects/errors.js';
import {
  BODY_HEADERS,
  CHECKSUM_ALGORITHMS,
  checksumElement,
  checksumElements,
  checksumInHeaders,
  isChecksumValue,
  readChecksumType,
} from '../checksums.js';
import { entityTags, WRITE_CONDITIONS, writeConditions } from '../conditions.js';
import { S3Error } from '../errors.js';
import { xmlAnswer, type Operation } from '../operation.js';
import { readDocument } from '../request-body.js';
import { encodeRfc3986 } from '../sigv4/canonical-request.js';
import { parseDocument, type XmlNode } from '../xml/read.js';
import { document, element } from '../xml/write.js';

/** 10,000 parts with a SHA-256 each are about 2 MiB. */
const DOCUMENT_BYTES_MAX = 4 * 1024 * 1024;
const PARTS_MAX = 10_000;
const CHECKSUM_ELEMENTS: ReadonlySet<string> = new Set(CHECKSUM_ALGORITHMS.map(checksumElement));

function readPart(node: XmlNode): CompletePart {
  const numberText = node.childText('PartNumber')?.trim() ?? '';
  const etag = entityTags(node.childText('ETag') ?? '', 'strong')[0];
  if (!/^\d{1,5}$/.test(numberText) || etag === undefined) throw new S3Error('MalformedXML');
  const partNumber = Number(numberText);
  if (partNumber < 1 || partNumber > PARTS_MAX)
    throw new S3Error('InvalidArgument', 'PartNumber must be >= 1 and <= 10000.');
  // One that cannot be compared must not be passed over.
  const unknown = node.names().find((name) => name.startsWith('Checksum') && !CHECKSUM_ELEMENTS.has(name));
  if (unknown !== undefined) throw new S3Error('MalformedXML', `${unknown} of a part is not known.`);
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = node.childText(checksumElement(algorithm))?.trim();
    if (value === undefined) continue;
    if (!isChecksumValue(algorithm, value)) throw new S3Error('MalformedXML');
    return { partNumber, etag, checksum: { algorithm, value } };
  }
  return { partNumber, etag };
}

/**
 * The parts to put together, in the order given. None at all is passed on: registry 2.x completes an empty
 * blob so, and S3's MalformedXML would make that push fail (docs/facts/registry-driver.md §3).
 * @throws S3Error MalformedXML, InvalidArgument
 */
export function parseComplete(bytes: Uint8Array): CompletePart[] {
  const nodes = parseDocument(bytes, 'CompleteMultipartUpload').children('Part');
  if (nodes.length > PARTS_MAX) throw new S3Error('MalformedXML');
  return nodes.map(readPart);
}

/** @throws S3Error InvalidArgument */
function readObjectSize(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw new S3Error('InvalidArgument', 'Value for x-amz-mp-object-size header is invalid.', {
      fields: { ArgumentName: 'x-amz-mp-object-size', ArgumentValue: text },
    });
  return Number(text);
}

/**
 * The answer waits until the object is there; the driver waits as long as it takes (docs/facts/registry-driver.md §2).
 */
export const completeMultipartUpload: Operation = {
  name: 'CompleteMultipartUpload',
  audited: 'object.put',
  target: 'object',
  right: 'write',
  headers: [...BODY_HEADERS, ...WRITE_CONDITIONS, 'x-amz-checksum-type', 'x-amz-mp-object-size'],
  run: async ({ objects, bucket, key, query, headers, context, bucketUrl, body }) => {
    // Here x-amz-checksum-* is of the object, not of this document: it must not be checked against the latter.
    // x-amz-sdk-checksum-algorithm is neither's, and passed over as AWS does (versitygw#1345).
    const checksum = checksumInHeaders(headers, 'of-parts');
    const checksumType = readChecksumType(headers.get('x-amz-checksum-type'));
    const objectSizeBytes = readObjectSize(headers.get('x-amz-mp-object-size'));
    const request = body('checksum-is-of-object');
    const parts = parseComplete(await readDocument(request, DOCUMENT_BYTES_MAX));
    const result = await objects
      .completeMultipartUpload(
        bucket,
        key,
        query.get('uploadId') ?? '',
        {
          parts,
          conditions: writeConditions(headers),
          ...(checksum ? { checksum } : {}),
          ...(checksumType ? { checksumType } : {}),
          ...(objectSizeBytes === undefined ? {} : { objectSizeBytes }),
        },
        context,
      )
      .catch((error: unknown) => {
        // Where no blob of the registry may be empty, S3 calls a list without parts malformed.
        if (parts.length === 0 && error instanceof ObjectError && error.code === 'invalid-argument')
          throw new S3Error('MalformedXML', undefined, { cause: error });
        throw error;
      });
    const path = key.split('/').map(encodeRfc3986).join('/');
    return xmlAnswer(
      document('CompleteMultipartUploadResult', [
        element('Location', `${bucketUrl}/${path}`),
        element('Bucket', bucket),
        element('Key', key),
        element('ETag', `"${result.etag}"`),
        ...checksumElements(result.checksum),
      ]),
    );
  },
};
