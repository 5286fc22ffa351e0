/**
 * Every S3 error code that this gateway answers, as rows: code, HTTP status, message, and what to do about it.
 * docs/errors.md lists the same rows and a test compares the two. Codes and statuses are those of
 * "Error responses" in the Amazon S3 API reference.
 */
export interface S3ErrorRow {
  readonly status: number;
  readonly message: string;
  /** For docs/errors.md: how a user or an operator gets out of it. */
  readonly solve: string;
}

const row = (status: number, message: string, solve: string): S3ErrorRow => ({ status, message, solve });

export const S3_ERRORS = {
  AccessControlListNotSupported: row(
    400,
    'The bucket does not allow ACLs.',
    'Send no x-amz-grant-* header; rights are given per access key in the configuration.',
  ),
  AccessDenied: row(
    403,
    'Access Denied',
    'Sign the request, and give the access key the right (read or write) on this bucket.',
  ),
  AccessForbidden: row(
    403,
    'CORSResponse: CORS is not enabled for this bucket.',
    'Allow the origin, the method and the headers in the configuration (cors).',
  ),
  AuthorizationHeaderMalformed: row(
    400,
    'The authorization header is malformed.',
    'Set the client to Signature Version 4 and to the region that the answer names.',
  ),
  AuthorizationQueryParametersError: row(
    400,
    'The query string authentication parameters are not valid.',
    'Make the presigned link anew; it may be valid from 1 second to 7 days.',
  ),
  BadDigest: row(
    400,
    'The Content-MD5 or checksum value that you specified did not match what the server received.',
    'Send again: the bytes were damaged on the way.',
  ),
  BadRequest: row(400, 'The request is not valid HTTP.', 'Look at the proxy between client and gateway.'),
  BucketAlreadyExists: row(
    409,
    'The requested bucket name is not available. The bucket namespace is shared by all users of the system. Please select a different name and try again.',
    'Another access key has this bucket: choose another name.',
  ),
  BucketAlreadyOwnedByYou: row(
    409,
    'Your previous request to create the named bucket succeeded and you already own it.',
    'Nothing to do: use the bucket.',
  ),
  BucketNotEmpty: row(409, 'The bucket you tried to delete is not empty.', 'Delete its objects first.'),
  ConditionalRequestConflict: row(
    409,
    'A conflicting operation occurred. If using PutObject you can retry the request.',
    'Try again.',
  ),
  EntityTooLarge: row(
    400,
    'Your proposed upload exceeds the maximum allowed object size.',
    'A single PUT or part may have 5 GiB, an object 5 TiB.',
  ),
  EntityTooSmall: row(
    400,
    'Your proposed upload is smaller than the minimum allowed object size.',
    'Parts other than the last need 5 MiB.',
  ),
  IllegalLocationConstraintException: row(
    400,
    'The specified location constraint is incompatible for the region specific endpoint this request was sent to.',
    'Name the region of this gateway (option region) as LocationConstraint.',
  ),
  IncompleteBody: row(
    400,
    'You did not provide the number of bytes specified by the Content-Length HTTP header.',
    'Send again: the connection broke or the length was wrong.',
  ),
  InternalError: row(
    500,
    'We encountered an internal error. Please try again.',
    "Look for the request id in the gateway's log.",
  ),
  InvalidAccessKeyId: row(
    403,
    'The AWS access key ID you provided does not exist in our records.',
    'Compare the access key with the configuration (access_keys).',
  ),
  InvalidArgument: row(400, 'Invalid Argument', 'The message names the argument and what it may be.'),
  InvalidBucketName: row(
    400,
    'The specified bucket is not valid.',
    '3 to 63 of a-z, 0-9, - and ., a letter or digit at both ends; no IP address and none of the reserved beginnings and ends of S3.',
  ),
  InvalidDigest: row(
    400,
    'The Content-MD5 you specified is not valid.',
    'Content-MD5 is 16 bytes in base64.',
  ),
  InvalidLocationConstraint: row(
    400,
    'The specified location-constraint is not valid',
    'Name the region of this gateway (option region), or none where that is us-east-1.',
  ),
  InvalidPart: row(
    400,
    "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
    'List the parts and complete with what is listed.',
  ),
  InvalidPartNumber: row(
    416,
    'The requested partnumber is not satisfiable',
    'Ask for a part from 1 to the number in x-amz-mp-parts-count.',
  ),
  InvalidPartOrder: row(
    400,
    'The list of parts was not in ascending order. The parts list must be specified in order by part number.',
    'Sort the parts by number.',
  ),
  InvalidPolicyDocument: row(
    400,
    'The content of the form does not meet the conditions specified in the policy document.',
    'The message says what of the policy cannot be read; it is JSON in base64 with expiration and conditions.',
  ),
  InvalidRange: row(
    416,
    'The requested range is not satisfiable',
    'Ask for a range that begins within the object.',
  ),
  InvalidRequest: row(400, 'Invalid Request', 'The message says what is missing or not supported.'),
  InvalidStorageClass: row(
    400,
    'The storage class you specified is not valid.',
    'Use one of the names of S3; all are stored alike.',
  ),
  InvalidTag: row(
    400,
    'The tag provided was not a valid tag.',
    'At most 10 tags; keys to 128, values to 256 characters, no key twice; letters, digits, blanks and _ . : / = + - @.',
  ),
  InvalidToken: row(
    400,
    'The provided token is malformed or otherwise not valid.',
    'Use a long-term access key without a session token.',
  ),
  InvalidURI: row(400, "Couldn't parse the specified URI.", 'Percent-encode keys as UTF-8.'),
  KeyTooLongError: row(400, 'Your key is too long', 'Keys have at most 1,024 bytes of UTF-8.'),
  MalformedPOSTRequest: row(
    400,
    'The body of your POST request is not well-formed multipart/form-data.',
    'Send the form as multipart/form-data, whole, with its boundary in Content-Type.',
  ),
  MalformedTrailerError: row(
    400,
    'The request contained trailing data that was not well-formed or did not conform to our published schema.',
    'Send the one trailer that x-amz-trailer names, once, and no other.',
  ),
  MalformedXML: row(
    400,
    'The XML you provided was not well-formed or did not validate against our published schema',
    'Check the body against the S3 API reference, and its size limits in docs/s3-compatibility.md.',
  ),
  MaxPostPreDataLengthExceeded: row(
    400,
    'Your POST request fields preceding the upload file were too large.',
    'All fields before the file may have 20 KiB; the part with the data must be named file.',
  ),
  MetadataTooLarge: row(
    400,
    'Your metadata headers exceed the maximum allowed metadata size',
    'User metadata may have 2 KiB in all.',
  ),
  MethodNotAllowed: row(
    405,
    'The specified method is not allowed against this resource.',
    'See docs/s3-compatibility.md for the methods.',
  ),
  MissingContentLength: row(
    411,
    'You must provide the Content-Length HTTP header.',
    'Send Content-Length, or x-amz-decoded-content-length with aws-chunked.',
  ),
  NoSuchBucket: row(
    404,
    'The specified bucket does not exist',
    'Put it into the configuration, or make it by CreateBucket where create_buckets allows that.',
  ),
  NoSuchBucketPolicy: row(
    404,
    'The bucket policy does not exist',
    'There are no bucket policies; rights are given per access key.',
  ),
  NoSuchCORSConfiguration: row(
    404,
    'The CORS configuration does not exist',
    'CORS rules are made in the configuration (cors).',
  ),
  NoSuchKey: row(404, 'The specified key does not exist.', 'List the bucket; keys are case-sensitive.'),
  NoSuchLifecycleConfiguration: row(
    404,
    'The lifecycle configuration does not exist',
    'There are no lifecycle rules.',
  ),
  NoSuchPublicAccessBlockConfiguration: row(
    404,
    'The public access block configuration was not found',
    'What is public is decided by public_read in the configuration.',
  ),
  NoSuchTagSet: row(404, 'The TagSet does not exist', 'Buckets have no tags; objects may.'),
  NoSuchUpload: row(
    404,
    'The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed.',
    'Start the upload anew; abandoned ones expire after 24 hours.',
  ),
  NoSuchVersion: row(
    404,
    'The specified version does not exist.',
    'There is one version of an object, named null.',
  ),
  NoSuchWebsiteConfiguration: row(
    404,
    'The specified bucket does not have a website configuration',
    'Websites are not served.',
  ),
  NotImplemented: row(
    501,
    'A header or operation you provided implies functionality that is not implemented.',
    'docs/s3-compatibility.md lists what there is.',
  ),
  NotModified: row(304, 'Not Modified', 'Nothing to do: your copy is current.'),
  ObjectLockConfigurationNotFoundError: row(
    404,
    'Object Lock configuration does not exist for this bucket',
    'Object lock is not supported.',
  ),
  OwnershipControlsNotFoundError: row(
    404,
    'The bucket ownership controls were not found',
    'All objects belong to the owner of the bucket.',
  ),
  PreconditionFailed: row(
    412,
    'At least one of the pre-conditions you specified did not hold',
    'Read the object again and decide anew.',
  ),
  // Not of S3: Ceph's RGW answers so. A 4xx that no SDK tries again, where a 5xx is tried until a push gives up.
  QuotaExceeded: row(
    403,
    'The storage quota has no room for this.',
    'The LFS space of the Gitee plan is used up (gitee.lfs_quota_bytes): make room or buy space, see docs/operations.md, Space.',
  ),
  ReplicationConfigurationNotFoundError: row(
    404,
    'The replication configuration was not found',
    'Mirrors are set up at Gitee.',
  ),
  RequestHeaderSectionTooLarge: row(
    400,
    'Your request header section exceeds the maximum allowed size.',
    'All headers together may have 16 KiB.',
  ),
  RequestTimeTooSkewed: row(
    403,
    'The difference between the request time and the current time is too large.',
    'Set the clocks of client and gateway (NTP); 15 minutes are allowed.',
  ),
  RequestTimeout: row(
    400,
    'Your socket connection to the server was not read from or written to within the timeout period.',
    'Send again; the body stood still for too long.',
  ),
  ServerSideEncryptionConfigurationNotFoundError: row(
    404,
    'The server side encryption configuration was not found',
    'Bytes at rest are as private as the Gitee repository is.',
  ),
  ServiceUnavailable: row(
    503,
    'Service is unable to handle request.',
    'Try again after the time in Retry-After; the message names the cause.',
  ),
  SignatureDoesNotMatch: row(
    403,
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    'Check the secret key, and that the proxy keeps Host and path as they were sent.',
  ),
  SlowDown: row(
    503,
    'Please reduce your request rate.',
    'Try again after the time in Retry-After, or after a few seconds where there is none.',
  ),
  TooManyBuckets: row(
    400,
    'You have attempted to create more buckets than are allowed.',
    'Delete buckets that are not used, or raise create_buckets.max.',
  ),
  XAmzContentSHA256Mismatch: row(
    400,
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
    'Send again: the bytes were damaged on the way.',
  ),
} as const satisfies Record<string, S3ErrorRow>;

export type S3ErrorCode = keyof typeof S3_ERRORS;

/** An answer that is an S3 error. Thrown anywhere in src/s3, written by the router only. */
export class S3Error extends Error {
  override readonly name = 'S3Error';
  /** Further elements of the error document, in order. */
  readonly fields: Readonly<Record<string, string>>;
  /** Headers of the answer, such as Retry-After. */
  readonly headers: Readonly<Record<string, string>>;
  readonly status: number;

  constructor(
    readonly code: S3ErrorCode,
    message?: string,
    extra: {
      fields?: Record<string, string>;
      headers?: Record<string, string>;
      /** Where it is not that of the code. */
      status?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message ?? S3_ERRORS[code].message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.fields = extra.fields ?? {};
    this.headers = extra.headers ?? {};
    this.status = extra.status ?? S3_ERRORS[code].status;
  }
}
