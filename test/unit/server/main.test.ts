import { EventEmitter } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noFailpoints } from '../../../src/async/failpoint.js';
import { silentLog } from '../../../src/async/log.js';
import { loadConfig } from '../../../src/server/config/load.js';
import type { GatewayParts } from '../../../src/server/gateway.js';
import { Redactor } from '../../../src/server/logging/redact.js';
import { serve } from '../../../src/server/main.js';
import { GatewayInMemory } from '../cli/gateway-in-memory.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'serve-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function run(onStarted: (signals: EventEmitter, parts: GatewayParts) => void) {
  const stateDir = join(directory, 'state');
  const { config } = await loadConfig(undefined, {
    GATEWAY_STATE_DIR: stateDir,
    GATEWAY_SHUTDOWN_GRACE: '7s',
    GATEWAY_ACCESS_KEYS_0_ACCESS_KEY_ID: 'ops',
    GATEWAY_ACCESS_KEYS_0_SECRET_ACCESS_KEY: 'secret-of-a-test',
    GATEWAY_BUCKETS_0_NAME: 'registry',
    GATEWAY_BUCKETS_0_REPOSITORY: 'acme/images',
  });
  const gateway = new GatewayInMemory();
  const signals = new EventEmitter();
  const exits: number[] = [];
  let parts: GatewayParts | undefined;
  const umask = process.umask();
  try {
    const code = await serve({
      config,
      compose: async (_config, given) => {
        parts = given;
        return gateway;
      },
      log: silentLog,
      redactor: new Redactor(),
      failpoints: noFailpoints,
      version: '1',
      signals,
      exit: (c) => {
        exits.push(c);
        signals.emit('exited');
      },
      onStarted: () => onStarted(signals, parts!),
    });
    return { code, gateway, exits, stateDir };
  } finally {
    process.umask(umask);
  }
}

test('a signal stops within the configured grace; the state is for its owner only', async () => {
  const { code, gateway, stateDir } = await run((signals) => signals.emit('SIGTERM'));
  expect(code).toBe(0);
  expect(gateway.calls).toEqual(['start', 'stop 7000']);
  expect((await stat(stateDir)).mode & 0o777).toBe(0o700);
  await expect(stat(join(stateDir, 'control.sock'))).rejects.toThrow('ENOENT');
});

test('a broken invariant ends with a code that a supervisor restarts', async () => {
  const { code, gateway } = await run((_, parts) => parts.onFatal(new Error('the tree differs')));
  expect(code).toBe(3);
  expect(gateway.calls).toContain('stop 5000');
});

test('who has lost the state to another process ends without a stop that would touch it', async () => {
  const { exits, gateway } = await run((signals, parts) => {
    // In the test the process goes on, and is stopped by a signal.
    signals.once('exited', () => signals.emit('SIGTERM'));
    parts.onLeaseLost(new Error('taken over'));
  });
  expect(exits).toEqual([3]);
  expect(gateway.calls).toEqual(['start', 'stop 7000']);
});

test('SIGHUP reloads, a second stop signal ends at once', async () => {
  const { gateway, exits } = await run((signals) => {
    signals.emit('SIGHUP');
    signals.emit('SIGINT');
    signals.emit('SIGINT');
  });
  expect(gateway.calls).toContain('reload');
  expect(exits).toEqual([3]);
});
