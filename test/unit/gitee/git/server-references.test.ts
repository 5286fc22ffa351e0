/** Reading the branch over HTTP from servers that a test writes; the real git http-backend is in test/integration. */
import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { noFailpoints } from '../../../../src/async/failpoint.js';
import { silentLog } from '../../../../src/async/log.js';
import { silentMetrics } from '../../../../src/async/metrics.js';
import { systemClock } from '../../../../src/async/clock.js';
import { RemoteError } from '../../../../src/gitee/errors.js';
import { GitWire } from '../../../../src/gitee/git/git-wire.js';
import type { HttpClient } from '../../../../src/gitee/http/client.js';
import { limitMs } from '../../../support/time-limits.js';
import { ScriptedServer, testClient, type SeenRequest } from '../http/scripted-server.js';

const TOKEN = 'secret-token';
const id = (digit: string) => digit.repeat(40);
const line = (text: string) => (text.length + 4).toString(16).padStart(4, '0') + text;
const advertisement = (...lines: string[]) =>
  `${line('# service=git-upload-pack\n')}0000${lines.map(line).join('')}0000`;
const V0 = advertisement(
  `${id('9')} HEAD\0multi_ack symref=HEAD:refs/heads/main object-format=sha1 agent=git/2\n`,
  `${id('8')} refs/heads/auto-1-main-2\n`,
  `${id('1')} refs/heads/main\n`,
  `${id('2')} refs/heads/main-2\n`,
  `${id('3')} refs/tags/v1\n`,
  `${id('4')} refs/tags/v1^{}\n`,
  `shallow ${id('5')}\n`,
);
const LISTED = `${line(`${id('1')} refs/heads/main\n`)}${line(`${id('2')} refs/heads/main-2\n`)}0000`;
const capabilities = (...lines: string[]) =>
  advertisement('version 2\n', 'agent=git/2\n', 'ls-refs=unborn\n', ...lines);
const V2 = capabilities('object-format=sha1\n');

let server: ScriptedServer;
let http: HttpClient;
let wire: GitWire;
let token: string;
let newerToken: string | undefined;
let passedMs: number;
beforeEach(async () => {
  server = await ScriptedServer.start();
  http = testClient();
  token = TOKEN;
  newerToken = undefined;
  passedMs = 0;
  const settings = {
    ...{ url: `${server.url}/acme/images.git`, branch: 'main', http, directory: '/nowhere' },
    token: {
      current: () => token,
      reload: async () => {
        if (newerToken === undefined) return false;
        token = newerToken;
        return true;
      },
    },
    ...{ identity: { name: 'g', email: 'g@example.com' }, gatewayId: 'gw-1' },
    clock: { ...systemClock, nowMs: () => Date.now(), steadyMs: () => passedMs },
    ...{ log: silentLog, metrics: silentMetrics, failpoints: noFailpoints },
  };
  wire = new GitWire(settings, { repository: settings.url, branch: 'main' });
});
afterEach(async () => {
  await server.stop();
  await http.close();
});

const readHead = (timeoutMs = limitMs(10_000)) => wire.readHead(timeoutMs, undefined);
const failure = async (reading: Promise<unknown>): Promise<RemoteError> => {
  const error: unknown = await reading.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof RemoteError)) throw new Error(`no RemoteError: ${String(error)}`);
  expect(`${error.message} ${error.detail}`).not.toContain(TOKEN);
  return error;
};
const tell = (response: ServerResponse, kind: 'result' | 'advertisement', body: string | Buffer) =>
  response.writeHead(200, { 'Content-Type': `application/x-git-upload-pack-${kind}` }).end(body);
/** A server that answers ls-refs, and `info/refs`, so; a function answers by what it was asked. */
function serve(listed: string | ((request: SeenRequest) => string), advertised: string): void {
  server.script = (request, response) =>
    request.method === 'POST'
      ? tell(response, 'result', typeof listed === 'string' ? listed : listed(request))
      : tell(response, 'advertisement', advertised);
}
const asked = () => server.seen.splice(0).map(({ method, url }) => `${method} ${url.split('/').at(-1)}`);
const LS_REFS = 'POST git-upload-pack';
const ADVERTISED = 'GET refs?service=git-upload-pack';

describe('a server with protocol v2', () => {
  test('is asked for the branch in one request, which alone carries the token', async () => {
    serve(LISTED, V2);
    expect(await readHead()).toBe(id('1'));
    const [request] = server.seen;
    expect(request!.headers).toMatchObject({
      'git-protocol': 'version=2',
      authorization: `Basic ${Buffer.from(`oauth2:${TOKEN}`).toString('base64')}`,
    });
    expect(`${request!.url} ${request!.body.toString()}`).not.toContain(TOKEN);
    expect(asked()).toEqual([LS_REFS]);
  });

  test('has no branch where it lists none, as an empty repository does', async () => {
    serve('0000', V2);
    expect(await readHead()).toBeNull();
    serve(line(`${id('2')} refs/heads/main-2\n`) + '0000', V2);
    expect(await readHead()).toBeNull();
    expect(asked()).toEqual([LS_REFS, LS_REFS]);
  });

  test('of before git 2.28 is told no object format: found out once', async () => {
    serve(({ body }) => (body.includes('object-format') ? '' : LISTED), capabilities());
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([LS_REFS, ADVERTISED, LS_REFS]);
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([LS_REFS]);
  });

  test('whose answer once broke off is asked what it speaks, and as ever afterwards', async () => {
    let first = true;
    serve(() => (first ? ((first = false), LISTED.slice(0, -4)) : LISTED), V2);
    expect(await readHead()).toBe(id('1'));
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([LS_REFS, ADVERTISED, LS_REFS, LS_REFS]);
  });

  test('has its packed answers read', async () => {
    server.script = (_request, response) =>
      response
        .writeHead(200, {
          'Content-Type': 'application/x-git-upload-pack-result; charset=x',
          'Content-Encoding': 'gzip',
        })
        .end(gzipSync(LISTED));
    expect(await readHead()).toBe(id('1'));
  });
});

describe.each([
  ['nothing', ''],
  ['an error', line('ERR upload-pack: protocol error, expected to get object ID')],
  ['a line of v0', line('NAK\n')],
])('a server without v2, which answers ls-refs with %s', (_what, listed) => {
  test.each([
    ['0', V0],
    ['1', V0.replace('0000', `0000${line('version 1\n')}`)],
  ])('is read by its advertisement in version %s, in one request from then on', async (_version, text) => {
    serve(listed, text);
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([LS_REFS, ADVERTISED]);
    expect(await readHead()).toBe(id('1'));
    expect(await wire.hasRefAt('refs/heads/auto-', id('8') as never, 10_000, undefined)).toBe(true);
    expect(await wire.hasRefAt('refs/heads/auto-', id('1') as never, 10_000, undefined)).toBe(false);
    expect(asked()).toEqual([ADVERTISED, ADVERTISED, ADVERTISED]);
  });

  test.each([
    ['nothing', advertisement()],
    ['its capabilities', advertisement(`${id('0')} capabilities^{}\0object-format=sha1 agent=git/2\n`)],
    ['a branch of another name', advertisement(`${id('1')} refs/heads/master\0agent=git/2\n`)],
  ])('has no branch where it advertises %s', async (_advertised, text) => {
    serve(listed, text);
    expect(await readHead()).toBeNull();
  });

  test('is asked by v2 again once it advertises that', async () => {
    serve(listed, V0);
    await readHead();
    asked();
    serve(LISTED, V2);
    expect(await readHead()).toBe(id('1'));
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([ADVERTISED, LS_REFS, LS_REFS]);
  });
});

test.each([400, 500])(
  'a server that refuses ls-refs with %d is read by its advertisement',
  async (status) => {
    server.script = ({ method }, response) =>
      method === 'POST' ? response.writeHead(status).end() : tell(response, 'advertisement', V0);
    expect(await readHead()).toBe(id('1'));
    // One that took it before has a fault.
    serve(LISTED, V2);
    await readHead();
    asked();
    server.script = (_request, response) => response.writeHead(500).end();
    expect((await failure(readHead())).code).toBe('server-fault');
    expect(asked()).toEqual([LS_REFS]);
  },
);

describe('no branch is read, and none taken for missing,', () => {
  const cut = (text: string) => text.slice(0, text.lastIndexOf('0000'));
  test.each([
    ['of ids that are no SHA-1, in v2', 'refused', '', capabilities('object-format=sha256\n')],
    [
      'of ids that are no SHA-1, in v0',
      'refused',
      '',
      advertisement(`${'a'.repeat(64)} refs/heads/main\0object-format=sha256\n`),
    ],
    ['of a list that breaks off', 'server-fault', '', cut(V0)],
    ['of capabilities that break off', 'server-fault', '', cut(V2)],
    ['that has the right type and is a page', 'server-fault', '<html>', '<!DOCTYPE html><html></html>'],
    ['of another service', 'server-fault', '', V0.replace('upload', 'update')],
    ['without a service', 'server-fault', '', V0.slice(V0.indexOf('0000'))],
    ['of lines that are none', 'server-fault', '', advertisement('hello\n')],
    ['that answers ls-refs in no way', 'server-fault', '', V2],
    [
      'that says why',
      'repository-closed',
      line('ERR the repository is paused\n'),
      line('ERR the repository is paused\n'),
    ],
    ['that says why, and why is unknown', 'server-fault', '', line('ERR come back on Monday\n')],
  ])('from an answer %s', async (_what, code, listed, advertised) => {
    serve(listed, advertised);
    expect((await failure(readHead())).code).toBe(code);
  });

  test.each([
    ['text/html', 200, 'server-fault'],
    ['application/x-git-receive-pack-advertisement', 200, 'server-fault'],
    ['text/plain', 401, 'unauthorized'],
    ['text/plain', 403, 'forbidden'],
    ['text/plain', 404, 'repository-missing'],
    ['text/plain', 429, 'rate-limited'],
    ['text/plain', 503, 'server-fault'],
  ])('from an answer with the type %s and status %d', async (type, status, code) => {
    for (const asking of [LS_REFS, ADVERTISED]) {
      server.script = (_request, response) => response.writeHead(status, { 'Content-Type': type }).end(V0);
      expect((await failure(readHead())).code).toBe(code);
      serve('', V0);
      if (asking === LS_REFS) await readHead();
    }
  });

  test('from an answer that has no end', async () => {
    const many = line(`${id('7')} refs/heads/${'x'.repeat(60_000)}\n`).repeat(20);
    server.script = (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/x-git-upload-pack-result' });
      const more = () => {
        while (!response.destroyed && response.write(many));
        if (!response.destroyed) response.once('drain', more);
      };
      more();
    };
    const error = await failure(readHead(limitMs(60_000)));
    expect(error.code).toBe('server-fault');
    expect(error.message).toContain('more than 64 MiB');
  });

  test('from a packed answer that is none', async () => {
    server.script = (_request, response) =>
      response
        .writeHead(200, {
          'Content-Type': 'application/x-git-upload-pack-advertisement',
          'Content-Encoding': 'gzip',
        })
        .end('no gzip');
    expect((await failure(readHead())).code).toBe('server-fault');
  });

  test('from another place: it gets neither question nor token', async () => {
    const other = await ScriptedServer.start();
    try {
      server.script = (request, response) =>
        response.writeHead(301, { Location: `${other.url}${request.url}` }).end();
      expect((await failure(readHead())).code).toBe('repository-missing');
      serve('', V0);
      await readHead();
      server.script = (request, response) =>
        response.writeHead(302, { Location: `${other.url}${request.url}` }).end();
      expect((await failure(readHead())).code).toBe('repository-missing');
      expect(other.seen).toEqual([]);
    } finally {
      await other.stop();
    }
  });
});

test.each([LS_REFS, ADVERTISED])(
  'a login that is refused is tried once more with a newer one: %s',
  async (how) => {
    serve(how === LS_REFS ? LISTED : '', V0);
    await readHead();
    asked();
    const { script } = server;
    server.script = (request, response) => {
      if (request.headers.authorization?.includes(Buffer.from('oauth2:newer').toString('base64')))
        script(request, response);
      else response.writeHead(401).end('Incorrect username or password (access token)');
    };
    newerToken = 'newer';
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([how, how]);
    newerToken = undefined;
    token = 'older';
    expect((await failure(readHead())).code).toBe('unauthorized');
  },
);

describe('a kept connection', () => {
  /** Ends the connection without an answer so many times. */
  const hangUp = (times: number) => {
    const { script } = server;
    let left = times;
    server.script = (request, response) => {
      left -= 1;
      if (left >= 0) response.destroy();
      else script(request, response);
    };
  };

  test.each([LS_REFS, ADVERTISED])('that its server closed meanwhile is no failure: %s', async (how) => {
    serve(how === LS_REFS ? LISTED : '', V0);
    await readHead();
    asked();
    hangUp(1);
    expect(await readHead()).toBe(id('1'));
    expect(asked()).toEqual([how, how]);
    hangUp(2);
    expect((await failure(readHead())).code).toBe('unreachable');
    expect(asked()).toEqual([how, how]);
  });

  test('is used for all questions', async () => {
    serve('', V0);
    const connections = new Set<number | undefined>();
    const { script } = server;
    server.script = (request, response) => {
      connections.add(response.socket?.remotePort);
      script(request, response);
    };
    for (let i = 0; i < 10; i += 1) await readHead();
    // One may not be free again at the very moment of the next question.
    expect(connections.size).toBeLessThanOrEqual(2);
  });
});

// A server each: what is asked too late may come when the question is over.
test.each([
  ['says nothing', (response: ServerResponse) => tell(response, 'result', '')],
  ['does not come, so that it is asked once more', (response: ServerResponse) => response.destroy()],
])(
  'all requests of one question together have its time: the first answer takes all of it and %s',
  async (_, first) => {
    server.script = (_request, response) => {
      passedMs += 60_000;
      server.script = () => {};
      first(response);
    };
    expect((await failure(readHead(60_000))).code).toBe('timeout');
    // What comes then may be ended before it is there.
    expect(asked()[0]).toBe(LS_REFS);
  },
);

test('whoever does not want to wait gets his own reason', async () => {
  const stop = new AbortController();
  server.script = () => stop.abort(new Error('gone'));
  await expect(wire.readHead(10_000, stop.signal)).rejects.toThrow('gone');
  expect(asked()).toEqual([LS_REFS]);
});
