/** `gitee-s3 quarantine`, over the control socket and without a gateway that runs. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { silentLog } from '../../../src/async/log.js';
import { EXIT } from '../../../src/cli/exit-codes.js';
import { runCli } from '../../../src/cli/run.js';
import { ControlServer } from '../../../src/server/control-server.js';
import { controlSocketPath } from '../../../src/server/control-socket.js';
import type { QuarantinedChange } from '../../../src/buckets/quarantine.js';
import { GatewayInMemory } from './gateway-in-memory.js';

let directory: string;
let gateway: GatewayInMemory;
let server: ControlServer | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quarantine-'));
  gateway = new GatewayInMemory();
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await rm(directory, { recursive: true });
});

async function cli(...argv: string[]) {
  let out = '';
  let err = '';
  const code = await runCli(['quarantine', ...argv], {
    env: {
      GATEWAY_STATE_DIR: directory,
      GATEWAY_GITEE_URL: 'https://gitee.example',
      GATEWAY_GITEE_TOKEN: 'token-of-a-test',
      GATEWAY_ACCESS_KEYS_0_ACCESS_KEY_ID: 'ops',
      GATEWAY_ACCESS_KEYS_0_SECRET_ACCESS_KEY: 'secret-of-a-test',
      GATEWAY_BUCKETS_0_NAME: 'registry',
      GATEWAY_BUCKETS_0_REPOSITORY: 'acme/images',
    },
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    logStream: new PassThrough(),
    compose: async () => gateway,
    version: '1.2.3',
  });
  return { code, out, err };
}

function setAside(key: string, fields: Partial<QuarantinedChange> = {}): void {
  gateway.setAside.set(key, {
    ...{ bucket: 'registry', key, seq: gateway.setAside.size + 7, since: '2026-11-29T20:00:00.000Z' },
    ...{ reason: 'chunk-refused', message: 'no, says Gitee', what: 'write', shown: true },
    sizeBytes: Buffer.byteLength(key),
    ...fields,
  });
}

describe.each(['a gateway that runs', 'no gateway'])('quarantine, with %s', (how) => {
  beforeEach(async () => {
    if (how === 'no gateway') return;
    server = new ControlServer(gateway, await controlSocketPath(directory), '1.2.3', silentLog);
    await server.listen();
  });

  test('list tells key, reason and bytes, and is 1 where there are some', async () => {
    expect(await cli('list')).toMatchObject({ code: EXIT.ok, out: 'nothing is in quarantine\n' });
    setAside('a/b\u001b[31m');
    setAside('gone', { what: 'deletion', sizeBytes: 0 });
    const { code, out } = await cli('list');
    expect(code).toBe(EXIT.found);
    expect(out.split('\n')).toEqual([
      '2026-11-29T20:00:00.000Z  chunk-refused  8 B  registry/a/b?[31m: no, says Gitee',
      '2026-11-29T20:00:00.000Z  chunk-refused  deletion  registry/gone: no, says Gitee',
      '2 changes are in quarantine',
      '',
    ]);
    expect(JSON.parse((await cli('list', 'gone', '--json')).out)).toEqual([gateway.setAside.get('gone')]);
  });

  test('retry is about one key or all, and names what stays', async () => {
    for (const key of ['a', 'b', 'c']) setAside(key);
    setAside('old', { shown: false });
    expect(await cli('retry', 'b')).toMatchObject({ code: EXIT.ok, out: '1 changes wait for Gitee again\n' });
    expect(gateway.calls).toContain('quarantine retry registry b');
    const { code, out } = await cli('retry');
    expect([code, out]).toEqual([EXIT.found, 'old stays: newer\n2 changes wait for Gitee again\n']);
    expect([...gateway.setAside.keys()]).toEqual(['old']);
  });

  test('export writes the bytes and an index, for its owner alone, and never over a file', async () => {
    setAside('../../etc/passwd');
    setAside('gone', { what: 'deletion', sizeBytes: 0 });
    const to = join(directory, 'out');
    expect(await cli('export', '--to', to)).toMatchObject({ code: EXIT.ok });
    expect((await readdir(to)).sort()).toEqual(['7.bin', 'index.jsonl']);
    expect(await readFile(join(to, '7.bin'), 'utf8')).toBe('../../etc/passwd');
    expect((await stat(join(to, '7.bin'))).mode & 0o777).toBe(0o600);
    const index = (await readFile(join(to, 'index.jsonl'), 'utf8')).trim().split('\n');
    expect(index.map((line) => JSON.parse(line))).toEqual([
      expect.objectContaining({
        key: '../../etc/passwd',
        file: '7.bin',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      }),
      expect.objectContaining({ key: 'gone', what: 'deletion' }),
    ]);
    await writeFile(join(to, '7.bin'), 'mine');
    expect(await cli('export', '--to', to)).toMatchObject({ code: EXIT.found });
    expect(await readFile(join(to, '7.bin'), 'utf8')).toBe('mine');
  });

  test('export leaves no file of bytes that break off or are too few', async () => {
    for (const key of ['whole', 'broken']) setAside(key);
    setAside('short', { sizeBytes: 99 });
    gateway.broken.add('broken');
    const to = join(directory, 'out');
    const { code, out } = await cli('export', '--to', to);
    expect(code).toBe(EXIT.found);
    expect(out).toContain('1 changes exported, 2 not');
    expect((await readdir(to)).sort()).toEqual(['7.bin', 'index.jsonl']);
  });

  test('drop wants the key twice', async () => {
    setAside('a');
    for (const argv of [['drop'], ['drop', 'a'], ['drop', 'a', '--confirm', 'b']])
      expect(await cli(...argv)).toMatchObject({ code: EXIT.usage });
    expect(gateway.setAside.size).toBe(1);
    expect(await cli('drop', 'a', '--confirm', 'a')).toMatchObject({ code: EXIT.ok });
    expect(await cli('drop', 'a', '--confirm', 'a')).toMatchObject({ code: EXIT.found });
    expect(gateway.setAside.size).toBe(0);
  });

  test('anything else is a usage error', async () => {
    for (const argv of [[], ['forget'], ['export'], ['list', '--bucket', 'other']])
      expect(await cli(...argv)).toMatchObject({ code: EXIT.usage });
  });
});
