import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { startLocalGitee, type RunningLocalGitee } from '../../support/local-gitee.js';

interface Delivery {
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Record<string, unknown>;
}

/** Receives webhooks; `next` waits for one. */
class HookReceiver {
  readonly #server: http.Server;
  readonly #waiting: ((delivery: Delivery) => void)[] = [];
  readonly #arrived: Delivery[] = [];

  constructor() {
    this.#server = http.createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        response.writeHead(202).end('thanks');
        const delivery = {
          headers: request.headers,
          body: JSON.parse(Buffer.concat(parts).toString('utf8')),
        };
        const waiting = this.#waiting.shift();
        if (waiting) waiting(delivery);
        else this.#arrived.push(delivery);
      });
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  next(): Promise<Delivery> {
    const arrived = this.#arrived.shift();
    return arrived ? Promise.resolve(arrived) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const CLIENT = { id: 'client', secret: 'a secret of the client', redirectUris: ['http://127.0.0.1/back'] };

describe('API v5, OAuth and webhooks', () => {
  let gitee: RunningLocalGitee;

  beforeAll(async () => {
    gitee = await startLocalGitee({
      config: {
        oauthClients: [
          { ...CLIENT, autoApprove: true },
          { ...CLIENT, id: 'careful' },
        ],
        rateLimit: { anonymous: 10, authenticated: 1000 },
      },
    });
  });

  afterAll(() => gitee.stop());

  const call = async (method: string, path: string, body?: unknown, token = gitee.token) => {
    const answer = await fetch(`${gitee.url}/api/v5${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: text === '' ? undefined : JSON.parse(text),
    };
  };
  const seed = (path: string, content: string) =>
    gitee.admin('move-branch', { repo: 'acme/images', edits: [{ path, content }] });

  test('says who the token is, in each way that a token may come', async () => {
    const ask = async (query: string, headers: Record<string, string>) =>
      (await fetch(`${gitee.url}/api/v5/user${query}`, { headers })).status;
    expect((await call('GET', '/user')).body).toMatchObject({
      id: 101,
      login: 'gateway',
      email: 'gateway@example.com',
    });
    expect(await ask('', { Authorization: `token ${gitee.token}` })).toBe(200);
    expect(await ask('', { 'PRIVATE-TOKEN': gitee.token })).toBe(200);
    expect(await ask(`?access_token=${gitee.token}`, {})).toBe(200);
    expect((await call('GET', '/user', undefined, 'f'.repeat(32))).body).toEqual({
      message: '401 Unauthorized: Access token does not exist',
    });
    const expired = 'e'.repeat(32);
    await gitee.admin('tokens', { add: { login: 'gateway', token: expired, expiresInSeconds: 0 } });
    expect((await call('GET', '/user', undefined, expired)).body).toEqual({
      message: '401 Unauthorized: Access token is expired',
    });
  });

  test('describes a repository with the rights of the one who asks', async () => {
    const { status, body } = await call('GET', '/repos/acme/images');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: 4711,
      full_name: 'acme/images',
      default_branch: 'master',
      private: true,
      enterprise: { path: 'acme' },
      namespace: { type: 'enterprise' },
      status: '开始',
      permission: { pull: true, push: true, admin: false },
    });
    expect((await call('GET', '/repos/acme/none')).body).toEqual({ message: '404 Project Not Found' });
    expect((await fetch(`${gitee.url}/api/v5/repos/acme/images`)).status).toBe(404);
  });

  test('shows branches, their protection, the push rules and the tree', async () => {
    expect((await call('GET', '/repos/acme/images/contents/a')).body).toEqual([]);
    const { head } = await seed('dir/a', 'content of a');
    await gitee.admin('repositories', {
      owner: 'acme',
      name: 'images',
      limits: { fileMb: 100 },
      protectedBranches: [{ name: 'master', mode: 'review' }],
    });
    expect((await call('GET', '/repos/acme/images')).body.empty_repo).toBe(false);
    expect((await call('GET', '/repos/acme/images/branches')).body).toHaveLength(1);
    expect((await call('GET', '/repos/acme/images/branches/master')).body).toMatchObject({
      commit: { sha: head },
      protected: true,
    });
    expect((await call('GET', '/repos/acme/images/branches/none')).status).toBe(404);
    expect((await call('GET', '/repos/acme/images/push_config')).body.max_file_size).toBe(100);
    const file = (await call('GET', '/repos/acme/images/contents/dir/a?ref=master')).body;
    expect(Buffer.from(file.content, 'base64').toString()).toBe('content of a');
    expect(file).toMatchObject({ type: 'file', size: 12, path: 'dir/a', name: 'a' });
    expect((await call('GET', '/repos/acme/images/contents/dir')).body).toMatchObject([
      { path: 'dir/a', size: null },
    ]);
    expect(await call('GET', '/repos/acme/images/contents/none')).toMatchObject({ status: 200, body: [] });
  });

  test('creates a repository for its owner and not twice', async () => {
    const made = await call('POST', '/user/repos', { name: 'fresh' });
    expect(made).toMatchObject({
      status: 201,
      body: { full_name: 'gateway/fresh', empty_repo: true, permission: { admin: true } },
    });
    expect((await call('POST', '/user/repos', { name: 'fresh' })).status).toBe(422);
  });

  test('delivers a push to hooks with a password and with a signature, and keeps what was answered', async () => {
    const receiver = new HookReceiver();
    const url = await receiver.start();
    const hooks = '/repos/acme/files/hooks';
    const admin = (method: string, path: string, body?: unknown) =>
      call(method, path, body, gitee.maintainerToken);
    expect((await call('GET', hooks)).status).toBe(403);
    const made = await admin('POST', hooks, { url, encryption_type: 0, password: 'in clear' });
    expect(made.status).toBe(201);
    const hook = `${hooks}/${made.body.id}`;
    expect((await admin('POST', `${hook}/tests`)).status).toBe(204);
    const ping = await receiver.next();
    expect(ping.headers).toMatchObject({
      'user-agent': 'git-oschina-hook',
      'x-gitee-token': 'in clear',
      'x-gitee-ping': 'true',
    });
    expect((await admin('GET', hook)).body).toMatchObject({ result_code: 202, result: 'thanks' });

    await admin('PATCH', hook, { encryption_type: 1, password: 'the key' });
    const { GitClient } = await import('./git-client.js');
    const client = await GitClient.create(gitee, { token: gitee.token });
    await client.init(`${gitee.url}/acme/files.git`);
    await client.git('commit', '-q', '--allow-empty', '-m', 'a push');
    await client.git('push', '-q', 'origin', 'master');
    const { headers, body } = await receiver.next();
    const timestamp = headers['x-gitee-timestamp'] as string;
    expect(headers).toMatchObject({
      'x-gitee-event': 'Push Hook',
      'x-gitee-ping': 'false',
      'x-gitee-token': createHmac('sha256', 'the key').update(`${timestamp}\nthe key`).digest('base64'),
    });
    expect(body).toMatchObject({
      hook_name: 'push_hooks',
      ref: 'refs/heads/master',
      before: '0'.repeat(40),
      after: await client.git('rev-parse', 'HEAD'),
      created: true,
      commits: [{ message: 'a push\n' }],
      repository: { id: 4712, path_with_namespace: 'acme/files' },
    });
    await client.remove();
    expect((await admin('DELETE', hook)).status).toBe(204);
    expect((await admin('GET', hook)).status).toBe(404);
    receiver.stop();
  });

  test('gives tokens of one day for a code, once, and renews them', async () => {
    const authorize = (id: string, more = '') =>
      fetch(
        `${gitee.url}/oauth/authorize?client_id=${id}&redirect_uri=${encodeURIComponent(CLIENT.redirectUris[0]!)}` +
          `&response_type=code&scope=user_info%20projects&state=xyz${more}`,
        { redirect: 'manual' },
      );
    expect((await authorize('careful', '&auto_approve=gateway')).status).toBe(403);
    expect(await (await authorize('careful')).text()).toContain('<form');
    const back = new URL((await authorize('client', '&auto_approve=gateway')).headers.get('location')!);
    expect(back.searchParams.get('state')).toBe('xyz');
    const token = async (fields: Record<string, string>) => {
      const answer = await fetch(`${gitee.url}/oauth/token`, {
        method: 'POST',
        body: new URLSearchParams({ client_id: CLIENT.id, client_secret: CLIENT.secret, ...fields }),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, string> };
    };
    const code = {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code')!,
      redirect_uri: CLIENT.redirectUris[0]!,
    };
    expect((await token({ ...code, client_secret: 'wrong' })).body['error']).toBe('invalid_client');
    const first = await token(code);
    expect(first.body).toMatchObject({
      token_type: 'bearer',
      expires_in: 86_400,
      scope: 'user_info projects',
    });
    expect((await token(code)).body['error']).toBe('invalid_grant');
    expect((await call('GET', '/user', undefined, first.body['access_token'])).body.login).toBe('gateway');
    const renew = { grant_type: 'refresh_token', refresh_token: first.body['refresh_token'] as string };
    const second = await token(renew);
    expect((await call('GET', '/user', undefined, second.body['access_token'])).status).toBe(200);
    expect((await call('GET', '/user', undefined, first.body['access_token'])).status).toBe(401);
    expect((await token(renew)).body['error']).toBe('invalid_grant');
  });

  test('keeps the admin calls for who has the admin token', async () => {
    const ask = async (token: string) =>
      (await fetch(`${gitee.url}/_local/stats`, { headers: { Authorization: `Bearer ${token}` } })).status;
    expect(await ask(gitee.token)).toBe(401);
    expect(await ask(gitee.adminToken)).toBe(200);
    await expect(gitee.fault('no-such-fault')).rejects.toThrow('422');
  });

  test('counts calls in headers and refuses those over the limit with the time to wait', async () => {
    const { headers } = await call('GET', '/user');
    expect(headers.get('x-ratelimit-limit')).toBe('1000');
    expect(Number(headers.get('x-ratelimit-remaining'))).toBeLessThan(1000);
    let last = 0;
    let retryAfter: string | null = null;
    for (let i = 0; i < 12; i++) {
      const answer = await fetch(`${gitee.url}/api/v5/repos/acme/none`);
      last = answer.status;
      retryAfter = answer.headers.get('retry-after');
    }
    expect(last).toBe(429);
    expect(Number(retryAfter)).toBeGreaterThan(0);
  });
});
