import { writeConditions } from '../conditions.js';
import { checkVersion, type Operation } from '../operation.js';

/** Of what is locked, or versioned with MFA: nothing here is, so there is nothing to get around. */
export const DELETE_HEADERS: readonly string[] = ['x-amz-bypass-governance-retention', 'x-amz-mfa'];

/**
 * DeleteObject: no error for what is not there, but with If-Match it is NoSuchKey (AWS "How to perform
 * conditional deletes").
 */
export const deleteObject: Operation = {
  name: 'DeleteObject',
  audited: 'object.delete',
  target: 'object',
  right: 'write',
  parameters: ['versionId'],
  headers: ['if-match', ...DELETE_HEADERS],
  run: async ({ objects, bucket, key, query, headers, context }) => {
    checkVersion(query);
    await objects.deleteObject(bucket, key, writeConditions(headers), context);
    return { status: 204 };
  },
};
