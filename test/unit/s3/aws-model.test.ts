/**
 * Everything that S3 knows is sent, as the newest SDK's model has it: every operation, every parameter and every
 * header of it. Each is served as documented, or refused by name; none is taken for another operation, and none
 * passed over that would change what is stored, deleted or answered. Source: the Smithy model of Amazon S3.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { AccessRecord } from '../../../src/s3/access-log.js';
import { ROUTES } from '../../../src/s3/routes.js';
import type { ObjectKey } from '../../../src/format/ids.js';
import { S3_MODEL, type ModelMember, type ModelOperation } from '../../support/aws-model.js';
import { startTestApp, type TestApp } from '../../support/s3-app.js';
import type { S3Answer, S3Request } from '../../support/s3-client.js';

const BODY = 'some bytes';

/** What the gateway does, by the names of S3. */
const SERVED = new Map(
  ROUTES.flatMap((r) => (r.operation ? [[r.name, { ...r, operation: r.operation }]] : [])),
);

const BODIES: Readonly<Record<string, string>> = {
  PutObject: BODY,
  UploadPart: BODY,
  DeleteObjects: '<Delete><Object><Key>k</Key></Object></Delete>',
  PutObjectTagging: '<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>',
};

/** Values that can be honoured; any other name gets `x`. */
const GOOD: Readonly<Record<string, string>> = {
  'x-amz-copy-source': '/images/source',
  'x-amz-object-attributes': 'ETag',
  'x-amz-max-parts': '1',
  'x-amz-part-number-marker': '1',
  'x-amz-acl': 'private',
  'x-amz-server-side-encryption': 'AES256',
  'x-amz-storage-class': 'STANDARD_IA',
  'x-amz-tagging': 'a=b',
  'x-amz-tagging-directive': 'COPY',
  'x-amz-metadata-directive': 'COPY',
  'x-amz-checksum-mode': 'ENABLED',
  'x-amz-expected-bucket-owner': 'gateway',
  'x-amz-source-expected-bucket-owner': 'gateway',
  'x-amz-bucket-object-lock-enabled': 'false',
  'x-amz-object-ownership': 'BucketOwnerEnforced',
  'x-amz-bucket-namespace': 'global',
  'x-amz-optional-object-attributes': 'RestoreStatus',
  'max-keys': '1',
  'max-uploads': '1',
  'max-parts': '1',
  'max-buckets': '1',
  'part-number-marker': '1',
  partNumber: '1',
  versionId: 'null',
  'encoding-type': 'url',
  'content-length': String(BODY.length),
};

/** Later than anything is written that a run of these tests writes, however long it takes. */
const TOMORROW = new Date(Date.now() + 86_400_000).toUTCString();

/** Values that cannot be honoured: whoever sends them must be told. */
const BAD: Readonly<Record<string, string>> = {
  'x-amz-acl': 'public-read-write',
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-tagging': 'a=b&a=c',
  'x-amz-bucket-object-lock-enabled': 'true',
  'x-amz-copy-source-if-match': '"other"',
  'x-amz-copy-source-if-none-match': '*',
  'x-amz-copy-source-if-modified-since': TOMORROW,
  'x-amz-copy-source-if-unmodified-since': new Date(0).toUTCString(),
  'x-amz-copy-source-range': 'bytes=0-99999',
  'if-match': '"other"',
  'if-none-match': '*',
  'if-modified-since': TOMORROW,
  'if-unmodified-since': new Date(0).toUTCString(),
  range: 'bytes=99999-',
};

/** Headers that come back with the object, or change nothing that S3 promises, and why. */
const NOT_REFUSED: Readonly<Record<string, string>> = {
  'cache-control': 'kept',
  'content-disposition': 'kept',
  'content-encoding': 'kept',
  'content-language': 'kept',
  'content-type': 'kept',
  expires: 'kept',
  'x-amz-meta-': 'kept',
  'content-length': 'of HTTP itself',
  'x-amz-request-payer': 'nobody pays for requests',
  'x-amz-mfa': 'no deletion asks for a code',
  'x-amz-bypass-governance-retention': 'nothing is locked',
  'x-amz-checksum-mode': 'any other word than ENABLED asks for nothing',
};

interface World {
  readonly app: TestApp;
  readonly records: AccessRecord[];
  readonly uploadId: string;
}

const context = { signal: new AbortController().signal, requestId: 't' };

async function startWorld(): Promise<World> {
  const records: AccessRecord[] = [];
  const app = await startTestApp({ onAccess: (record) => records.push(record) });
  for (const key of ['k', 'source'])
    await app.client.send({ method: 'PUT', path: `/images/${key}`, body: key });
  const key = 'k' as ObjectKey;
  const { uploadId } = await app.objects.createMultipartUpload('images', key, { meta: {} }, context);
  records.length = 0;
  return { app, records, uploadId };
}

/** All that a request could have changed. */
async function stateOf({ objects }: TestApp): Promise<unknown> {
  const buckets = (await objects.listBuckets()).map((b) => b.name);
  const kept: unknown[] = [];
  for (const bucket of buckets) {
    for (const key of objects.keys(bucket)) {
      const { record } = await objects.headObject(bucket, key as ObjectKey, { conditions: {} }, context);
      kept.push([bucket, key, record.etag, record.meta]);
    }
    const { uploads } = await objects.listMultipartUploads(bucket, { prefix: '', limit: 1000 }, context);
    for (const upload of uploads) {
      const { parts } = await objects.listParts(
        ...([bucket, upload.key, upload.uploadId, { afterPartNumber: 0, limit: 1000 }, context] as const),
      );
      kept.push([bucket, upload.uploadId, parts.map((p) => p.etag)]);
    }
  }
  return { buckets, kept };
}

function requestOf(operation: ModelOperation, { uploadId }: World, more: Partial<S3Request> = {}): S3Request {
  const headers: Record<string, string> = {};
  const query: Record<string, string> = { ...operation.query };
  for (const member of operation.members) {
    if (!member.isRequired) continue;
    const value = member.name === 'uploadId' ? uploadId : (GOOD[member.name] ?? 'x');
    if (member.kind === 'query') query[member.name] = value;
    else headers[member.name] = value;
  }
  const place = operation.isOfBucket ? '/images' : '';
  const path = operation.path === '/' ? place || '/' : `${place}${operation.path.replace('{Key+}', 'k')}`;
  const body =
    BODIES[operation.name] ?? (operation.method === 'PUT' || operation.method === 'POST' ? '' : undefined);
  return {
    ...{ method: operation.method, path, ...(body === undefined ? {} : { body }) },
    query: { ...query, ...more.query },
    headers: { ...headers, ...more.headers },
  };
}

const send = (world: World, request: S3Request): Promise<S3Answer> => world.app.client.send(request);

describe('the model of the newest SDK', () => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.app.close());

  test('has all operations of S3 in it', () => {
    const names = S3_MODEL.map((o) => o.name);
    expect(names.length).toBeGreaterThan(100);
    // All that we serve, but for forms, which SDKs only sign.
    expect([...SERVED.keys()].filter((name) => !names.includes(name))).toEqual(['PostObject']);
  });

  test.each(S3_MODEL.map((o) => [o.name, o] as const))(
    '%s is served as itself, or refused',
    async (name, operation) => {
      const before = await stateOf(world.app);
      const answer = await send(world, requestOf(operation, world));
      const taken = world.records.map((r) => r.operation);
      if (SERVED.has(name)) {
        expect(taken).toEqual([name]);
        expect(answer.status).not.toBe(501);
        return;
      }
      expect([answer.status, answer.xml('Code'), taken]).toEqual([501, 'NotImplemented', ['unknown']]);
      expect(await stateOf(world.app)).toEqual(before);
    },
  );

  const cases = S3_MODEL.filter((o) => SERVED.has(o.name)).flatMap((operation) =>
    operation.members
      .filter((m) => m.name !== 'uploadId')
      .map((member) => [operation.name, member.name, operation, member] as const),
  );

  test.each(cases.filter(([, , , m]) => m.kind === 'query'))(
    '%s acts on the parameter %s',
    async (name, parameter, operation) => {
      const route = SERVED.get(name)!;
      expect([route.when.split('=')[0], ...(route.operation.parameters ?? [])]).toContain(parameter);
      await send(world, requestOf(operation, world, { query: { [parameter]: GOOD[parameter] ?? 'x' } }));
      expect(world.records[0]!.operation).toBe(name);
    },
  );

  /** Right where the body is that of the request. */
  const goodOf = (member: ModelMember, body: string): string => {
    const algorithm = /^x-amz-checksum-(sha1|sha256|sha512|md5)$/.exec(member.name)?.[1];
    if (algorithm) return createHash(algorithm).update(body).digest('base64');
    if (member.name === 'content-md5') return base64Md5(body);
    return GOOD[member.name] ?? 'x';
  };
  const base64Md5 = (body: string) => createHash('md5').update(body).digest('base64');

  test.each(cases.filter(([, , , m]) => m.kind !== 'query'))(
    '%s heeds the header %s, or refuses it',
    async (name, header, operation, member) => {
      const isRead = operation.method === 'GET' || operation.method === 'HEAD';
      const wire = member.kind === 'prefix' ? `${header}colour` : header;
      const before = await stateOf(world.app);
      const ask = async (value: string) => {
        // Without it a copy has the tags of its source, whatever is sent.
        const replaces = wire === 'x-amz-tagging' ? { 'x-amz-tagging-directive': 'REPLACE' } : {};
        const more = name === 'CopyObject' ? replaces : {};
        const request = requestOf(operation, world, { headers: { ...more, [wire]: value } });
        return await send(world, request);
      };
      const isUnsaid = Object.hasOwn(NOT_REFUSED, header);
      if (isUnsaid && NOT_REFUSED[header] !== 'kept') {
        await ask(goodOf(member, BODIES[name] ?? ''));
        expect(world.records[0]!.operation).toBe(name);
        return;
      }
      if (isUnsaid) {
        const answer = await ask('text/x-kept');
        expect(answer.status).toBe(200);
        if (name === 'PutObject') {
          const head = await send(world, { method: 'HEAD', path: '/images/k' });
          expect(head.headers[wire]).toBe('text/x-kept');
        }
        return;
      }
      const refused = await ask(BAD[header] ?? 'no such value');
      expect(refused.status).toBeGreaterThanOrEqual(isRead && /^(if|range)/.test(header) ? 304 : 400);
      expect(await stateOf(world.app)).toEqual(before);
    },
  );
});

describe('what S3 does not know yet', () => {
  let world: World;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.app.close());

  const EVERY = ROUTES.filter((r) => r.operation).map((r) => [r.name, r] as const);
  const askedOf = (route: (typeof ROUTES)[number]): S3Request & { query: Record<string, string> } => {
    const model = S3_MODEL.find((o) => o.name === route.name);
    if (model) return requestOf(model, world) as S3Request & { query: Record<string, string> };
    return { method: 'POST', path: '/images', query: {}, headers: {}, body: '' };
  };
  const expectRefused = async (answer: S3Answer, method: string, name: string, before: unknown) => {
    expect(answer.status).toBe(501);
    if (method !== 'HEAD')
      expect([answer.xml('Code'), answer.xml('Message')]).toEqual([
        'NotImplemented',
        expect.stringContaining(name),
      ]);
    expect(await stateOf(world.app)).toEqual(before);
  };

  test.each(EVERY)('a sub-resource is never taken for %s', async (_, route) => {
    const before = await stateOf(world.app);
    const request = askedOf(route);
    const answer = await send(world, { ...request, query: { ...request.query, unheardOf: '' } });
    await expectRefused(answer, request.method, 'unheardOf', before);
  });

  test.each(EVERY.filter(([, r]) => r.method !== 'GET' && r.method !== 'HEAD'))(
    'nor is a parameter passed over by %s',
    async (_, route) => {
      const before = await stateOf(world.app);
      const request = askedOf(route);
      const answer = await send(world, { ...request, query: { ...request.query, unheardOf: 'x' } });
      await expectRefused(answer, request.method, 'unheardOf', before);
    },
  );

  test.each(EVERY)('a header is not passed over by %s', async (_, route) => {
    const before = await stateOf(world.app);
    const request = askedOf(route);
    const answer = await send(world, {
      ...request,
      headers: { ...request.headers, 'x-amz-unheard-of': 'x' },
    });
    await expectRefused(answer, request.method, 'x-amz-unheard-of', before);
  });

  test.each(EVERY.filter(([, r]) => r.name !== 'PostObject'))(
    'nor where a link has it in its query (%s)',
    async (_, route) => {
      const before = await stateOf(world.app);
      const { method, path, query, headers } = askedOf(route);
      const link = await world.app.client.presign({
        method,
        path,
        query: { ...query, 'x-amz-unheard-of': 'x' },
        ...(headers ? { headers } : {}),
      });
      const answer = await world.app.client.raw(method, link, headers);
      await expectRefused(answer, method, 'x-amz-unheard-of', before);
    },
  );

  test.each(EVERY.filter(([, r]) => r.method !== 'HEAD' && r.name !== 'PostObject'))(
    'x-id of another operation is never taken for %s',
    async (_, route) => {
      const before = await stateOf(world.app);
      const request = askedOf(route);
      const answer = await send(world, { ...request, query: { ...request.query, 'x-id': 'UnheardOf' } });
      await expectRefused(answer, request.method, 'UnheardOf', before);
    },
  );

  test.each(['?v=3', '?1733000000', '?cachebuster=a&b=c'])(
    'what pages add to get by caches is (GET %s)',
    async (search) => {
      const [name, value = ''] = search.slice(1).split('&')[0]!.split('=');
      const answer = await send(world, { method: 'GET', path: '/images/k', query: { [name!]: value } });
      expect([answer.status, answer.text]).toEqual([200, 'k']);
    },
  );
});
