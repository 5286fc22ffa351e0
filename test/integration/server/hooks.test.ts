import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as path from 'node:path';
import { DeleteObjectsCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { freePort, mustRun, run, until } from '../../support/child.js';
import { makeImage, push } from '../../support/image.js';
import { startStack, type Stack } from '../../support/stack.js';

const TOKEN = 'a-token-of-the-registry';
const HOOK_SECRET = 'a secret of the hook';
const TARGET_SECRET = 'a secret of the target';

interface Received {
  readonly path: string;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
  readonly status: number;
}

/** A receiver of webhooks that answers as the test says, by path. */
class Receiver {
  readonly received: Received[] = [];
  readonly answers = new Map<string, number>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const { pathname } = new URL(request.url ?? '/', 'http://localhost');
        const status = this.answers.get(pathname) ?? 200;
        const body = Buffer.concat(parts).toString('utf8');
        this.received.push({ path: pathname, headers: request.headers, body, status });
        response.writeHead(status, { 'content-type': 'application/json' }).end('{"errcode":0}');
      });
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  taken(pathname: string): Received[] {
    return this.received.filter((r) => r.path === pathname && r.status === 200);
  }

  refused(pathname: string): Received[] {
    return this.received.filter((r) => r.path === pathname && r.status !== 200);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

describe('hooks in, notifications and the audit log', () => {
  const receiver = new Receiver();
  let stack: Stack;
  let webUrl: string;
  let registryAddress: string;

  const events = async (...flags: string[]) => {
    const { stdout } = await stack.gateway.cli('audit', 'show', '--json', ...flags);
    return JSON.parse(stdout) as {
      who: string;
      action: string;
      subject: string;
      detail?: Record<string, unknown>;
    }[];
  };
  const post = (pathname: string, headers: Record<string, string>, body: string) =>
    fetch(`${webUrl}${pathname}`, { method: 'POST', headers, body });

  beforeAll(async () => {
    const receiverUrl = await receiver.listen();
    const port = await freePort();
    webUrl = `http://127.0.0.1:${port}`;
    stack = await startStack({
      config: {
        web: { port },
        poll_interval: '10m',
        commit: { interval: '200ms' },
        webhook: { secret: HOOK_SECRET },
        notifications: {
          token: TOKEN,
          targets: [
            { name: 'ci', url: `${receiverUrl}/ci`, secret: TARGET_SECRET },
            {
              name: 'room',
              url: `${receiverUrl}/room?access_token=x`,
              format: 'dingtalk',
              secret: TARGET_SECRET,
            },
          ],
        },
      },
    });
    const registry = await stack.startRegistry({
      notifications: {
        endpoints: [
          {
            name: 'gateway',
            url: `${webUrl}/notifications`,
            headers: { Authorization: [`Bearer ${TOKEN}`] },
            timeout: '5s',
            threshold: 3,
            backoff: '200ms',
          },
        ],
      },
    });
    registryAddress = registry.address;
  });

  afterAll(async () => {
    await stack.close();
    await receiver.close();
  });

  test('a push by somebody else shows at once where Gitee sends its hook', async () => {
    const { gitee, gateway } = stack;
    const s3 = gateway.s3Client();
    await s3.send(new PutObjectCommand({ Bucket: 'files', Key: 'ours.txt', Body: 'ours' }));
    await until('it is on Gitee', async () => (await stack.commits('acme/files')) > 0);
    const hook = await fetch(`${gitee.url}/api/v5/repos/acme/files/hooks`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `token ${gitee.maintainerToken}` },
      body: JSON.stringify({ url: `${webUrl}/hook/gitee`, encryption_type: 1, password: HOOK_SECRET }),
    });
    expect(hook.status).toBe(201);

    const clone = path.join(stack.directory, 'clone');
    const origin = gitee.url.replace('//', `//maintainer:${gitee.maintainerToken}@`);
    const git = (...args: string[]) =>
      mustRun('git', ['-c', 'user.name=m', '-c', 'user.email=m@example.com', ...args]);
    await git('clone', '-q', `${origin}/acme/files.git`, clone);
    await writeFile(path.join(clone, 'theirs.txt'), 'theirs');
    await git('-C', clone, 'add', '.');
    await git('-C', clone, 'commit', '-q', '-m', 'by hand');
    await git('-C', clone, 'push', '-q');
    await until('the other file is there', () =>
      s3.send(new GetObjectCommand({ Bucket: 'files', Key: 'theirs.txt' })).then(
        async ({ Body }) => (await Body!.transformToString()) === 'theirs',
        () => false,
      ),
    );
    expect(await gateway.metric('gateway_webhooks_total', { result: 'push' })).toBeGreaterThan(0);
    expect((await events('--action', 'webhook.push'))[0]).toMatchObject({ who: 'gitee', subject: 'files' });
  });

  test('a hook is refused without the secret, and harmless when it is sent again', async () => {
    const body = JSON.stringify({ ref: 'refs/heads/other', project: { path_with_namespace: 'acme/files' } });
    const headers = { 'x-gitee-event': 'Push Hook', 'x-gitee-timestamp': String(Date.now()) };
    expect((await post('/hook', headers, body)).status).toBe(401);
    expect((await post('/hook', { ...headers, 'x-gitee-token': 'guessed' }, body)).status).toBe(403);
    for (const result of ['unrelated', 'repeated']) {
      const before = await stack.gateway.metric('gateway_webhooks_total', { result });
      expect((await post('/hook', { ...headers, 'x-gitee-token': HOOK_SECRET }, body)).status).toBe(200);
      expect(await stack.gateway.metric('gateway_webhooks_total', { result })).toBe(before + 1);
    }
    const refused = await events('--action', 'webhook.refuse');
    expect(refused.map((e) => e.detail?.reason)).toEqual(['no-token', 'wrong-token']);
    const known = { ...headers, 'x-gitee-token': HOOK_SECRET };
    expect((await post('/hook', known, 'x'.repeat(6 * 1024 * 1024))).status).toBe(413);
  });

  test('what was acknowledged to the registry is delivered although the gateway is killed before', async () => {
    const { gateway } = stack;
    receiver.answers.set('/ci', 503);
    const image = await makeImage(path.join(stack.directory, 'image'), [5000]);
    expect(await push(image, registryAddress, 'team/app:v1')).toMatchObject({ code: 0 });
    await until('an attempt failed', () => receiver.refused('/ci').length > 0);
    await gateway.kill();
    receiver.answers.delete('/ci');
    await gateway.start();
    await until('it is delivered', () => receiver.taken('/ci').length > 0);

    const [{ headers, body }] = receiver.taken('/ci') as [Received];
    const timestamp = headers['x-gitee-s3-timestamp'] as string;
    const signature = createHmac('sha256', TARGET_SECRET).update(`${timestamp}.${body}`).digest('hex');
    expect(headers['x-gitee-s3-signature']).toBe(`sha256=${signature}`);
    expect(JSON.parse(body)).toMatchObject({
      ...{ action: 'push', kind: 'image', image: 'team/app:v1', digest: image.manifestDigest },
    });
    await until('the room was told', () => receiver.taken('/room').length > 0);
    const room = JSON.parse(receiver.taken('/room')[0]!.body) as { markdown: { text: string } };
    expect(room.markdown.text).toContain('image pushed: team/app:v1');

    const [pushed] = await events('--action', 'image.push');
    expect(pushed).toMatchObject({ who: 'anonymous', subject: 'team/app:v1' });
    // A kill: two starts, and no stop between them.
    expect((await events('--action', 'gateway')).map((e) => e.action)).toEqual([
      'gateway.start',
      'gateway.start',
    ]);
  });

  test('a report that comes twice is told once, one without the token not at all', async () => {
    const event = {
      ...{ id: 'e-1', timestamp: '2026-11-24T12:00:00Z', action: 'push', actor: { name: 'bob' } },
      target: {
        ...{ mediaType: 'application/vnd.oci.image.manifest.v1+json', repository: 'team/twice', tag: '1' },
        digest: `sha256:${'a'.repeat(64)}`,
      },
      request: { id: 'r-1', addr: '192.0.2.9:1234' },
    };
    const body = JSON.stringify({ events: [event] });
    const authorization = `Bearer ${TOKEN}`;
    expect((await post('/notifications', { authorization: 'Bearer guessed' }, body)).status).toBe(401);
    expect((await post('/notifications', { authorization }, body)).status).toBe(200);
    await until('it is delivered', () => receiver.taken('/ci').some((r) => r.body.includes('"e-1"')));
    await stack.gateway.restart();
    expect((await post('/notifications', { authorization }, body)).status).toBe(200);
    expect(await stack.gateway.metric('gateway_notification_events_total', { result: 'repeated' })).toBe(1);
    expect(await events('--who', 'bob')).toHaveLength(1);
    expect(await events('--action', 'notification.refuse')).toHaveLength(1);
    expect(receiver.taken('/ci').filter((r) => r.body.includes('"e-1"'))).toHaveLength(1);
  });

  test('what a target refuses for good is listed, and delivered once it is repaired and retried', async () => {
    receiver.answers.set('/ci', 422);
    const digest = `sha256:${'b'.repeat(64)}`;
    const event = { id: 'e-2', timestamp: '', action: 'delete', target: { repository: 'team/gone', digest } };
    const authorization = `Bearer ${TOKEN}`;
    await post('/notifications', { authorization }, JSON.stringify({ events: [event] }));
    await until('it is given up', async () => {
      return (await stack.gateway.metric('gateway_notification_dead_letters', { target: 'ci' })) === 1;
    });
    const listed = await stack.gateway.cli('notifications', 'list');
    expect([listed.code, listed.stdout]).toEqual([
      1,
      expect.stringMatching(/ci +e-2 .*delete team\/gone@.* 3 +status 422/),
    ]);
    receiver.answers.delete('/ci');
    const retried = await stack.gateway.cli('notifications', 'retry', '--target', 'ci');
    expect(retried.stdout).toBe('1 are tried again\n');
    await until('it is delivered', () => receiver.taken('/ci').some((r) => r.body.includes('"e-2"')));
    await until('none is left', async () => (await stack.gateway.cli('notifications', 'list')).code === 0);
  });

  test('changes and refusals over S3 are in the log, with the id that the proxy gave', async () => {
    const { gateway } = stack;
    const id = 'f00d'.repeat(8);
    await fetch(`${gateway.endpoint}/files/x`, { headers: { 'x-request-id': id } });
    const log = () => readFile(gateway.child!.logFile, 'utf8');
    await until('the access log has the id', async () =>
      (await log()).includes(`"upstreamRequestId":"${id}"`),
    );
    const asked = await fetch(`${webUrl}/hook?secret=1`, { headers: { 'x-request-id': id } });
    expect(asked.headers.get('x-request-id')).toBe(id);
    await until('the web log has it', async () =>
      (await log()).split('\n').some((line) => line.includes(`"web request","requestId":"${id}"`)),
    );
    expect(await log()).not.toContain('secret=1');
    const s3 = gateway.s3Client();
    const Objects = [{ Key: 'ours.txt' }, { Key: 'theirs.txt' }];
    await s3.send(new DeleteObjectsCommand({ Bucket: 'files', Delete: { Objects } }));
    expect((await events('--action', 'object.delete')).map((e) => e.subject)).toEqual([
      'files/ours.txt',
      'files/theirs.txt',
    ]);
    const [put] = await events('--action', 'object.put');
    expect(put).toMatchObject({ who: gateway.accessKeyId, subject: 'files/ours.txt' });
    const [refused] = await events('--action', 's3.refuse');
    expect(refused).toMatchObject({
      who: 'anonymous',
      subject: 'files/x',
      detail: { upstreamRequestId: id },
    });
  });

  test('the chain holds after all this, and the head of the log and of the metric is its end', async () => {
    const { gateway } = stack;
    const { code, stdout } = await gateway.cli('audit', 'verify', '--json');
    const report = JSON.parse(stdout) as { holds: boolean; head: { seq: number; hash: string } };
    expect([code, report.holds]).toEqual([0, true]);
    expect(await gateway.metric('gateway_audit_events')).toBe(report.head.seq);
    await gateway.stop();
    const log = (await readFile(gateway.child!.logFile, 'utf8')).trim().split('\n');
    const { seq, hash } = log
      .map((line) => JSON.parse(line) as { message: string; seq: number; hash: string })
      .findLast((l) => l.message === 'audit head')!;
    const noted = await run(process.execPath, [
      ...[path.resolve('dist/cli/main.js'), 'audit', 'verify', '--head', `${seq}:${hash}`],
      ...['--directory', path.join(gateway.stateDirectory, 'audit')],
    ]);
    expect([noted.code, noted.stderr]).toEqual([0, '']);
    for (const secret of [TOKEN, HOOK_SECRET, TARGET_SECRET]) expect(log.join('\n')).not.toContain(secret);
  });
});
