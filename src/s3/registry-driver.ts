/**
 * The registry's s3 driver as a client. aws-sdk-go v1 repeats a 503 three times before the registry answers its own
 * client: 3.5 to 7 s, and with Retry-After three times that on top. Where Gitee is known to be down these tries are in
 * vain, and a pull that could be told at once hangs for 10 to 19 s.
 *
 * So there the driver gets the same error with a status that it does not repeat: 424 (RFC 4918 section 11.4, what the
 * request depends on has failed). Its versions 1.15 (registry 2.7) to 1.55 (3.x) repeat 5xx, 429, and some codes of
 * which ServiceUnavailable is none. Never a 404: registry and clients would take the layer for gone.
 */
import { ObjectError } from '../objects/errors.js';
import { S3Error } from './errors.js';
import { USE_V4 } from './sigv4/authorization.js';

const DO_NOT_REPEAT = 424;

/** Who asked. Links that the registry gives to its clients (redirect) are not signed in a header. */
export interface Asker {
  readonly operation: string | undefined;
  readonly isRegistryBucket: boolean;
  readonly userAgent: string | undefined;
  readonly authorization: string | undefined;
}

/** The driver of 2.x signs with version 2 unless it is told. */
const SET_V4AUTH = "In the registry's s3 storage section set `v4auth: true`.";

/** What is answered to this one: the error as it is, but for a word to the registry on its configuration, and for reads of the registry while Gitee is known to be down. */
export function errorFor(error: S3Error, asker: Asker): S3Error {
  const { operation, isRegistryBucket, userAgent = '', authorization } = asker;
  if (isRegistryBucket && error.message === USE_V4)
    return new S3Error(error.code, `${USE_V4} ${SET_V4AUTH}`, {
      ...{ fields: { ...error.fields }, headers: { ...error.headers } },
    });
  if (!(error.cause instanceof ObjectError) || error.cause.code !== 'remote-down') return error;
  if (operation !== 'GetObject' || !isRegistryBucket || authorization === undefined) return error;
  if (!/(?:^| )aws-sdk-go\/1\./.test(userAgent)) return error;
  const { 'Retry-After': _, ...headers } = error.headers;
  return new S3Error(error.code, error.message, {
    ...{ status: DO_NOT_REPEAT, headers, fields: { ...error.fields }, cause: error.cause },
  });
}
