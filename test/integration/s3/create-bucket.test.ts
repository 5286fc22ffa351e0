// AWS API reference: CreateBucket. "Creates a new S3 bucket … you become the bucket owner."
import { rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { mustRun, until } from '../../support/child.js';
import { TestGateway } from '../../support/gateway.js';
import { WireClient } from '../../support/s3-client.js';
import { startS3Bucket, type S3Bucket } from '../../support/s3-bucket.js';

const MAX = 4;

describe('CreateBucket', () => {
  let bucket: S3Bucket;
  /** May create, and has no right on any bucket but those that it makes. */
  const maker = {
    access_key_id: 'AKMAKER',
    secret_access_key: 'secret of the maker',
    buckets: {},
    create_buckets: true,
  };
  const stranger = {
    access_key_id: 'AKSTRANGER',
    secret_access_key: 'secret of the stranger',
    buckets: { files: 'write' },
  };
  const clientOf = (key: { access_key_id: string; secret_access_key: string }) =>
    new WireClient({
      ...bucket.wire.target,
      accessKeyId: key.access_key_id,
      secretAccessKey: key.secret_access_key,
    });
  const put = (
    name: string,
    more: { client?: WireClient; body?: string; headers?: Record<string, string> } = {},
  ) =>
    (more.client ?? bucket.wire).send({
      method: 'PUT',
      path: `/${name}`,
      ...(more.body === undefined ? {} : { body: more.body }),
      ...(more.headers ? { headers: more.headers } : {}),
    });
  const listed = async (client = bucket.wire) =>
    (await client.send({ method: 'GET', path: '/' })).xmlAll('Name');
  const constraint = (region: string) =>
    `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`;

  beforeAll(async () => {
    bucket = await startS3Bucket({
      createBuckets: true,
      accessKeys: [maker, stranger],
      config: {
        create_buckets: { max: MAX },
        poll_interval: '500ms',
        commit: { interval: '200ms' },
      },
    });
  });
  afterAll(() => bucket.close());

  test('makes a bucket that can be used at once, and says where it is', async () => {
    const made = await put('photos');
    expect([made.status, made.headers.location, made.text]).toEqual([200, '/photos', '']);
    expect((await bucket.wire.send({ method: 'PUT', path: '/photos/cat.txt', body: 'a cat' })).status).toBe(
      200,
    );
    expect((await bucket.wire.send({ method: 'GET', path: '/photos/cat.txt' })).text).toBe('a cat');
    expect((await bucket.wire.send({ method: 'HEAD', path: '/photos' })).status).toBe(200);
    expect(await listed()).toEqual(['files', 'photos', 'registry']);
  });

  test('stands on Gitee as a directory, and in the catalogue', async () => {
    await bucket.landed('photos');
    const repository = path.join(bucket.stack.gitee.dataDir, 'repositories', 'acme/files.git');
    const show = async (file: string) =>
      (await mustRun('git', ['-C', repository, 'show', `buckets:${file}`])).stdout;
    expect(await show('buckets/photos/cat.txt')).toBe('a cat');
    expect(JSON.parse(await show('buckets/_catalogue/photos.json'))).toEqual({
      format: 1,
      name: 'photos',
      created: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      owner: bucket.stack.gateway.accessKeyId,
    });
  });

  test('of one that the key can use already is 200 in us-east-1, as in S3', async () => {
    expect((await put('photos')).status).toBe(200);
    expect((await put('files')).headers.location).toBe('/files');
    // Clients that create before they copy: without the permission the answer is the same.
    expect((await put('files', { client: clientOf(stranger) })).status).toBe(200);
    expect((await bucket.wire.send({ method: 'GET', path: '/photos/cat.txt' })).text).toBe('a cat');
  });

  test('of one that belongs to others is BucketAlreadyExists', async () => {
    const answer = await put('photos', { client: clientOf(maker) });
    expect([answer.status, answer.xml('Code'), answer.xml('BucketName')]).toEqual([
      409,
      'BucketAlreadyExists',
      'photos',
    ]);
  });

  test('gives whoever made it the right to use it, and nobody else', async () => {
    const mine = clientOf(maker);
    expect((await put('made-by-maker', { client: mine })).status).toBe(200);
    expect((await mine.send({ method: 'PUT', path: '/made-by-maker/a', body: 'x' })).status).toBe(200);
    expect(await listed(mine)).toEqual(['made-by-maker']);
    const others = clientOf(stranger);
    expect((await others.send({ method: 'GET', path: '/made-by-maker/a' })).status).toBe(403);
    expect(await listed(others)).toEqual(['files']);
  });

  test('is AccessDenied, with the option to set, for a key that may not', async () => {
    const answer = await put('not-mine', { client: clientOf(stranger) });
    expect([answer.status, answer.xml('Code')]).toEqual([403, 'AccessDenied']);
    expect(answer.xml('Message')).toMatch(/create_buckets/);
  });

  test.each([
    'ab',
    'Upper',
    'under_score',
    'two..dots',
    '-begins',
    'ends-',
    '10.0.0.1',
    'xn--a',
    'x-s3alias',
  ])('refuses %s as InvalidBucketName', async (name) => {
    const answer = await put(name);
    expect([answer.status, answer.xml('Code')]).toEqual([400, 'InvalidBucketName']);
  });

  test.each([
    [constraint('eu-west-3'), 'IllegalLocationConstraintException'],
    [constraint('here'), 'InvalidLocationConstraint'],
    ['<CreateBucketConfiguration', 'MalformedXML'],
    ['<Other/>', 'MalformedXML'],
  ])('with %s is %s', async (body, code) => {
    const answer = await put('elsewhere', { body });
    expect([answer.status, answer.xml('Code')]).toEqual([400, code]);
  });

  test.each([
    [{ 'x-amz-bucket-object-lock-enabled': 'true' }, 501, 'NotImplemented'],
    [{ 'x-amz-object-ownership': 'ObjectWriter' }, 501, 'NotImplemented'],
    [{ 'x-amz-grant-read': 'id=1' }, 400, 'AccessControlListNotSupported'],
  ])('with %j is %d %s', async (headers, status, code) => {
    const answer = await put('locked', { headers });
    expect([answer.status, answer.xml('Code')]).toEqual([status, code]);
    expect((await bucket.wire.send({ method: 'HEAD', path: '/locked' })).status).toBe(404);
  });

  test('takes the region by its name, and a private ACL', async () => {
    const made = await put('third', {
      body: constraint('us-east-1'),
      headers: { 'x-amz-acl': 'private', 'x-amz-object-ownership': 'BucketOwnerEnforced' },
    });
    expect(made.status).toBe(200);
  });

  test(`makes ${MAX} at most, also at the same moment`, async () => {
    const answers = await Promise.all(['fourth', 'fifth', 'sixth'].map((name) => put(name)));
    expect(answers.map((a) => a.status).sort()).toEqual([200, 400, 400]);
    expect(answers.find((a) => a.status === 400)!.xml('Code')).toBe('TooManyBuckets');
  });

  test('the internal list of them is no bucket', async () => {
    expect(await listed()).not.toContain('bucket_catalogue');
    expect((await bucket.wire.send({ method: 'GET', path: '/bucket_catalogue' })).xml('Code')).toBe(
      'NoSuchBucket',
    );
    expect((await bucket.wire.send({ method: 'PUT', path: '/bucket_catalogue/x', body: 'x' })).status).toBe(
      404,
    );
  });

  test('are in status, fsck, rebuild and the metrics', async () => {
    const status = await bucket.stack.gateway.cli('status');
    expect(status.stdout).toMatch(/photos +acme\/files +buckets/);
    expect((await bucket.stack.gateway.cli('fsck', '--bucket', 'photos')).code).toBe(0);
    expect((await bucket.stack.gateway.cli('rebuild', '--bucket', 'photos')).stdout).toMatch(/1 key/);
    const page = await (await fetch(`${bucket.stack.gateway.metricsUrl}/metrics`)).text();
    expect(page).toMatch(/gateway_journal_pending_changes\{bucket="photos"\} 0/);
  });

  test('are there after a restart, and after a start on an empty state directory', async () => {
    const shown = async () =>
      (await bucket.wire.send({ method: 'GET', path: '/' })).text.replace(/<Owner>.*<\/Owner>/, '');
    const isOurs = /<Name>photos<\/Name><CreationDate>[^<]*<\/CreationDate>/;
    const before = isOurs.exec(await shown())![0];
    const gateway = bucket.stack.gateway;
    await gateway.restart();
    expect(isOurs.exec(await shown())![0]).toBe(before);
    await gateway.stop();
    await rm(gateway.stateDirectory, { recursive: true });
    await gateway.start();
    expect(isOurs.exec(await shown())![0]).toBe(before);
    expect((await bucket.wire.send({ method: 'GET', path: '/photos/cat.txt' })).text).toBe('a cat');
    expect(await listed(clientOf(maker))).toEqual(['made-by-maker']);
  });

  test('are seen by another gateway on the same repository, and go there too', async () => {
    const { gateway, gitee, directory } = bucket.stack;
    const second = await TestGateway.prepare({
      directory: path.join(directory, 'second'),
      gitee: { url: gitee.url, token: gitee.token },
      config: {
        create_buckets: { repository: 'acme/files', branch: 'buckets' },
        poll_interval: '500ms',
        access_keys: [
          { access_key_id: 'AKSECOND', secret_access_key: 'secret of the second', create_buckets: true },
        ],
      },
    });
    await writeFile(second.tokenFile, `${gitee.token}\n`);
    await second.start();
    try {
      const there = new WireClient({
        endpoint: second.endpoint,
        accessKeyId: 'AKSECOND',
        secretAccessKey: 'secret of the second',
        region: 'us-east-1',
      });
      expect((await there.send({ method: 'GET', path: '/photos/cat.txt' })).text).toBe('a cat');
      expect((await there.send({ method: 'DELETE', path: '/third' })).status).toBe(204);
      await until('the first gateway sees the bucket go', async () => !(await listed()).includes('third'));
      expect((await there.send({ method: 'PUT', path: '/by-second' })).status).toBe(200);
      await until('the first gateway sees the new bucket', async () =>
        (await listed()).includes('by-second'),
      );
      expect(gateway.child!.running).toBe(true);
    } finally {
      await second.stop();
    }
  });
});
