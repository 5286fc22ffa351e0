import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Log } from '../../../src/async/log.js';
import { silentLog } from '../../../src/async/log.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';

describe('objects over the wire', () => {
  let app: TestApp;
  const lines: { message: string; fields: Record<string, unknown> }[] = [];
  const counted: { name: string; labels: Record<string, string> | undefined }[] = [];
  const log: Log = { ...silentLog, info: (message, fields = {}) => lines.push({ message, fields }) };
  const observer = {
    count: (name: string, labels?: Record<string, string>) => void counted.push({ name, labels }),
    observe: () => {},
    set: () => {},
  };
  beforeEach(async () => {
    lines.length = 0;
    counted.length = 0;
    app = await startTestApp({ log, observer, domain: 's3.example.test' });
  });
  afterEach(() => app.close());

  const put = (key: string, body: string, headers: Record<string, string> = {}) =>
    app.client.send({ method: 'PUT', path: `/images/${key}`, body, headers });
  const get = (key: string, headers: Record<string, string> = {}, query: Record<string, string> = {}) =>
    app.client.send({ method: 'GET', path: `/images/${key}`, headers, query });
  const head = (key: string, headers: Record<string, string> = {}) =>
    app.client.send({ method: 'HEAD', path: `/images/${key}`, headers });

  it('gives back the headers that an object was put with', async () => {
    const headers = {
      'content-type': 'text/plain; charset=utf-8',
      'content-encoding': 'identity',
      'content-disposition': 'attachment; filename="a b.txt"',
      'content-language': 'de',
      'cache-control': 'max-age=60',
      expires: 'Thu, 01 Dec 2033 16:00:00 GMT',
      'x-amz-meta-colour': 'blue',
    };
    await put('k', 'body', headers);
    const answer = await get('k');
    expect(answer.headers).toMatchObject(headers);
    expect(answer.headers['accept-ranges']).toBe('bytes');
    expect(answer.headers.etag).toBe('"841a2d689ad86bd1611447453c22c6fc"');
    expect(Date.parse(answer.headers['last-modified']!)).not.toBeNaN();
  });

  it('gives UTF-8 user metadata back byte for byte', async () => {
    const latin1 = Buffer.from('grün 你好', 'utf8').toString('latin1');
    await app.objects.putObject(
      'images',
      'k' as never,
      { bytes: (async function* () {})(), promise: {} },
      { meta: { userMetadata: { note: 'grün 你好', bad: 'a\nb' } }, conditions: {} },
      { signal: new AbortController().signal, requestId: 't' },
    );
    const answer = await head('k');
    expect(answer.headers['x-amz-meta-note']).toBe(latin1);
    expect(answer.headers['x-amz-missing-meta']).toBe('1');
  });

  it('refuses user metadata over 2 KiB', async () => {
    const answer = await put('k', '', { 'x-amz-meta-big': 'm'.repeat(2100) });
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'MetadataTooLarge']);
  });

  it('answers HEAD as GET but without a body, errors too', async () => {
    await put('k', 'four');
    const found = await head('k');
    expect([found.status, found.headers['content-length'], found.body.length]).toEqual([200, '4', 0]);
    const missing = await head('missing');
    expect([missing.status, missing.body.length]).toEqual([404, 0]);
  });

  it('puts the same request id into the header and into the error document', async () => {
    const answer = await get('missing');
    expect(answer.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
    expect(answer.xml('RequestId')).toBe(answer.headers['x-amz-request-id']);
    expect(answer.xml('HostId')).toBe(answer.headers['x-amz-id-2']);
  });

  it.each([
    ['bytes=0-', 206, 'hello', 'bytes 0-4/5'],
    ['bytes=1-2', 206, 'el', 'bytes 1-2/5'],
    ['bytes=1-999', 206, 'ello', 'bytes 1-4/5'],
    ['bytes=-2', 206, 'lo', 'bytes 3-4/5'],
    ['bytes=-99', 206, 'hello', 'bytes 0-4/5'],
    ['bytes=0-1,3-4', 200, 'hello', undefined],
    ['bytes=3-1', 200, 'hello', undefined],
    ['lines=1-2', 200, 'hello', undefined],
    ['bytes=', 200, 'hello', undefined],
  ])('answers Range %s with %d', async (range, status, text, contentRange) => {
    await put('k', 'hello');
    const answer = await get('k', { range });
    expect([answer.status, answer.text, answer.headers['content-range']]).toEqual([
      status,
      text,
      contentRange,
    ]);
    expect(answer.headers['content-length']).toBe(String(text.length));
  });

  it.each(['bytes=5-', 'bytes=99-100', 'bytes=-0', 'bytes=99999999999999999999-'])(
    'answers 416 for Range %s',
    async (range) => {
      await put('k', 'hello');
      expect((await get('k', { range })).status).toBe(416);
    },
  );

  it('lets the range of a changed object go with If-Range', async () => {
    await put('k', 'hello');
    const etag = (await head('k')).headers.etag!;
    expect((await get('k', { range: 'bytes=1-1', 'if-range': etag })).text).toBe('e');
    expect((await get('k', { range: 'bytes=1-1', 'if-range': '"other"' })).text).toBe('hello');
  });

  it('answers conditional reads as RFC 9110 asks', async () => {
    await put('k', 'hello');
    const { etag } = (await head('k')).headers as { etag: string };
    const later = new Date(Date.now() + 60_000).toUTCString();
    const earlier = new Date(Date.now() - 60_000).toUTCString();
    const status = async (headers: Record<string, string>) => (await get('k', headers)).status;
    expect(await status({ 'if-match': etag })).toBe(200);
    expect(await status({ 'if-match': '"x", ' + etag })).toBe(200);
    expect(await status({ 'if-match': '"x"' })).toBe(412);
    expect(await status({ 'if-match': `W/${etag}` })).toBe(412);
    expect(await status({ 'if-none-match': '*' })).toBe(304);
    expect(await status({ 'if-none-match': `W/${etag}` })).toBe(304);
    expect(await status({ 'if-modified-since': later })).toBe(304);
    expect(await status({ 'if-modified-since': earlier })).toBe(200);
    expect(await status({ 'if-unmodified-since': earlier })).toBe(412);
    expect(await status({ 'if-unmodified-since': 'no date' })).toBe(200);
    const unchanged = await get('k', { 'if-none-match': etag });
    expect([unchanged.body.length, unchanged.headers.etag]).toEqual([0, etag]);
  });

  it('writes on condition: If-None-Match * only where there is nothing, If-Match only over what it names', async () => {
    expect((await put('k', 'one', { 'if-none-match': '*' })).status).toBe(200);
    const again = await put('k', 'two', { 'if-none-match': '*' });
    expect([again.status, again.xml('Code'), again.xml('Condition')]).toEqual([
      412,
      'PreconditionFailed',
      'If-None-Match',
    ]);
    const { etag } = (await head('k')).headers as { etag: string };
    expect((await put('k', 'three', { 'if-match': etag })).status).toBe(200);
    expect((await put('k', 'four', { 'if-match': etag })).status).toBe(412);
    expect((await put('k', 'five', { 'if-none-match': '"x"' })).status).toBe(501);
    expect((await get('k')).text).toBe('three');
  });

  it('overrides response headers in a signed request', async () => {
    await put('k', 'x', { 'content-type': 'text/plain' });
    const answer = await get(
      'k',
      {},
      { 'response-content-type': 'a/b', 'response-cache-control': 'no-store' },
    );
    expect([answer.headers['content-type'], answer.headers['cache-control']]).toEqual(['a/b', 'no-store']);
    const injected = await get('k', {}, { 'response-content-disposition': 'a\r\nx-evil: 1' });
    expect([injected.status, injected.headers['x-evil']]).toEqual([200, undefined]);
  });

  it('checks Content-MD5 and checksums before anything is stored', async () => {
    const wrong = await put('k', 'body', { 'content-md5': Buffer.alloc(16).toString('base64') });
    expect([wrong.status, wrong.xml('Code')]).toEqual([400, 'BadDigest']);
    expect((await put('k', 'body', { 'content-md5': 'nonsense' })).xml('Code')).toBe('InvalidDigest');
    expect((await put('k', 'body', { 'x-amz-checksum-crc32': 'AAAAAA==' })).xml('Code')).toBe('BadDigest');
    expect((await put('k', 'body', { 'x-amz-checksum-crc32': 'short' })).xml('Code')).toBe('InvalidRequest');
    expect((await put('k', 'body', { 'x-amz-sdk-checksum-algorithm': 'CRC32' })).xml('Code')).toBe(
      'InvalidRequest',
    );
    const two = { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-crc32c': 'AAAAAA==' };
    expect((await put('k', 'body', two)).xml('Code')).toBe('InvalidRequest');
    expect(app.objects.keys()).toEqual([]);
  });

  it('tells a kept checksum to who asks for it, and not for a range', async () => {
    const value = createHash('sha256').update('body').digest('base64');
    expect(
      (await put('k', 'body', { 'x-amz-checksum-sha256': value })).headers['x-amz-checksum-sha256'],
    ).toBe(value);
    const asks = { 'x-amz-checksum-mode': 'ENABLED' };
    expect((await get('k', asks)).headers['x-amz-checksum-sha256']).toBe(value);
    expect((await get('k')).headers).not.toHaveProperty('x-amz-checksum-sha256');
    expect((await get('k', { ...asks, range: 'bytes=0-1' })).headers).not.toHaveProperty(
      'x-amz-checksum-sha256',
    );
  });

  it('asks for Content-Length where a body comes without one', async () => {
    const headers = await app.client.signedHeaders({
      method: 'PUT',
      path: '/images/k',
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
    const answer = await app.client.raw('PUT', '/images/k', { ...headers, 'transfer-encoding': 'chunked' });
    expect([answer.status, answer.xml('Code')]).toEqual([411, 'MissingContentLength']);
  });

  it('refuses keys over 1,024 bytes and takes keys of exactly that', async () => {
    expect((await put('é'.repeat(512).replace(/./g, '%C3%A9'), '')).status).toBe(200);
    const answer = await put('k'.repeat(1025), '');
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'KeyTooLongError']);
  });

  it('refuses a path that is not UTF-8', async () => {
    expect((await app.client.raw('GET', '/images/%ff')).xml('Code')).toBe('InvalidURI');
  });

  it.each([
    ['x-amz-server-side-encryption-customer-algorithm', 'AES256', 501],
    ['x-amz-server-side-encryption', 'aws:kms', 501],
    ['x-amz-object-lock-mode', 'GOVERNANCE', 501],
    ['x-amz-grant-read', 'id=1', 400],
    ['x-amz-storage-class', 'CHEAP', 400],
    ['x-amz-server-side-encryption', 'AES256', 200],
    ['x-amz-acl', 'public-read', 400],
    ['x-amz-acl', 'bucket-owner-full-control', 200],
    ['x-amz-acl', 'private', 200],
    ['x-amz-acl', 'bogus', 400],
    ['x-amz-expected-bucket-owner', 'gateway', 200],
    ['x-amz-expected-bucket-owner', '111122223333', 403],
  ])('answers %s: %s with %d', async (name, value, status) => {
    expect((await put('k', '', { [name]: value })).status).toBe(status);
  });

  it('deletes a key that is not there without a word', async () => {
    await put('k', 'x');
    for (let i = 0; i < 2; i += 1)
      expect((await app.client.send({ method: 'DELETE', path: '/images/k' })).status).toBe(204);
    expect(
      (await app.client.send({ method: 'DELETE', path: '/images/k', query: { versionId: 'abc' } })).status,
    ).toBe(404);
  });

  const deleteMany = (xml: string, headers: Record<string, string> = {}) =>
    app.client.send({ method: 'POST', path: '/images', query: { delete: '' }, body: xml, headers });

  it('deletes many keys, answering one by one, or errors only where asked to be quiet', async () => {
    for (const key of ['a', 'b&c']) await put(key.replace('&', '%26'), 'x');
    const loud = await deleteMany(
      `<Delete><Object><Key>a</Key></Object><Object><Key>${'k'.repeat(1025)}</Key></Object><Object><Key>b&amp;c</Key></Object></Delete>`,
    );
    expect(loud.xmlAll('Deleted')).toHaveLength(2);
    expect(loud.xmlAll('Code')).toEqual(['KeyTooLongError']);
    expect(app.objects.keys()).toEqual([]);
    const quiet = await deleteMany('<Delete><Quiet>true</Quiet><Object><Key>a</Key></Object></Delete>');
    expect([quiet.status, quiet.xmlAll('Deleted')]).toEqual([200, []]);
  });

  it('refuses a delete of none or of more than 1,000 keys, and one that nothing protects', async () => {
    expect((await deleteMany('<Delete></Delete>')).xml('Code')).toBe('MalformedXML');
    const object = '<Object><Key>k</Key></Object>';
    expect((await deleteMany(`<Delete>${object.repeat(1001)}</Delete>`)).xml('Code')).toBe('MalformedXML');
    expect((await deleteMany(`<Delete>${object.repeat(1000)}</Delete>`)).status).toBe(200);
    const unsigned = await app.client.send({
      method: 'POST',
      path: '/images',
      query: { delete: '' },
      body: `<Delete>${object}</Delete>`,
      payloadHash: 'UNSIGNED-PAYLOAD',
    });
    expect(unsigned.xml('Code')).toBe('InvalidRequest');
  });

  it('refuses documents over their size before it reads them', async () => {
    const answer = await deleteMany(`<Delete>${' '.repeat(2 * 1024 * 1024)}</Delete>`);
    expect(answer.xml('Code')).toBe('MalformedXML');
  });

  it('copies with the metadata of the source, or with its own', async () => {
    await put('k', 'x', { 'content-type': 'text/plain', 'x-amz-meta-a': '1', 'x-amz-tagging': 't=1' });
    const copy = (headers: Record<string, string>) =>
      app.client.send({
        method: 'PUT',
        path: '/images/copy',
        headers: { 'x-amz-copy-source': 'images/k', ...headers },
      });
    await copy({});
    expect((await head('copy')).headers).toMatchObject({
      'content-type': 'text/plain',
      'x-amz-meta-a': '1',
      'x-amz-tagging-count': '1',
    });
    await copy({ 'x-amz-metadata-directive': 'REPLACE', 'content-type': 'a/b' });
    const replaced = (await head('copy')).headers;
    expect([replaced['content-type'], replaced['x-amz-meta-a']]).toEqual(['a/b', undefined]);
    await copy({ 'x-amz-storage-class': 'GLACIER' });
    expect((await head('copy')).headers).toMatchObject({
      'x-amz-storage-class': 'GLACIER',
      'x-amz-meta-a': '1',
    });
    expect((await copy({ 'x-amz-copy-source-if-match': '"x"' })).status).toBe(412);
    expect((await copy({ 'x-amz-metadata-directive': 'MOVE' })).status).toBe(400);
    const self = await app.client.send({
      method: 'PUT',
      path: '/images/k',
      headers: { 'x-amz-copy-source': 'images/k' },
    });
    expect([self.status, self.xml('Code')]).toEqual([400, 'InvalidRequest']);
  });

  it('keeps tags by header and by document', async () => {
    await put('k', 'x', { 'x-amz-tagging': 'a=1&b=two%20words' });
    const tagging = { method: 'GET', path: '/images/k', query: { tagging: '' } };
    expect((await app.client.send(tagging)).xmlAll('Value')).toEqual(['1', 'two words']);
    const body = '<Tagging><TagSet><Tag><Key>c&lt;</Key><Value></Value></Tag></TagSet></Tagging>';
    expect((await app.client.send({ ...tagging, method: 'PUT', body })).status).toBe(200);
    expect((await app.client.send(tagging)).xmlAll('Key')).toEqual(['c<']);
    expect((await app.client.send({ ...tagging, method: 'DELETE' })).status).toBe(204);
    expect((await app.client.send(tagging)).xmlAll('Key')).toEqual([]);
    const twice = body.replace(/<Tag>.*<\/Tag>/, '$&$&');
    expect((await app.client.send({ ...tagging, method: 'PUT', body: twice })).xml('Code')).toBe(
      'InvalidTag',
    );
  });

  it('writes keys that XML cannot hold as references, and percent-encoded where asked', async () => {
    await put('a%01%0Db%26%EF%BF%BF', 'x');
    const plain = await app.client.send({ method: 'GET', path: '/images' });
    expect(plain.text).toContain('<Key>a&#x1;&#13;b&amp;&#xFFFF;</Key>');
    const url = await app.client.send({ method: 'GET', path: '/images', query: { 'encoding-type': 'url' } });
    expect(url.xml('Key')).toBe('a%01%0Db%26%EF%BF%BF');
    expect(
      (await deleteMany('<Delete><Object><Key>a&#x1;&#13;b&amp;&#xFFFF;</Key></Object></Delete>')).status,
    ).toBe(200);
    expect(app.objects.keys()).toEqual([]);
  });

  it('tells the attributes that are asked for', async () => {
    await put('k', 'four');
    const answer = await app.client.send({
      method: 'GET',
      path: '/images/k',
      query: { attributes: '' },
      headers: { 'x-amz-object-attributes': 'ETag,ObjectSize,StorageClass' },
    });
    expect([answer.xml('ObjectSize'), answer.xml('StorageClass')]).toEqual(['4', 'STANDARD']);
    expect(answer.xml('ETag')).toMatch(/^[0-9a-f]{32}$/);
    expect(
      (await app.client.send({ method: 'GET', path: '/images/k', query: { attributes: '' } })).status,
    ).toBe(400);
  });

  it('answers the parts of a multipart object by number', async () => {
    const created = await app.client.send({ method: 'POST', path: '/images/m', query: { uploads: '' } });
    const uploadId = created.xml('UploadId')!;
    const etags: string[] = [];
    for (const [i, body] of ['first', 'second'].entries())
      etags.push(
        (
          await app.client.send({
            method: 'PUT',
            path: '/images/m',
            query: { partNumber: String(i + 1), uploadId },
            body,
          })
        ).headers.etag!,
      );
    const parts = etags
      .map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
      .join('');
    await app.client.send({
      method: 'POST',
      path: '/images/m',
      query: { uploadId },
      body: `<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`,
    });
    const answer = await get('m', {}, { partNumber: '2' });
    expect([answer.status, answer.text, answer.headers['x-amz-mp-parts-count']]).toEqual([
      206,
      'second',
      '2',
    ]);
    expect((await get('m', {}, { partNumber: '3' })).status).toBe(416);
    expect((await get('m', { range: 'bytes=0-' }, { partNumber: '1' })).status).toBe(400);
    for (const partNumber of ['0', '10001', 'x'])
      expect(
        (
          await app.client.send({
            method: 'PUT',
            path: '/images/m',
            query: { partNumber, uploadId: 'u' },
            body: '',
          })
        ).xml('Code'),
      ).toBe('InvalidArgument');
  });

  it('finds the bucket in the host name of virtual-host style requests', async () => {
    await put('k', 'x');
    const headers = await app.client.signedHeaders({
      method: 'GET',
      path: '/k',
      headers: { host: 'images.s3.example.test' },
    });
    expect((await app.client.raw('GET', '/k', headers)).text).toBe('x');
  });

  it('answers a browser that asks for CORS', async () => {
    const answer = await app.client.raw('OPTIONS', '/images/k', { origin: 'https://a.example' });
    expect([answer.status, answer.xml('Code')]).toEqual([403, 'AccessForbidden']);
  });

  it.each([
    ['GET', '/images?versions', 'ListObjectVersions'],
    ['PUT', '/images/k?acl', 'PutObjectAcl'],
    ['GET', '/images/k?torrent', 'GetObjectTorrent'],
    ['POST', '/images/k?restore', 'RestoreObject'],
    ['DELETE', '/images?lifecycle', 'DeleteBucketLifecycle'],
    ['DELETE', '/images/k?retention', 'retention'],
  ])('answers %s %s with 501 and takes it for nothing else', async (method, target, name) => {
    const [path = '', sub = ''] = target.split('?');
    const answer = await app.client.send({ method, path, ...(sub ? { query: { [sub]: '' } } : {}) });
    expect([answer.status, answer.xml('Code')]).toEqual([501, 'NotImplemented']);
    expect(answer.xml('Message')).toContain(name);
    expect(app.objects.calls).toEqual([]);
  });

  it.each([
    ['versioning', 200, 'VersioningConfiguration'],
    ['acl', 200, 'AccessControlPolicy'],
    ['location', 200, 'LocationConstraint'],
    ['logging', 200, 'BucketLoggingStatus'],
    ['notification', 200, 'NotificationConfiguration'],
    ['accelerate', 200, 'AccelerateConfiguration'],
    ['requestPayment', 200, 'RequestPaymentConfiguration'],
    ['policy', 404, 'NoSuchBucketPolicy'],
    ['policyStatus', 404, 'NoSuchBucketPolicy'],
    ['cors', 404, 'NoSuchCORSConfiguration'],
    ['lifecycle', 404, 'NoSuchLifecycleConfiguration'],
    ['tagging', 404, 'NoSuchTagSet'],
    ['object-lock', 404, 'ObjectLockConfigurationNotFoundError'],
    ['encryption', 404, 'ServerSideEncryptionConfigurationNotFoundError'],
    ['website', 404, 'NoSuchWebsiteConfiguration'],
    ['replication', 404, 'ReplicationConfigurationNotFoundError'],
    ['ownershipControls', 404, 'OwnershipControlsNotFoundError'],
    ['publicAccessBlock', 404, 'NoSuchPublicAccessBlockConfiguration'],
  ])('answers GET ?%s as S3 does of a bucket without any', async (name, status, word) => {
    const answer = await app.client.send({ method: 'GET', path: '/images', query: { [name]: '' } });
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(word);
  });

  it('logs one line per request, without signature or credential, and counts it', async () => {
    await put('k', 'x');
    const url = await app.client.presign({ method: 'GET', path: '/images/k' });
    await app.client.raw('GET', url);
    const log = JSON.stringify(lines);
    expect(lines.map((l) => l.fields['operation'])).toEqual(['PutObject', 'GetObject']);
    expect(log).not.toMatch(/Signature=[0-9a-f]/);
    expect(log).not.toContain('a/secret');
    expect(lines[1]!.fields['url']).toContain('X-Amz-Signature=***');
    expect(lines[1]!.fields['requestId']).toMatch(/^[0-9A-F]{16}$/);
    expect(counted).toContainEqual({
      name: 'gateway_http_requests_total',
      labels: { operation: 'GetObject', status: '200' },
    });
  });
});
