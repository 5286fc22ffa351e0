/** GetObjectTagging, PutObjectTagging, DeleteObjectTagging: three faces of one small thing. */
import { BODY_HEADERS } from '../checksums.js';
import { checkVersion, xmlAnswer, type Operation } from '../operation.js';
import { readDocument } from '../request-body.js';
import { TAGGING_BYTES_MAX, parseTagging, taggingDocument } from '../tags.js';

export const getObjectTagging: Operation = {
  name: 'GetObjectTagging',
  target: 'object',
  right: 'read',
  parameters: ['versionId'],
  run: async ({ objects, bucket, key, query, context }) => {
    checkVersion(query);
    const { record } = await objects.headObject(bucket, key, { conditions: {} }, context);
    return xmlAnswer(taggingDocument(record.meta.tags));
  },
};

export const putObjectTagging: Operation = {
  name: 'PutObjectTagging',
  audited: 'object.tag',
  target: 'object',
  right: 'write',
  parameters: ['versionId'],
  headers: BODY_HEADERS,
  run: async ({ objects, bucket, key, query, context, body }) => {
    checkVersion(query);
    const tags = parseTagging(await readDocument(body(), TAGGING_BYTES_MAX));
    await objects.setTags(bucket, key, Object.keys(tags).length === 0 ? undefined : tags, context);
    return { status: 200 };
  },
};

export const deleteObjectTagging: Operation = {
  name: 'DeleteObjectTagging',
  audited: 'object.tag',
  target: 'object',
  right: 'write',
  parameters: ['versionId'],
  run: async ({ objects, bucket, key, query, context }) => {
    checkVersion(query);
    await objects.setTags(bucket, key, undefined, context);
    return { status: 204 };
  },
};
