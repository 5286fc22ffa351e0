import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { until } from '../../support/child.js';
import { text } from 'node:stream/consumers';

/** The shipped nginx/registry.conf before two servers that tell what they got. */
let directory: string;
let nginx: ChildProcess;
let upstream: Server;
let upstreamPort: number;
let tlsPort: number;
let s3Port: number;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nginx-'));
  [upstreamPort, tlsPort, s3Port] = [await freePort(), await freePort(), await freePort()];
  mkdirSync(join(directory, 'tmp'));
  const tls = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'];
  execFileSync(
    'openssl',
    [...tls, '-keyout', `${directory}/registry.key`, '-out', `${directory}/registry.crt`],
    {
      stdio: 'ignore',
    },
  );
  const shipped = readFileSync('nginx/registry.conf', 'utf8')
    .replace('listen 443 ssl http2;', `listen 127.0.0.1:${tlsPort} ssl http2;`)
    .replace('listen 127.0.0.1:9080;', `listen 127.0.0.1:${s3Port};`)
    .replaceAll('/etc/nginx/tls/', `${directory}/`)
    .replaceAll('/var/log/nginx/', `${directory}/`);
  writeFileSync(`${directory}/registry.conf`, shipped);
  const upstreams = readFileSync('nginx/upstreams.conf', 'utf8').replaceAll(
    /127\.0\.0\.1:\d+/g,
    `127.0.0.1:${upstreamPort}`,
  );
  writeFileSync(`${directory}/upstreams.conf`, upstreams);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/tmp/${name};`,
  );
  writeFileSync(
    `${directory}/nginx.conf`,
    `${userInfo().uid === 0 ? 'user root;' : ''} pid ${directory}/pid; error_log ${directory}/error.log;
     events {} http { ${temporary.join(' ')} include ${directory}/upstreams.conf; include ${directory}/registry.conf; }`,
  );
  execFileSync('nginx', ['-t', '-q', '-c', `${directory}/nginx.conf`], { stdio: 'ignore' });
  nginx = spawn('nginx', ['-c', `${directory}/nginx.conf`, '-g', 'daemon off;'], { stdio: 'ignore' });
  await until('nginx answers', async () => !!(await ask(s3Port, '/').catch(() => undefined)), 10_000);
});

afterAll(async () => {
  nginx.kill('SIGTERM');
  await once(nginx, 'exit');
  await rm(directory, { recursive: true });
});

beforeEach(async () => {
  upstream = createServer({ maxHeaderSize: 256 * 1024 }, (incoming, response) => {
    void text(incoming).then((body) => {
      const { host, expect: _expect, ...headers } = incoming.headers;
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ url: incoming.url, host, headers, bodyBytes: body.length }));
    });
  });
  upstream.listen(upstreamPort, '127.0.0.1');
  await once(upstream, 'listening');
});
afterEach(() => {
  upstream.closeAllConnections();
  return new Promise((resolve) => upstream.close(resolve));
});

async function ask(
  port: number,
  path: string,
  options: { tls?: boolean; method?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<{ status: number; headers: IncomingMessage['headers']; body: string }> {
  const { method = 'GET', headers = {} } = options;
  const target = { host: '127.0.0.1', port, path, method, headers };
  const sent = options.tls ? httpsRequest({ ...target, rejectUnauthorized: false }) : request(target);
  sent.end(options.body);
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return { status: response.statusCode!, headers: response.headers, body: await text(response) };
}

interface Seen {
  url: string;
  host: string;
  headers: Record<string, string>;
  bodyBytes: number;
}
const seen = (answer: { body: string }) => JSON.parse(answer.body) as Seen;

test.each(['/b/a%2Fb%2B//c', '/b/%E4%B8%AD/..%2f', '/b?prefix=a%2Fb&delimiter=%2F', '/b/a+b%20c'])(
  'the S3 listener passes %s on as it was sent, with the port in Host',
  async (path) => {
    const answer = seen(await ask(s3Port, path, { headers: { host: 'registry.test:9080' } }));
    expect(answer).toMatchObject({ url: path, host: 'registry.test:9080' });
  },
);

test('signed headers arrive unchanged, odd names and long values too', async () => {
  const headers = { 'x-amz-meta_under': 'a', 'x-amz-meta-long': 'v'.repeat(8000), 'content-md5': 'x==' };
  expect(seen(await ask(s3Port, '/b/k', { headers })).headers).toMatchObject(headers);
});

test('an upload larger than any buffer goes through both servers', async () => {
  const body = Buffer.alloc(3 << 20, 1);
  const direct = await ask(s3Port, '/b/k', { method: 'PUT', body });
  const front = await ask(tlsPort, '/v2/a/blobs/uploads/', { tls: true, method: 'PATCH', body });
  expect([seen(direct).bodyBytes, seen(front).bodyBytes]).toEqual([body.length, body.length]);
});

test('while the gateway restarts, the driver gets a 503 of S3 that it waits out', async () => {
  upstream.closeAllConnections();
  await new Promise((resolve) => upstream.close(resolve));
  const answer = await ask(s3Port, '/b/k');
  expect([answer.status, answer.headers['retry-after']]).toEqual([503, '2']);
  expect(answer.body).toContain('<Code>ServiceUnavailable</Code>');
  expect(answer.body).toContain(`<RequestId>${String(answer.headers['x-amz-request-id'])}</RequestId>`);
});

test('while the registry restarts, Docker still sees a registry that asks for patience', async () => {
  upstream.closeAllConnections();
  await new Promise((resolve) => upstream.close(resolve));
  const answer = await ask(tlsPort, '/v2/', { tls: true });
  expect(answer.status).toBe(503);
  expect(answer.headers).toMatchObject({
    'retry-after': '3',
    'docker-distribution-api-version': 'registry/2.0',
    'strict-transport-security': 'max-age=31536000',
  });
  expect(answer.body).toContain('"UNAVAILABLE"');
});

test('the front tells the registry who asks, by which name and over what', async () => {
  const answer = await ask(tlsPort, '/v2/a/tags/list', {
    tls: true,
    headers: { host: 'registry.test:8443' },
  });
  expect(seen(answer)).toMatchObject({
    host: 'registry.test:8443',
    headers: { 'x-forwarded-proto': 'https' },
  });
  expect(answer.headers['docker-distribution-api-version']).toBe('registry/2.0');
});

test.each([
  ['/v2/_catalog', 200],
  ['/v2/_catalog?n=1000', 200],
  ['/v2/_catalog?n=999', 200],
  ['/v2/_catalog?n=1001', 400],
  ['/v2/_catalog?n=100000000', 400],
  ['/', 404],
])('%s answers %d', async (path, status) => {
  expect((await ask(tlsPort, path, { tls: true })).status).toBe(status);
});

test('no presigned signature stands in the access log', async () => {
  await ask(s3Port, '/b/k?X-Amz-Signature=0123456789abcdef');
  const log = () => readFileSync(`${directory}/s3.access.log`, 'utf8');
  await until('the request is logged', () => log().includes('"path":"/b/k"'), 5_000);
  expect(log()).not.toContain('0123456789abcdef');
});
