/**
 * The shipped files of nginx/ before servers that stand in for registry and gateway and tell what they got:
 * routing, headers, limits and restarts. With the real ones: test/integration/deploy/.
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as tlsConnect, type SecureVersion } from 'node:tls';
import { freePort, mustRun, until } from '../../support/child.js';
import { TestNginx } from '../../support/nginx.js';

let directory: string;
let nginx: TestNginx;
const ports = { registry: 0, s3: 0, web: 0 };
type Backend = keyof typeof ports;
let backends: Server[] = [];
/** What a stand-in does before its answer: break connections, for instance. */
let fault: ((backend: Backend, incoming: IncomingMessage, response: ServerResponse) => boolean) | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nginx-'));
  for (const name of ['registry', 's3', 'web'] as const) ports[name] = await freePort();
  nginx = await TestNginx.start({
    directory,
    registries: [`127.0.0.1:${ports.registry}`],
    gatewayS3: `127.0.0.1:${ports.s3}`,
    gatewayWeb: `127.0.0.1:${ports.web}`,
  });
});

afterAll(async () => {
  await nginx.stop();
  await rm(directory, { recursive: true });
});

beforeEach(startBackends);
afterEach(async () => {
  fault = undefined;
  await stopBackends();
});

async function startBackends(): Promise<void> {
  backends = (['registry', 's3', 'web'] as const).map((name) => {
    const server = createServer({ maxHeaderSize: 256 * 1024 }, (incoming, response) => {
      if (fault?.(name, incoming, response)) return;
      void text(incoming).then((body) => {
        const { host, expect: _expect, ...headers } = incoming.headers;
        response.setHeader('Content-Type', 'application/json');
        if (name === 's3') response.setHeader('Access-Control-Allow-Origin', 'https://ui.example.com');
        response.end(
          JSON.stringify({ backend: name, url: incoming.url, host, headers, bodyBytes: body.length }),
        );
      });
    });
    return server.listen(ports[name], '127.0.0.1');
  });
  for (const server of backends) if (!server.listening) await once(server, 'listening');
}

async function stopBackends(): Promise<void> {
  for (const server of backends) {
    const closed = server.listening ? once(server, 'close') : undefined;
    server.closeAllConnections();
    server.close();
    await closed;
  }
  backends = [];
}

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

async function ask(
  target: 'registry' | 's3' | 's3-public' | 'port80' | 'status',
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<Answer> {
  const { method = 'GET', headers = {} } = options;
  const port = { registry: 'tls', s3: 's3', 's3-public': 'tls', port80: 'plain', status: 'status' } as const;
  const where = { host: '127.0.0.1', port: nginx.ports[port[target]], path, method };
  const tls = target === 'registry' || target === 's3-public';
  const named = target === 's3-public' ? { host: `localhost:${nginx.ports.tls}`, ...headers } : headers;
  const sent = tls
    ? httpsRequest({
        ...where,
        headers: named,
        rejectUnauthorized: false,
        ...(target === 's3-public' ? { servername: 'localhost' } : {}),
      })
    : request({ ...where, headers: named });
  sent.end(options.body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

interface Seen {
  backend: Backend;
  url: string;
  host: string;
  headers: Record<string, string>;
  bodyBytes: number;
}
const seen = (answer: { body: string }) => JSON.parse(answer.body) as Seen;

describe.each(['s3', 's3-public'] as const)('the S3 listener %s', (listener) => {
  test.each([
    '/b/a%2Fb%2B//c',
    '/b/%E4%B8%AD/..%2f',
    '/b?prefix=a%2Fb&delimiter=%2F',
    '/b/a+b%20c?X-Amz-Signature=a%2Bb',
    '/b//',
  ])('passes %s on as it was sent, with the port in Host', async (path) => {
    const host = `localhost:${nginx.ports.tls}`;
    expect(seen(await ask(listener, path, { headers: { host } }))).toMatchObject({
      backend: 's3',
      url: path,
      host,
    });
  });

  test('leaves signed headers unchanged, odd names and long values too', async () => {
    const headers = { 'x-amz-meta_under': 'a', 'x-amz-meta-long': 'v'.repeat(8000), 'content-md5': 'x==' };
    expect(seen(await ask(listener, '/b/k', { headers })).headers).toMatchObject(headers);
  });

  test("leaves the gateway's CORS headers as they are", async () => {
    const { headers } = await ask(listener, '/b/k', { headers: { origin: 'https://ui.example.com' } });
    expect(headers['access-control-allow-origin']).toBe('https://ui.example.com');
  });

  test('answers a 503 of S3 while the gateway restarts, which the driver waits out', async () => {
    await stopBackends();
    const answer = await ask(listener, '/b/k');
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '10']);
    expect(answer.headers['content-type']).toBe('application/xml');
    expect(answer.body).toContain('<Code>ServiceUnavailable</Code>');
    expect(answer.body).toContain(`<RequestId>${String(answer.headers['x-amz-request-id'])}</RequestId>`);
  });

  test('sends nothing twice, even where the gateway broke the connection', async () => {
    let times = 0;
    fault = (_backend, incoming) => {
      times++;
      incoming.socket.destroy();
      return true;
    };
    const answer = await ask(listener, '/b/k', { method: 'PUT', headers: { 'content-length': '0' } });
    expect([answer.status, times]).toEqual([503, 1]);
  });

  test('keeps presigned signatures out of its log', async () => {
    const path = `/b/${listener}`;
    await ask(listener, `${path}?X-Amz-Signature=0123456789abcdef`);
    await until('it is logged', async () =>
      (await nginx.accessLog('s3')).some((line) => line['path'] === path),
    );
    expect(readFileSync(`${directory}/log/s3.access.log`, 'utf8')).not.toContain('0123456789abcdef');
  });
});

test('an upload larger than any buffer goes through all servers, and none of it to disk', async () => {
  const body = Buffer.alloc(3 << 20, 1);
  for (const listener of ['s3', 's3-public'] as const) {
    expect(seen(await ask(listener, '/b/k', { method: 'PUT', body })).bodyBytes).toBe(body.length);
  }
  const front = await ask('registry', '/v2/a/blobs/uploads/', { method: 'PATCH', body });
  expect(seen(front).bodyBytes).toBe(body.length);
  expect(readFileSync(`${directory}/log/registry.error.log`, 'utf8')).not.toContain('temporary file');
});

test('an upload reaches the registry before its end', async () => {
  let began: () => void = () => {};
  const firstByte = new Promise<void>((resolve) => (began = resolve));
  fault = (_backend, incoming) => {
    incoming.once('data', () => began());
    return false;
  };
  const sent = httpsRequest({
    host: '127.0.0.1',
    port: nginx.ports.tls,
    path: '/v2/a/blobs/uploads/1',
    method: 'PATCH',
    rejectUnauthorized: false,
  });
  sent.write(Buffer.alloc(1 << 20));
  await firstByte;
  sent.end(Buffer.alloc(1 << 20));
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  expect(seen({ body: await text(response) }).bodyBytes).toBe(2 << 20);
});

test('while the registry restarts, Docker still sees a registry that asks for patience', async () => {
  await stopBackends();
  const answer = await ask('registry', '/v2/');
  expect(answer.status).toBe(503);
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json',
    'retry-after': '3',
    'docker-distribution-api-version': 'registry/2.0',
    'strict-transport-security': 'max-age=31536000',
  });
  expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] });
});

describe('where the registry fails,', () => {
  const UNKNOWN = '{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{}}]}';
  /** Requests that the stand-in of the gateway was asked, and what it says; a registry that answers `status`. */
  const asked: (Pick<IncomingMessage, 'method' | 'url' | 'headers'> & { bodyBytes: number })[] = [];
  function fail(status: number, body: string, why?: { status: number; body: string }) {
    asked.length = 0;
    fault = (backend, incoming, response) => {
      if (backend === 'registry') {
        response.writeHead(status, { 'Content-Type': 'application/json' }).end(body);
        return true;
      }
      const { method, url, headers } = incoming;
      void text(incoming).then(({ length }) => asked.push({ method, url, headers, bodyBytes: length }));
      response.writeHead(why?.status ?? 404, { 'Content-Type': 'application/json', 'Retry-After': '7' });
      response.end(why?.body ?? '{"errors":[{"code":"NOT_FOUND"}]}');
      return true;
    };
  }
  const PUSHES = [
    ['PUT', '/v2/team/app/manifests/latest', /not yet on Gitee.*尚未写入 Gitee/],
    ['POST', '/v2/team/app/blobs/uploads/', /layer could not be stored.*该层暂时无法存入/],
    ['PATCH', '/v2/team/app/blobs/uploads/1?_state=x', /layer could not be stored.*该层暂时无法存入/],
    ['PUT', '/v2/team/app/blobs/uploads/1?digest=sha256:1', /layer could not be stored.*该层暂时无法存入/],
  ] as const;
  const READS = [
    ['GET', '/v2/team/app/manifests/latest', /cannot read its storage.*暂时读不到存储/],
    ['GET', '/v2/team/app/blobs/sha256:1', /cannot read its storage.*暂时读不到存储/],
    ['GET', '/v2/_catalog', /cannot read its storage.*暂时读不到存储/],
    ['DELETE', '/v2/team/app/manifests/sha256:1', /cannot read its storage.*暂时读不到存储/],
  ] as const;
  const messageOf = (answer: Answer) =>
    (JSON.parse(answer.body) as { errors: { code: string; message: string }[] }).errors[0]!;

  const [PODMAN, SKOPEO, BUILDAH] = [
    'containers/5.23.1 (github.com/containers/image)',
    'skopeo/1.9.3',
    'Buildah/1.28.2',
  ];
  const DOCKER =
    'docker/20.10.24+dfsg1 go/go1.19.8 os/linux arch/amd64 UpstreamClient(Docker-Client/20.10.24)';
  /** What each client gets for a layer, a tag and a read, since that is what it repeats or shows. */
  const STATUSES: readonly (readonly [agent: string, layer: number, tag: number, read: number])[] = [
    [PODMAN, 429, 429, 429],
    [SKOPEO, 429, 429, 429],
    [BUILDAH, 429, 429, 429],
    [DOCKER, 503, 429, 503],
    ['buildkit/v0.12', 503, 429, 503],
    ['curl/7.88.1 skopeo/1.9.3', 503, 429, 503],
    ['containerd/1.6.20~ds1', 503, 503, 503],
  ];

  test.each(STATUSES)('%s is told, in both languages, with %d, %d and %d', async (...row) => {
    const [agent, layer, tag, read] = row;
    const all = [
      ...PUSHES.map((push) => [...push, push[1].includes('/manifests/') ? tag : layer] as const),
      ...READS.map((asked) => [...asked, read] as const),
    ];
    for (const [method, path, message, status] of all) {
      for (const failure of [500, 503]) {
        fail(failure, UNKNOWN);
        const body = ['GET', 'DELETE'].includes(method) ? {} : { body: Buffer.from('{}') };
        const answer = await ask('registry', path, { method, headers: { 'user-agent': agent }, ...body });
        expect([method, path, answer.status, answer.headers['retry-after']]).toEqual([
          method,
          path,
          status,
          '10',
        ]);
        expect(answer.headers).toMatchObject({
          'content-type': 'application/json',
          'docker-distribution-api-version': 'registry/2.0',
          'x-request-id': expect.stringMatching(/^[0-9a-f]{32}$/),
        });
        expect(messageOf(answer)).toEqual({ code: 'UNAVAILABLE', message: expect.stringMatching(message) });
        expect(messageOf(answer).message).toContain('gitee-s3 status');
      }
    }
  });

  test('the gateway is asked why, without body and credentials, and its words are passed on', async () => {
    const why =
      '{"errors":[{"code":"UNAVAILABLE","message":"the space at Gitee is used up / Gitee 空间已满"}]}';
    for (const [method, path] of [...PUSHES, ...READS]) {
      fail(500, UNKNOWN, { status: 503, body: why });
      const headers = {
        ...{ authorization: 'Bearer SECRET', cookie: 'session=SECRET', 'user-agent': SKOPEO },
      };
      const body = ['GET', 'DELETE'].includes(method) ? undefined : Buffer.from('{"a":1}');
      const answer = await ask('registry', path, { method, headers, ...(body ? { body } : {}) });
      expect([answer.status, answer.body, answer.headers['retry-after']]).toEqual([429, why, '7']);
      expect(asked).toEqual([
        {
          method: 'GET',
          url: path,
          bodyBytes: 0,
          headers: expect.objectContaining({
            'x-original-method': method,
            'x-request-id': answer.headers['x-request-id'],
          }),
        },
      ]);
      expect(JSON.stringify(asked)).not.toContain('SECRET');
    }
  });

  test('what only the operator can mend is 403 to every client, in the words of the gateway', async () => {
    const why = '{"errors":[{"code":"DENIED","message":"the space at Gitee is used up / Gitee 空间已满"}]}';
    for (const [agent] of STATUSES) {
      for (const [method, path] of PUSHES) {
        fail(500, UNKNOWN, { status: 403, body: why });
        const headers = { 'user-agent': agent };
        const answer = await ask('registry', path, { method, headers, body: Buffer.from('{}') });
        expect([answer.status, answer.body]).toEqual([403, why]);
        expect(asked.map((one) => [one.method, one.bodyBytes, one.headers['x-asked-again']])).toEqual([
          ['GET', 0, undefined],
          ['GET', 0, 'yes'],
        ]);
      }
    }
  });

  test('a failure never becomes a success, whatever stands where the gateway should', async () => {
    for (const status of [200, 201, 204, 302, 307, 401, 404, 500]) {
      fail(500, UNKNOWN, { status, body: status === 204 ? '' : '<html>' });
      const put = await ask('registry', '/v2/a/manifests/1', { method: 'PUT', body: Buffer.from('{}') });
      const get = await ask('registry', '/v2/a/manifests/1');
      expect([status, put.status, get.status]).toEqual([status, 429, 503]);
    }
  });

  test("the registry's own refusals pass as they are", async () => {
    for (const status of [400, 401, 403, 404, 405, 413, 416, 429]) {
      const body = `{"errors":[{"code":"MANIFEST_INVALID","message":"said with ${status}"}]}`;
      fail(status, body);
      for (const [method, path] of [...PUSHES, ...READS]) {
        const answer = await ask('registry', path, {
          method,
          // Node frames no body of a GET or DELETE.
          ...(['GET', 'DELETE'].includes(method) ? {} : { body: Buffer.from('{}') }),
        });
        expect([answer.status, answer.body, asked.length]).toEqual([status, body, 0]);
      }
    }
  });

  test('an answer in the middle of a layer reaches a client that is still sending', async () => {
    fail(500, UNKNOWN);
    const sent = httpsRequest({
      host: '127.0.0.1',
      port: nginx.ports.tls,
      path: '/v2/a/blobs/uploads/1',
      method: 'PATCH',
      headers: { 'content-length': String(64 << 20) },
      rejectUnauthorized: false,
    });
    sent.on('error', () => {});
    sent.write(Buffer.alloc(1 << 20));
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(503);
    expect(await text(response)).toContain('UNAVAILABLE');
    sent.destroy();
  });
});

test('while the registry restarts, a push is asked for patience as its client takes it', async () => {
  await stopBackends();
  for (const [method, path, agent, status] of [
    ['PUT', '/v2/a/manifests/1', 'docker/20.10.24', 429],
    ['PATCH', '/v2/a/blobs/uploads/1', 'docker/20.10.24', 503],
    ['PATCH', '/v2/a/blobs/uploads/1', 'skopeo/1.9.3', 429],
    ['PUT', '/v2/a/blobs/uploads/1', 'containerd/1.6.20', 503],
  ] as const) {
    const answer = await ask('registry', path, {
      ...{ method, body: Buffer.from('{}') },
      headers: { 'user-agent': agent },
    });
    expect([answer.status, answer.headers['retry-after']]).toEqual([status, '3']);
    expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] });
  }
});

test('while the gateway restarts, logins and webhooks are asked for patience in JSON', async () => {
  await stopBackends();
  for (const path of ['/token', '/auth/login', '/auth/', '/hook', '/hook/gitee']) {
    const answer = await ask('registry', path);
    expect([path, answer.status, answer.headers['retry-after']]).toEqual([path, 503, '3']);
    expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ code: 'UNAVAILABLE' }] });
  }
});

test.each([
  ['/', 200],
  ['/robots.txt', 200],
  ['/nothing', 404],
  ['/v2/', 200],
  ['/v2/_catalog?n=1001', 400],
])('the answer of %s (%d) has the headers of every answer, each once', async (path, status) => {
  const answer = await ask('registry', path);
  expect(answer.status).toBe(status);
  expect(answer.headers).toMatchObject({
    'docker-distribution-api-version': 'registry/2.0',
    'strict-transport-security': 'max-age=31536000',
    'x-request-id': expect.stringMatching(/^[0-9a-f]{32}$/),
    server: 'nginx',
  });
});

test('the registry hears who asks, by which name and over what, and nothing that the client made up', async () => {
  const answer = await ask('registry', '/v2/a/tags/list', {
    headers: {
      host: 'registry.test:8443',
      'user-agent': 'docker/20.10',
      'x-forwarded-for': '10.1.2.3',
      'x-real-ip': '10.1.2.3',
      forwarded: 'host=evil.test;proto=http',
      'x-forwarded-host': 'evil.test',
      'x-forwarded-proto': 'http',
      'x-request-id': 'mine',
    },
  });
  const { host, headers } = seen(answer);
  const id = String(answer.headers['x-request-id']);
  expect({ host, ...headers }).toMatchObject({
    host: 'registry.test:8443',
    'x-forwarded-proto': 'https',
    'x-forwarded-for': '127.0.0.1',
    'x-real-ip': '127.0.0.1',
    'x-request-id': id,
    'user-agent': `docker/20.10 request-id/${id}`,
  });
  expect(headers).not.toHaveProperty('forwarded');
  expect(headers).not.toHaveProperty('x-forwarded-host');
});

test('the request id of the access log is the one that client and gateway got', async () => {
  const own = { headers: { 'x-request-id': 'mine' } };
  const web = await ask('registry', '/token', own);
  const id = seen(web).headers['x-request-id'];
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(web.headers['x-request-id']).toBe(id);
  const s3Id = seen(await ask('s3', '/b/k', own)).headers['x-request-id'];
  const logged = async (name: 'registry' | 's3', wanted: unknown) =>
    (await nginx.accessLog(name)).find((line) => line['request_id'] === wanted);
  await until(
    'both are logged',
    async () => !!(await logged('registry', id)) && !!(await logged('s3', s3Id)),
  );
  expect(await logged('registry', id)).toMatchObject({ method: 'GET', path: '/token', status: 200 });
});

test('quotes and control characters of a client cannot forge a line of the access log', async () => {
  await ask('registry', '/%22%0A%7B%22forged%22', { headers: { 'user-agent': 'a","status":999,"x":"' } });
  const wanted = '/"\n{"forged"';
  await until('it is logged', async () =>
    (await nginx.accessLog('registry')).some((line) => line['path'] === wanted && line['status'] === 404),
  );
});

test.each([
  ['/v2/', 'registry'],
  ['/v2/a/blobs/uploads/', 'registry'],
  ['/token?service=x&scope=repository:a%2Fb:pull', 'web'],
  ['/auth/', 'web'],
  ['/auth/login', 'web'],
  ['/auth/callback?code=1', 'web'],
  ['/hook', 'web'],
  ['/hook/gitee', 'web'],
])('%s goes to the stand-in of %s, unchanged', async (path, backend) => {
  expect(seen(await ask('registry', path))).toMatchObject({ backend, url: path });
});

test.each([
  '/notifications',
  '/metrics',
  '/healthz',
  '/readyz',
  '/debug/vars',
  '/hook/other',
  '/token/',
  '/v1/',
])('%s is not reached from outside', async (path) => {
  expect((await ask('registry', path)).status).toBe(404);
});

test('/v2 leads to /v2/ with the port kept', async () => {
  const answer = await ask('registry', '/v2');
  expect([answer.status, answer.headers.location]).toEqual([301, '/v2/']);
});

test.each([
  ['', 200],
  ['?n=1000', 200],
  ['?n=0001000', 200],
  ['?n=5&last=a/b', 200],
  ['?last=caf%C3%A9&n=10', 200],
  ['?n=1001', 400],
  ['?n=100000000', 400],
  ['?n=5&n=99999', 400],
  ['?last=x;n=99999', 400],
  ['?%6e=99999', 400],
  ['?%6E=99999', 400],
  ['?n=%39%39%39%39', 400],
  ['?n=%2B99999', 400],
  ['?n=-1', 400],
])('the catalog with %s answers %d', async (query, status) => {
  for (const path of ['/v2/_catalog', '/v2//%5Fcatalog']) {
    const answer = await ask('registry', `${path}${query}`);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toHaveProperty(status === 200 ? 'backend' : 'errors');
  }
});

test('only logins and hooks are limited by rate, and a login too many is told when to come again', async () => {
  const many = (path: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => ask('registry', path)));
  for (const path of ['/v2/', '/v2/a/manifests/latest', '/auth/']) {
    expect((await many(path, 150)).filter((answer) => answer.status !== 200)).toEqual([]);
  }
  const hooks = (await many('/hook/gitee', 150)).map((answer) => answer.status);
  expect(new Set(hooks)).toEqual(new Set([200, 429]));
  const refused = (await many('/auth/login', 30)).filter((answer) => answer.status !== 200);
  expect(refused.length).toBeGreaterThan(0);
  for (const answer of refused) {
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '5']);
    expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ code: 'TOOMANYREQUESTS' }] });
    expect(answer.headers['strict-transport-security']).toBe('max-age=31536000');
  }
  let token: Answer[] = [];
  await until('a flood of /token is refused', async () => {
    token = await many('/token', 200);
    return token.some((answer) => answer.status === 429);
  });
  expect(token.filter((answer) => answer.status === 200).length).toBeGreaterThan(0);
});

test('the landing page says how to log in at the name by which it was asked', async () => {
  const answer = await ask('registry', '/', { headers: { host: 'registry.test:8443' } });
  expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(answer.body).toContain('docker login registry.test:8443');
  expect((await ask('registry', '/robots.txt')).body).toBe('User-agent: *\nDisallow: /\n');
});

test('port 80 leads to HTTPS, and answers challenges from the webroot', async () => {
  const answer = await ask('port80', '/v2/?a=b', { headers: { host: '127.0.0.1' } });
  expect([answer.status, answer.headers.location]).toEqual([308, 'https://127.0.0.1/v2/?a=b']);
  execFileSync('mkdir', ['-p', `${nginx.webroot}/.well-known/acme-challenge`]);
  execFileSync('cp', ['package.json', `${nginx.webroot}/.well-known/acme-challenge/abc`]);
  expect(await ask('port80', '/.well-known/acme-challenge/abc')).toMatchObject({
    status: 200,
    body: readFileSync('package.json', 'utf8'),
  });
  expect((await ask('port80', '/.well-known/acme-challenge/none')).status).toBe(404);
});

test('the status for the exporter counts connections', async () => {
  expect((await ask('status', '/nginx_status')).body).toMatch(/^Active connections: \d+/);
});

test('a GET that the registry breaks before its answer is asked again, a PATCH is not', async () => {
  const counted: Record<string, number> = {};
  fault = (_backend, incoming) => {
    const times = (counted[incoming.method!] ??= 0) + 1;
    counted[incoming.method!] = times;
    if (times > 1) return false;
    incoming.socket.destroy();
    return true;
  };
  // Two entries for one stand-in: two replicas.
  const twice = await mkdtemp(join(tmpdir(), 'nginx-'));
  const address = `127.0.0.1:${ports.registry}`;
  const two = await TestNginx.start({ directory: twice, registries: [address, address] });
  try {
    const send = async (method: string) => {
      const sent = httpsRequest({
        host: '127.0.0.1',
        port: two.ports.tls,
        path: '/v2/a/blobs/uploads/1',
        method,
        rejectUnauthorized: false,
      });
      sent.end(method === 'PATCH' ? Buffer.alloc(100) : undefined);
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    };
    expect([await send('PATCH'), await send('GET')]).toEqual([503, 200]);
    expect(counted).toEqual({ PATCH: 1, GET: 2 });
  } finally {
    await two.stop();
    await rm(twice, { recursive: true });
  }
});

test('nginx -t accepts all shipped files together, without a warning', async () => {
  const { code, stderr } = await nginx.check();
  expect(code).toBe(0);
  expect(stderr).not.toMatch(/\[(warn|error|emerg)\]/);
});

test('HTTP/2 is spoken, also for a body of unknown length', async () => {
  const session = http2Connect(`https://127.0.0.1:${nginx.ports.tls}`, { rejectUnauthorized: false });
  const stream = session.request({ ':method': 'PATCH', ':path': '/v2/a/blobs/uploads/1' });
  stream.write(Buffer.alloc(1 << 20));
  stream.end(Buffer.alloc(1 << 20));
  expect(seen({ body: await text(stream) }).bodyBytes).toBe(2 << 20);
  session.close();
});

// docs/nginx.md: for clients that want the names of headers spelled as S3 spells them.
test('the public S3 name has a port of HTTP/1.1 alone, where names of headers keep their letters', async () => {
  fault = (_backend, _incoming, response) => {
    response.setHeader('ETag', '"k"');
    return false;
  };
  const headersOf = async (port: number) => {
    const url = `https://localhost:${port}/files/k`;
    const { stdout } = await mustRun('curl', ['-sSkI', '--http2', '--noproxy', '*', url]);
    return stdout;
  };
  const [both, one] = [await headersOf(nginx.ports.tls), await headersOf(nginx.ports.http1)];
  expect(both).toMatch(/^HTTP\/2 200[\s\S]*^etag: "k"/m);
  expect(one).toMatch(/^HTTP\/1\.1 200[\s\S]*^ETag: "k"/m);
});

async function handshake(port: number, version: SecureVersion): Promise<string | null> {
  const socket = tlsConnect({
    host: '127.0.0.1',
    port,
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
  });
  try {
    await once(socket, 'secureConnect');
    return socket.getProtocol();
  } finally {
    socket.destroy();
  }
}

test('TLS 1.2 and 1.3 are spoken, and 1.1 is not', async () => {
  expect(await handshake(nginx.ports.tls, 'TLSv1.2')).toBe('TLSv1.2');
  expect(await handshake(nginx.ports.tls, 'TLSv1.3')).toBe('TLSv1.3');
  await expect(handshake(nginx.ports.tls, 'TLSv1.1')).rejects.toThrow();
});

test('with the documented switch TLS 1.3 alone is spoken', async () => {
  const only = await mkdtemp(join(tmpdir(), 'nginx-'));
  const strict = await TestNginx.start({ directory: only, edits: [['TLSv1.2 TLSv1.3;', 'TLSv1.3;']] });
  try {
    expect(await handshake(strict.ports.tls, 'TLSv1.3')).toBe('TLSv1.3');
    await expect(handshake(strict.ports.tls, 'TLSv1.2')).rejects.toThrow(/protocol version|alert/);
    expect((await strict.check()).code).toBe(0);
  } finally {
    await strict.stop();
    await rm(only, { recursive: true });
  }
});
