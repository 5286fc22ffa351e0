import { EventEmitter } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLog } from '../../../src/async/log.js';
import { Shutdown } from '../../../src/server/shutdown.js';

function make(onReload: () => Promise<void> = async () => {}) {
  const signals = new EventEmitter();
  const impatient: string[] = [];
  const shutdown = new Shutdown(signals, silentLog, {
    onReload,
    onImpatience: () => impatient.push('now'),
  });
  return { signals, impatient, shutdown };
}

test('the first stop signal asks for a stop, the second ends at once', async () => {
  const { signals, impatient, shutdown } = make();
  signals.emit('SIGTERM');
  expect(await shutdown.requested()).toEqual({ signal: 'SIGTERM' });
  expect(impatient).toEqual([]);
  signals.emit('SIGINT');
  expect(impatient).toEqual(['now']);
});

test('reloads run one after another, and a failing one stops nothing', async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const { signals, shutdown } = make(async () => {
    most = Math.max(most, ++running);
    await turn();
    running -= 1;
    if (++runs === 1) throw new Error('the file is gone');
  });
  signals.emit('SIGHUP');
  signals.emit('SIGHUP');
  while (runs < 2) await turn();
  expect(most).toBe(1);
  signals.emit('SIGTERM');
  expect(await shutdown.requested()).toEqual({ signal: 'SIGTERM' });
});

test('a broken invariant is a reason to stop', async () => {
  const { shutdown } = make();
  const error = new Error('the tree differs');
  shutdown.fatal(error);
  expect(await shutdown.requested()).toEqual({ fatal: error });
});

test('dispose gives the signals back', () => {
  const { signals, shutdown } = make();
  shutdown.dispose();
  expect(['SIGTERM', 'SIGINT', 'SIGHUP'].map((s) => signals.listenerCount(s))).toEqual([0, 0, 0]);
});
