/**
 * Who signed a form. AWS: "Authenticating Requests in Browser-Based Uploads Using POST (AWS Signature Version
 * 4)": the text that is signed is the policy in base64, as it was sent.
 */
import { S3Error } from '../errors.js';
import { parseTimestamp, readCredential, USE_V4 } from '../sigv4/authorization.js';
import type { Credential } from '../sigv4/credentials.js';
import { deriveSigningKey, policySignature, sameSignature } from '../sigv4/signing.js';
import type { VerifyRules } from '../sigv4/verify.js';
import type { FormFields } from './fields.js';
import { parsePolicy, type PostPolicy } from './policy.js';

export interface VerifiedForm {
  readonly accessKeyId: string;
  readonly credential: Credential;
  /** Not yet held against the form. */
  readonly policy: PostPolicy;
}

/** By the names that S3 uses in its error. */
const SIGNING_FIELDS = ['X-Amz-Algorithm', 'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-Signature'] as const;
const ALGORITHM = 'AWS4-HMAC-SHA256';
/** AWS "Amazon S3 Signature Version 4 Authentication Specific Policy Keys": signatures hold for seven days. */
const SIGNATURE_AGE_MAX_MS = 7 * 24 * 3600_000;

/**
 * Nothing of the policy is looked at before its signature is found right.
 * @throws S3Error AccessDenied, InvalidArgument, InvalidToken, InvalidAccessKeyId, SignatureDoesNotMatch,
 *   InvalidPolicyDocument
 */
export function verifyForm(fields: FormFields, rules: VerifyRules): VerifiedForm {
  if (fields.has('x-amz-security-token'))
    throw new S3Error('InvalidToken', 'Session tokens are not supported: use a long-term access key.');
  if (!SIGNING_FIELDS.some((name) => fields.has(name.toLowerCase()))) {
    if (fields.has('awsaccesskeyid') || fields.has('signature')) throw new S3Error('InvalidRequest', USE_V4);
    // Anonymous, and nothing gives everybody the right to write.
    throw new S3Error('AccessDenied');
  }
  const [algorithm, credentialText, date, signature] = SIGNING_FIELDS.map((name) =>
    required(fields, name),
  ) as [string, string, string, string];
  const policyText = required(fields, 'Policy');
  if (algorithm !== ALGORITHM)
    throw wrong('X-Amz-Algorithm', algorithm)(`X-Amz-Algorithm only supports "${ALGORITHM}"`);
  const { accessKeyId, scope } = readCredential(credentialText, wrong('X-Amz-Credential', credentialText));
  checkScope(scope, credentialText, rules.region);
  checkDate(date, scope.date, rules.clock.nowMs());
  const credential = rules.credentials.find(accessKeyId);
  if (!credential)
    throw new S3Error('InvalidAccessKeyId', undefined, { fields: { AWSAccessKeyId: accessKeyId } });
  if (!sameSignature(signature, policySignature(deriveSigningKey(credential.secret, scope), policyText)))
    throw new S3Error('SignatureDoesNotMatch', undefined, {
      fields: { AWSAccessKeyId: accessKeyId, StringToSign: policyText },
    });
  return { accessKeyId, credential, policy: parsePolicy(policyText) };
}

/** The value of a field that must be there. @throws S3Error InvalidArgument */
export function required(fields: FormFields, name: string): string {
  const value = fields.get(name.toLowerCase());
  if (value !== undefined) return value;
  throw wrong(
    name,
    '',
  )(
    `Bucket POST must contain a field named '${name}'.  If it is specified, please check the order of the fields.`,
  );
}

const wrong =
  (name: string, value: string, more: Record<string, string> = {}) =>
  (message: string): S3Error =>
    new S3Error('InvalidArgument', message, {
      fields: { ArgumentName: name, ArgumentValue: value, ...more },
    });

function checkScope(
  scope: { readonly region: string; readonly service: string },
  text: string,
  region: string,
): void {
  if (scope.region !== region)
    throw wrong('X-Amz-Credential', text, { Region: region })(
      `the region '${scope.region}' is wrong; expecting '${region}'`,
    );
  if (scope.service !== 's3')
    throw wrong(
      'X-Amz-Credential',
      text,
    )(`incorrect service "${scope.service}". This endpoint belongs to "s3".`);
}

function checkDate(text: string, scopeDate: string, nowMs: number): void {
  const signedAtMs = parseTimestamp(text);
  if (signedAtMs === undefined)
    throw wrong('X-Amz-Date', text)('X-Amz-Date must be formated via ISO8601 Long format');
  // AWS: "It is the same date you used in creating the signing key."
  if (!text.startsWith(scopeDate))
    throw wrong('X-Amz-Date', text)(`X-Amz-Date is not of the day ${scopeDate} of X-Amz-Credential`);
  if (nowMs - signedAtMs > SIGNATURE_AGE_MAX_MS)
    throw new S3Error('AccessDenied', 'Invalid according to Policy: Policy expired.');
}
