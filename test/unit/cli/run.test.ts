import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { silentLog } from '../../../src/async/log.js';
import { COMMANDS } from '../../../src/cli/commands.js';
import { EXIT } from '../../../src/cli/exit-codes.js';
import { helpOf, runCli } from '../../../src/cli/run.js';
import { ControlServer } from '../../../src/server/control-server.js';
import { controlSocketPath } from '../../../src/server/control-socket.js';
import { spawnTied } from '../../support/tied.js';
import { GatewayInMemory } from './gateway-in-memory.js';

let stateDir: string;
let gateway: GatewayInMemory;
beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'cli-'));
  gateway = new GatewayInMemory();
});
afterEach(() => rm(stateDir, { recursive: true }));

function environment(): Record<string, string> {
  return {
    GATEWAY_STATE_DIR: stateDir,
    GATEWAY_GITEE_URL: 'https://gitee.example',
    GATEWAY_GITEE_TOKEN: 'token-of-a-test',
    GATEWAY_ACCESS_KEYS_0_ACCESS_KEY_ID: 'ops',
    GATEWAY_ACCESS_KEYS_0_SECRET_ACCESS_KEY: 'secret-of-a-test',
    GATEWAY_BUCKETS_0_NAME: 'registry',
    GATEWAY_BUCKETS_0_REPOSITORY: 'acme/images',
  };
}

async function cli(argv: string[], env: Record<string, string> = environment()) {
  let out = '';
  let err = '';
  const code = await runCli(argv, {
    env,
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    logStream: new PassThrough(),
    compose: async () => gateway,
    version: '1.2.3',
  });
  return { code, out, err };
}

/** Runs the test beside a gateway that listens on its control socket. */
async function whileRunning<T>(run: () => Promise<T>): Promise<T> {
  const server = new ControlServer(gateway, await controlSocketPath(stateDir), '1.2.3', silentLog);
  await server.listen();
  try {
    return await run();
  } finally {
    await server.close();
  }
}

describe('the command line', () => {
  test('without a command shows the list and is a usage error', async () => {
    const { code, out } = await cli([]);
    expect(code).toBe(EXIT.usage);
    for (const command of COMMANDS) expect(out).toContain(`  ${command.name} `);
  });

  test.each([
    [['sttus'], 'did you mean status?'],
    [['status', '--dep'], "see 'gitee-s3 status --help'"],
    [['verify-clone'], 'write it as: gitee-s3 verify-clone DIR'],
    [['fsck', 'extra'], 'write it as: gitee-s3 fsck [options]'],
    [['rebuild', '--bucket', 'other'], 'there is no bucket other'],
  ])('%j is refused with a sentence', async (argv, sentence) => {
    const { code, out, err } = await cli(argv);
    expect([code, out]).toEqual([EXIT.usage, '']);
    expect(err).toContain(sentence);
    expect(err.startsWith('gitee-s3: ')).toBe(true);
  });

  test('a wrong configuration is told whole, without secrets', async () => {
    const { code, err } = await cli(['status'], {
      ...environment(),
      GATEWAY_S3_PORT: 'x',
      GATEWAY_REGOIN: 'y',
    });
    expect(code).toBe(EXIT.usage);
    expect(err).toContain('GATEWAY_REGOIN');
    expect(err).toContain('s3.port');
    expect(err).not.toContain('of-a-test');
  });

  test('every command has help, and the two spellings of it agree', async () => {
    for (const command of COMMANDS) {
      expect((await cli([command.name, '--help'])).out).toBe(helpOf(command));
      expect((await cli(['help', command.name])).out).toBe(helpOf(command));
    }
  });

  test('version prints the same as text and as JSON', async () => {
    expect((await cli(['--version'])).out).toContain('gitee-s3 1.2.3, storage format 1');
    expect(JSON.parse((await cli(['version', '--json'])).out)).toMatchObject({ version: '1.2.3' });
  });
});

describe('commands on a running gateway', () => {
  test('go over a socket that only its owner may use', async () => {
    await whileRunning(async () => {
      expect((await stat(join(stateDir, 'control.sock'))).mode & 0o777).toBe(0o600);
      const { code, out } = await cli(['status']);
      expect(code).toBe(EXIT.ok);
      expect(out).toContain(`running, process ${process.pid}, ready`);
      expect(out).toContain('paused (unauthorized): gitee.token is refused.');
      expect(out).toContain(
        'line to Gitee: 1.0 MiB/s, 9.0 MiB on their way; uploads are taken at the pace of the line (10.0 MiB at a time): 4 bodies wait, the first since 12s',
      );
      expect(out).toContain('LFS space: 3.0 GiB of 10.0 GiB (30 %) in use, full in 12 days if it goes on so');
      expect(gateway.calls).toEqual([]);
    });
  });

  test('status is 1 where the gateway is not ready, and says why', async () => {
    gateway.problemList = [{ name: 'gitee', detail: 'gitee.token is refused' }];
    await whileRunning(async () => {
      const { code, out } = await cli(['status', '--json']);
      expect(code).toBe(EXIT.found);
      expect(JSON.parse(out)).toMatchObject({ ready: false, problems: gateway.problemList });
    });
  });

  test('doctor tells each probe and what to do', async () => {
    gateway.probes.push({
      name: 'lfs acme/images',
      verdict: 'failed',
      answer: 'LFS is off.',
      nextStep: 'Buy it.',
    });
    await whileRunning(async () => {
      const { code, out } = await cli(['doctor']);
      expect(code).toBe(EXIT.found);
      expect(out.split('\n')).toEqual([
        'ok      token: it belongs to acme-bot.',
        'failed  lfs acme/images: LFS is off.',
        '        -> Buy it.',
        '',
      ]);
    });
  });

  test('fsck streams steps and counts problems', async () => {
    gateway.steps.push({ step: 'chunks', figures: {}, problems: ['chunk x is not on Gitee'] });
    await whileRunning(async () => {
      const { code, out } = await cli(['fsck', '--deep', '--bucket', 'registry']);
      expect(code).toBe(EXIT.found);
      expect(out).toBe('journal: changes 3\nchunks: done\n  ! chunk x is not on Gitee\n1 problems\n');
      expect(gateway.calls).toEqual(['fsck {"deep":true,"bucket":"registry"}']);
    });
  });

  test('a failure on the way is a sentence and exit code 3', async () => {
    gateway.steps.push(new Error('Gitee does not answer'));
    await whileRunning(async () => {
      const { code, err } = await cli(['fsck', '--json']);
      expect([code, err]).toEqual([EXIT.failed, 'gitee-s3: Gitee does not answer\n']);
    });
  });

  test('rebuild and accept-remote take the only bucket by themselves', async () => {
    await whileRunning(async () => {
      expect((await cli(['rebuild'])).out).toContain('7 keys');
      expect(JSON.parse((await cli(['accept-remote', '--json'])).out)).toMatchObject({ bucket: 'registry' });
      const fsck = 'fsck {"deep":false,"bucket":"registry"}';
      expect(gateway.calls).toEqual(['rebuild registry', 'accept-remote registry', fsck]);
    });
  });

  test('accept-remote --preview says what it would do, and does nothing', async () => {
    await whileRunning(async () => {
      const { code, out } = await cli(['accept-remote', '--preview']);
      expect(code).toBe(EXIT.ok);
      expect(out.split('\n')).toEqual([
        `registry: would go from ${'c'.repeat(40)} to ${'e'.repeat(40)}. Readers would see`,
        '  1 keys added: "new"',
        '  0 keys changed',
        '  12 keys removed: "a", "b\\n", …',
        '2 changes wait here, and would go on top of the branch',
        'Nothing was done.',
        '',
      ]);
      gateway.isWhole = false;
      expect((await cli(['accept-remote', '--preview'])).out).toContain('and more: counting was stopped');
      const json = JSON.parse((await cli(['accept-remote', '--preview', '--json'])).out) as unknown;
      expect(json).toMatchObject({ bucket: 'registry', removed: { count: 12 } });
      expect(new Set(gateway.calls)).toEqual(new Set(['preview registry']));
    });
  });

  test('accept-remote says what the branch lacks that it now goes by', async () => {
    gateway.steps = [{ step: 'remote', figures: {}, problems: ['chunk abc is not on Gitee'] }];
    await whileRunning(async () => {
      const result = await cli(['accept-remote']);
      expect(result).toMatchObject({ code: EXIT.found });
      expect(result.out).toContain('! chunk abc is not on Gitee\n1 problems');
    });
  });

  test('a state directory with a path longer than a socket may have works', async () => {
    const long = join(stateDir, 'x'.repeat(120));
    await mkdir(long);
    stateDir = long;
    await whileRunning(async () => expect((await cli(['status'])).code).toBe(EXIT.ok));
    stateDir = join(long, '..');
  });
});

describe('commands without a running gateway', () => {
  test('open the directory for the time of the command', async () => {
    const { code, out } = await cli(['status']);
    expect(code).toBe(EXIT.found);
    expect(out).toContain('not running, not ready');
    expect(gateway.calls).toEqual(['stop 0']);
  });

  test('a socket that a killed gateway left behind is nobody', async () => {
    const listen = `require('net').createServer().listen(process.argv[1], () => console.log('listening'))`;
    const killed = spawnTied(process.execPath, ['-e', listen, join(stateDir, 'control.sock')]);
    await once(killed.stdout, 'data');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    expect((await stat(join(stateDir, 'control.sock'))).isSocket()).toBe(true);
    expect((await cli(['fsck'])).code).toBe(EXIT.ok);
    expect(gateway.calls).toEqual(['fsck {"deep":false}', 'stop 0']);
  });
});
