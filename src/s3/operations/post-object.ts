/**
 * POST Object: an upload by an HTML form. The form says what headers say to PutObject, and its policy is what
 * was signed, so who sent it is known only when its fields are read.
 */
import type { BodyPromise } from '../../objects/api.js';
import { announcedChecksum, BODY_HEADERS, checksumHeaders, contentMd5 } from '../checksums.js';
import { checkHeaders } from '../declared.js';
import { S3Error } from '../errors.js';
import type { RequestHeaders } from '../headers.js';
import { checkInert } from '../inert-headers.js';
import { metaOf, OBJECT_HEADERS } from '../object-headers.js';
import type { Operation, OperationAnswer, OperationRequest } from '../operation.js';
import { checkPolicy, type PostPolicy } from '../post-form/policy.js';
import type { FormFields } from '../post-form/fields.js';
import { readForm } from '../post-form/form-reader.js';
import { required } from '../post-form/verify.js';
import { checkKey } from '../request-target.js';
import { encodeRfc3986 } from '../sigv4/canonical-request.js';
import { parseTagging } from '../tags.js';
import { document, element } from '../xml/write.js';

/** AWS: "up to 5 GB in a single operation". */
const FILE_BYTES_MAX = 5 * 1024 ** 3;

export const postObject: Operation = {
  name: 'PostObject',
  audited: 'object.put',
  target: 'bucket',
  right: 'write',
  headers: [...BODY_HEADERS, ...OBJECT_HEADERS],
  signedBy: 'form',
  run: async (request) => {
    const contentType = request.headers.get('content-type') ?? '';
    if (!/^multipart\/form-data\s*(;|$)/i.test(contentType))
      throw new S3Error('PreconditionFailed', undefined, {
        fields: { Condition: 'Bucket POST must be of the enclosure-type multipart/form-data' },
      });
    // AWS: "Query string authentication is not supported for POST"; by header neither.
    if (request.identity.accessKeyId !== '')
      throw new S3Error(
        'InvalidArgument',
        'Only one auth mechanism allowed; a form is signed by its policy.',
      );
    const take = (fields: FormFields, bytes: AsyncIterable<Uint8Array>) => store(request, fields, bytes);
    return await readForm(contentType, request.body().bytes, take, request.bodyIdleTimeoutMs);
  },
};

async function store(
  request: OperationRequest,
  fields: FormFields,
  bytes: AsyncIterable<Uint8Array>,
): Promise<OperationAnswer> {
  const { objects, settings, bucket, context } = request;
  const { policy, nowMs } = request.verifyForm(fields);
  const keyText = required(fields, 'key');
  checkPolicy(policy, fields, bucket, nowMs);
  if (keyText === '')
    throw new S3Error('InvalidArgument', 'User key must have a length greater than 0.', {
      fields: { ArgumentName: 'key', ArgumentValue: '' },
    });
  const key = checkKey(keyText);
  const headers = fields.asHeaders();
  checkHeaders(postObject, headers, 'POST');
  checkInert(headers, settings.isPublicRead(bucket));
  const tagging = fields.get('tagging');
  const tags = tagging === undefined ? undefined : parseTagging(Buffer.from(tagging, 'utf8'));
  const meta = { ...metaOf(headers), ...(tags && Object.keys(tags).length > 0 ? { tags } : {}) };
  const result = await objects.putObject(
    bucket,
    key,
    { bytes: within(policy, bytes), promise: promiseOf(headers) },
    { meta, conditions: {} },
    context,
  );
  const etag = `"${result.etag}"`;
  const location = `${request.bucketUrl}/${encodeRfc3986(key)}`;
  const redirect = redirectOf(fields, { bucket, key, etag });
  const answer = { ETag: etag, Location: redirect ?? location, ...checksumHeaders(result.checksum) };
  if (redirect !== undefined) return { status: 303, headers: answer };
  switch (fields.get('success_action_status')) {
    case '200':
      return { status: 200, headers: answer };
    case '201':
      return { status: 201, headers: answer, body: postResponse({ location, bucket, key, etag }) };
    default:
      // AWS: "not set or … not valid: an empty document with a 204 status code".
      return { status: 204, headers: answer };
  }
}

function promiseOf(headers: RequestHeaders): BodyPromise {
  const md5 = contentMd5(headers);
  const checksum = announcedChecksum(headers, false);
  return {
    ...(md5 ? { md5 } : {}),
    ...(checksum ? { checksumAlgorithm: checksum.algorithm, checksumValue: () => checksum.value } : {}),
  };
}

/** The bytes, where there are as many as content-length-range allows. @throws S3Error EntityTooLarge, EntityTooSmall */
async function* within(
  policy: PostPolicy,
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const maxBytes = Math.min(policy.maxBytes, FILE_BYTES_MAX);
  let sizeBytes = 0;
  for await (const piece of bytes) {
    sizeBytes += piece.length;
    // It is not read to its end only to tell how long it would have been.
    if (sizeBytes > maxBytes)
      throw new S3Error('EntityTooLarge', 'Your proposed upload exceeds the maximum allowed size', {
        fields: { MaxSizeAllowed: String(maxBytes) },
      });
    yield piece;
  }
  if (sizeBytes < policy.minBytes)
    throw new S3Error('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
      fields: { ProposedSize: String(sizeBytes), MinSizeAllowed: String(policy.minBytes) },
    });
}

interface Stored {
  readonly bucket: string;
  readonly key: string;
  readonly etag: string;
}

/** Address of success_action_redirect; AWS: "If Amazon S3 cannot interpret the URL, it acts as if the field is not present." */
function redirectOf(fields: FormFields, stored: Stored): string | undefined {
  const text = fields.get('success_action_redirect') ?? fields.get('redirect');
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return undefined;
  const { bucket, key, etag } = stored;
  // Appended: what the page has in its query stays as it is written there.
  url.search = `${url.search === '' ? '?' : `${url.search}&`}${new URLSearchParams({ bucket, key, etag }).toString()}`;
  return url.href;
}

function postResponse({ location, bucket, key, etag }: Stored & { readonly location: string }): string {
  return document(
    'PostResponse',
    [element('Location', location), element('Bucket', bucket), element('Key', key), element('ETag', etag)],
    { namespace: false },
  );
}
