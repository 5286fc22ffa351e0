import { RemoteError, type RemoteCause } from '../errors.js';
import { causeOf } from '../http/status-failure.js';
import { withoutToken } from '../token.js';
import type { BatchObject } from './batch-schema.js';

/** batch.md: 404 not there, 409 other hash algorithm, 410 removed by its owner, 422 invalid. */
const MEANING: Readonly<Record<number, RemoteCause>> = {
  404: 'chunk-missing',
  409: 'chunk-refused',
  410: 'chunk-refused',
  413: 'file-too-large',
  422: 'chunk-refused',
};

/** An error that a batch answer gives for one object. */
export function objectFailure(
  error: NonNullable<BatchObject['error']>,
  oid: string,
  operation: 'upload' | 'download',
  token: string,
): RemoteError {
  const detail = withoutToken(error.message ?? '', token);
  // An upload of what is "not there" is an answer without sense: nothing is known about the object.
  const meaning: Readonly<Record<number, RemoteCause>> =
    operation === 'upload' ? { ...MEANING, 404: 'server-fault' } : MEANING;
  const code = error.code >= 400 ? causeOf(error.code, detail, meaning) : 'server-fault';
  return new RemoteError(code, `LFS ${operation} of ${oid} was answered ${error.code} for this object`, {
    status: error.code,
    oids: [oid],
    ...(detail === '' ? {} : { detail }),
  });
}
