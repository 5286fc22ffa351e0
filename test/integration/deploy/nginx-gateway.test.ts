/** The shipped Nginx and registry files with the real registry and gateway: restarts, redirects, signatures. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { run, until } from '../../support/child.js';
import { Front } from '../../support/front.js';
import { makeImage, push as pushPlain } from '../../support/image.js';
import type { TestNginx } from '../../support/nginx.js';
import type { ShippedRegistry } from '../../support/shipped-registry.js';
import { encodeQuery, WireClient } from '../../support/s3-client.js';
import type { Stack } from '../../support/stack.js';

let front: Front;
let directory: string;
let stack: Stack;
let nginx: TestNginx;
let relaying: ShippedRegistry;

beforeAll(async () => {
  front = await Front.start();
  ({ directory, stack, nginx, registry: relaying } = front);
});

afterAll(() => front.close());

test('a push goes through a restart of the gateway: the driver waits out the 503s of Nginx', async () => {
  const image = await makeImage(join(directory, 'restart'), [20 << 20, 4096]);
  const pushed = front.push(image, 'restart/app');
  await until('layers are on their way', async () =>
    (await nginx.accessLog('s3')).some(
      (line) => line['method'] === 'PUT' && String(line['path']).includes('_uploads'),
    ),
  );
  await stack.gateway.kill();
  await until('the registry was asked for patience', async () =>
    (await nginx.accessLog('s3')).some((line) => line['status'] === 503),
  );
  await stack.gateway.start();
  expect(await pushed).toMatchObject({ code: 0 });
  const to = join(directory, 'restart-pulled');
  expect(await front.pull('restart/app', to)).toMatchObject({ code: 0 });
});

test('a request that the registry failed stands in its log with the request id that the client got', async () => {
  const sent = httpsRequest({
    host: '127.0.0.1',
    port: nginx.ports.tls,
    path: '/v2/no/such/manifests/latest',
    headers: { 'user-agent': 'docker/20.10', 'x-request-id': 'mine' },
    rejectUnauthorized: false,
  });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  response.resume();
  const id = String(response.headers['x-request-id']);
  expect([response.statusCode, id]).toEqual([404, expect.stringMatching(/^[0-9a-f]{32}$/)]);
  await until('the registry logged it', async () =>
    (await readFile(relaying.logFile, 'utf8')).split('\n').some((line) => {
      if (!line.startsWith('{')) return false;
      const record = JSON.parse(line) as Record<string, unknown>;
      return record['http.request.useragent'] === `docker/20.10 request-id/${id}`;
    }),
  );
  await until('Nginx logged it', async () =>
    (await nginx.accessLog('registry')).some((line) => line['request_id'] === id && line['status'] === 404),
  );
});

describe.each(['inside', 'public'] as const)('a signature holds through the %s S3 listener:', (listener) => {
  const inside = listener === 'inside';
  const port = () => (inside ? nginx.ports.s3 : nginx.ports.tls);
  const host = () => `${inside ? '127.0.0.1' : nginx.s3Name}:${port()}`;
  const client = () =>
    new WireClient({
      endpoint: inside ? `http://${host()}` : nginx.publicS3,
      accessKeyId: stack.gateway.accessKeyId,
      secretAccessKey: stack.gateway.secretAccessKey,
      region: 'us-east-1',
    });

  async function send(method: string, path: string, headers: Record<string, string>, body = '') {
    const target = { host: '127.0.0.1', port: port(), method, path, headers };
    const sent = inside
      ? httpRequest(target)
      : httpsRequest({ ...target, servername: nginx.s3Name, rejectUnauthorized: false });
    sent.end(body);
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    return { status: response.statusCode!, body: await text(response) };
  }

  async function signed(method: string, path: string, query: Record<string, string> = {}, body = '') {
    const headers = await client().signedHeaders({ method, path, query, body });
    return send(method, path + encodeQuery(query), headers, body);
  }

  test.each(['a%2Fb', 'a//b', 'a+b', 'a%2Bb', 'a%20b', '%E4%B8%AD%E6%96%87', "it's(!)*~", 'trailing/'])(
    'the key %s',
    async (key) => {
      const path = `/files/${listener}/${key}`;
      const put = await signed('PUT', path, {}, `bytes of ${key}`);
      expect(put).toMatchObject({ status: 200 });
      expect(await signed('GET', path)).toEqual({ status: 200, body: `bytes of ${key}` });
    },
  );

  test('a query with + and %2F', async () => {
    const query = { delimiter: '/', 'list-type': '2', prefix: `${listener}/a+` };
    const { status, body } = await signed('GET', '/files', query);
    expect(status).toBe(200);
    expect(body).toContain(`<Key>${listener}/a+b</Key>`);
  });

  test('a presigned link, with unsigned headers beside it', async () => {
    const link = await client().presign({ method: 'GET', path: `/files/${listener}/a%2Bb` });
    const headers = { host: host(), range: 'bytes=0-4', 'user-agent': 'docker/20.10', x_odd: '1' };
    expect(await send('GET', link, headers)).toEqual({ status: 206, body: 'bytes' });
  });
});

test('with redirect on, skopeo follows presigned links to the public S3 name', async () => {
  const image = await makeImage(join(directory, 'redirect'), [3 << 20, 4096]);
  const redirecting = await front.startRegistry('redirecting', nginx.publicS3, {
    REGISTRY_STORAGE_REDIRECT_DISABLE: 'false',
    REGISTRY_STORAGE_S3_SECURE: 'true',
    SSL_CERT_FILE: nginx.certificateFile,
  });
  try {
    await front.useRegistry(redirecting);
    await nginx.reload();
    await until('Nginx asks the new registry', async () => {
      const sent = httpsRequest({
        host: '127.0.0.1',
        port: nginx.ports.tls,
        path: '/v2/',
        rejectUnauthorized: false,
      });
      sent.end();
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      const id = response.headers['x-request-id'];
      const line = (await nginx.accessLog('registry')).find((entry) => entry['request_id'] === id);
      return line?.['upstream'] === redirecting.address;
    });
    expect(await front.push(image, 'redirect/app')).toMatchObject({ code: 0 });
    const to = join(directory, 'redirect-pulled');
    // Not the certificate directory: the links lead to another name, which has to be trusted by itself.
    const pulled = await run(
      'skopeo',
      ['copy', '--insecure-policy', `docker://${nginx.registry}/redirect/app`, `dir:${to}`],
      { env: { ...front.env, SSL_CERT_FILE: nginx.certificateFile } },
    );
    expect(pulled).toMatchObject({ code: 0 });
    for (const digest of image.blobDigests) {
      const hex = digest.slice('sha256:'.length);
      expect((await readFile(join(to, hex))).length).toBeGreaterThan(0);
      const [sent, relayed] = await Promise.all([nginx.accessLog('registry'), nginx.accessLog('s3')]);
      expect(
        sent.filter((line) => String(line['path']).includes(`redirect/app/blobs/${digest}`)),
      ).toContainEqual(expect.objectContaining({ method: 'GET', status: 307 }));
      // Asked by skopeo itself, at the gateway.
      expect(relayed.filter((line) => String(line['agent']).startsWith('skopeo/'))).toContainEqual(
        expect.objectContaining({ method: 'GET', status: 200, host: `${nginx.s3Name}:${nginx.ports.tls}` }),
      );
      expect(relayed.some((line) => String(line['path']).endsWith(`/${hex}/data`))).toBe(true);
    }
  } finally {
    await front.useRegistry(relaying);
    await nginx.reload();
    await redirecting.stop();
  }
});

test('a push is told to the web port (a server that stands in for it), with the secret of the environment', async () => {
  const got: { authorization: string | undefined; body: string }[] = [];
  const receiver = createServer((incoming, response) => {
    void text(incoming).then((body) => {
      got.push({ authorization: incoming.headers.authorization, body });
      response.end();
    });
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  // One line, as in the comment of registry-config/config.yml.
  const notifying = await front.startRegistry('notifying', `http://127.0.0.1:${nginx.ports.s3}`, {
    REGISTRY_NOTIFICATIONS_ENDPOINTS: `[{"name":"gateway","url":"http://127.0.0.1:${port}/notifications","headers":{"Authorization":["Bearer SECRET"]},"timeout":"2s","threshold":5,"backoff":"5s","ignore":{"mediatypes":["application/octet-stream"]}}]`,
  });
  try {
    const image = await makeImage(join(directory, 'notified'), [4096]);
    expect((await pushPlain(image, notifying.address, 'notified/app')).code).toBe(0);
    const events = () =>
      got.flatMap(
        ({ body }) =>
          (JSON.parse(body) as { events: { target: { mediaType: string; digest: string } }[] }).events,
      );
    await until('the push is told', () =>
      events().some(({ target }) => target.digest === image.manifestDigest),
    );
    expect(new Set(got.map(({ authorization }) => authorization))).toEqual(new Set(['Bearer SECRET']));
    // Layers are not: they are told by the manifest.
    expect(events().map(({ target }) => target.mediaType)).not.toContain('application/octet-stream');
    expect(await readFile(notifying.logFile, 'utf8')).not.toContain('SECRET');
  } finally {
    await notifying.stop();
    receiver.closeAllConnections();
    receiver.close();
  }
});
