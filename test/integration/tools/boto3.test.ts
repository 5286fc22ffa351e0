import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ODD_KEYS, ODD_TREE } from '../../support/file-tree.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';
import { Tools } from '../../support/tools.js';

const PRELUDE = `
import boto3, io, json, os, hashlib, urllib.request
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
s3 = boto3.client('s3', endpoint_url=os.environ['GATEWAY_ENDPOINT'],
                  config=Config(s3={'addressing_style': 'path'}, signature_version='s3v4', retries={'max_attempts': 0}))
B = 'files'
def code(call, **args):
    try:
        call(**args)
        return 'none'
    except ClientError as e:
        return e.response['Error']['Code']
`;

describe("Debian's boto3", () => {
  let bucket: S3Bucket;
  let tools: Tools;
  /** The last line that the script prints, as JSON. */
  const python = async (script: string): Promise<unknown> => {
    const { stdout } = await tools.python(PRELUDE + script);
    return JSON.parse(stdout.trim().split('\n').at(-1)!);
  };
  beforeAll(async () => {
    bucket = await startS3Bucket();
    tools = await Tools.setUp(bucket.stack.directory, bucket.stack.gateway);
  });
  afterAll(() => bucket.close());

  test('keeps every odd key apart from the others, and lists all in pages', async () => {
    const keys = [...Object.keys(ODD_TREE), ...ODD_KEYS, 'k'.repeat(1024), 'tab\tnew\nline\u0001'];
    const listed = await python(`
keys = json.loads(${JSON.stringify(JSON.stringify(keys))})
for k in keys:
    s3.put_object(Bucket=B, Key=k, Body=k.encode())
for k in keys:
    assert s3.get_object(Bucket=B, Key=k)['Body'].read() == k.encode(), k
    s3.head_object(Bucket=B, Key=k)
pages = s3.get_paginator('list_objects_v2').paginate(Bucket=B, PaginationConfig={'PageSize': 4})
old = s3.get_paginator('list_objects').paginate(Bucket=B, PaginationConfig={'PageSize': 3})
new = [c['Key'] for p in pages for c in p['Contents']]
assert new == [c['Key'] for p in old for c in p['Contents']]
for k in keys:
    s3.copy_object(Bucket=B, Key='copy', CopySource={'Bucket': B, 'Key': k})
    assert s3.get_object(Bucket=B, Key='copy')['Body'].read() == k.encode(), k
# Quiet: boto3 cannot read \\x01 in the answer (XML 1.0 has no way to write it), with S3 neither.
answer = s3.delete_objects(Bucket=B, Delete={'Objects': [{'Key': k} for k in keys + ['copy']], 'Quiet': True})
assert 'Errors' not in answer, answer
assert s3.list_objects_v2(Bucket=B)['KeyCount'] == 0
print(json.dumps(new))
`);
    const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(listed).toEqual(sorted);
  });

  test('uploads and downloads in parts, and copies in parts', async () => {
    const result = await python(`
config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
body = os.urandom(64 << 20)
s3.upload_fileobj(io.BytesIO(body), B, 'parts', Config=config, ExtraArgs={'Metadata': {'a': 'b'}, 'ContentType': 'x/y'})
s3.copy({'Bucket': B, 'Key': 'parts'}, B, 'copied', Config=config)
same = []
for k in ['parts', 'copied']:
    out = io.BytesIO()
    s3.download_fileobj(B, k, out, Config=config)
    same.append(out.getvalue() == body)
head = s3.head_object(Bucket=B, Key='parts')
print(json.dumps([same, head['Metadata'], head['ContentType'], head['ETag'].endswith('-8"')]))
`);
    expect(result).toEqual([[true, true], { a: 'b' }, 'x/y', true]);
  });

  // boto/s3transfer#241: before s3transfer 0.8 a copy in parts leaves the checksums out, which S3 refuses too.
  test('uploads in parts with a composite checksum; a copy in parts is refused as by S3', async () => {
    const result = await python(`
config = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)
body = os.urandom(20 << 20)
told = []
for name in ['SHA256', 'CRC32', 'SHA1']:
    extra = {'ChecksumAlgorithm': name}
    s3.upload_fileobj(io.BytesIO(body), B, 'summed', Config=config, ExtraArgs=extra)
    head = s3.head_object(Bucket=B, Key='summed', ChecksumMode='ENABLED')
    told.append([name, head['Checksum' + name].endswith('-3')])
told.append(code(s3.copy, CopySource={'Bucket': B, 'Key': 'summed'}, Bucket=B, Key='copied', Config=config, ExtraArgs=extra))
print(json.dumps(told))
`);
    expect(result).toEqual([['SHA256', true], ['CRC32', true], ['SHA1', true], 'InvalidRequest']);
  });

  test('presigns links for reads and writes', async () => {
    const result = await python(`
put = s3.generate_presigned_url('put_object', Params={'Bucket': B, 'Key': 'a b+c'}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(put, data=b'by link', method='PUT'))
get = s3.generate_presigned_url('get_object', Params={'Bucket': B, 'Key': 'a b+c'}, ExpiresIn=60)
print(json.dumps(urllib.request.urlopen(get).read().decode()))
`);
    expect(result).toBe('by link');
  });

  test('reads errors by their code, and what a bucket has not', async () => {
    const result = await python(`
print(json.dumps([
    code(s3.get_object, Bucket=B, Key='none'),
    code(s3.head_object, Bucket=B, Key='none'),
    code(s3.list_objects_v2, Bucket='nothing'),
    code(s3.get_bucket_policy, Bucket=B),
    code(s3.get_bucket_cors, Bucket=B),
    code(s3.get_bucket_lifecycle_configuration, Bucket=B),
    code(s3.get_bucket_tagging, Bucket=B),
    code(s3.get_bucket_versioning, Bucket=B),
    code(s3.put_bucket_versioning, Bucket=B, VersioningConfiguration={'Status': 'Enabled'}),
]))
`);
    expect(result).toEqual([
      'NoSuchKey',
      '404',
      'NoSuchBucket',
      'NoSuchBucketPolicy',
      'NoSuchCORSConfiguration',
      'NoSuchLifecycleConfiguration',
      'NoSuchTagSet',
      'none',
      'NotImplemented',
    ]);
  });
});
