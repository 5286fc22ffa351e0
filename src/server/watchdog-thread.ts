/** The thread of the watchdog; see watchdog.ts. */
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { BEAT, TICKS_LEFT, type WatchdogThreadData } from './watchdog.js';

const { shared, tickMs, frozenTicks } = workerData as WatchdogThreadData;
const words = new Int32Array(shared);
let seen = Atomics.load(words, BEAT);
let silentTicks = 0;

setInterval(() => {
  const beat = Atomics.load(words, BEAT);
  silentTicks = beat === seen ? silentTicks + 1 : 0;
  seen = beat;
  if (silentTicks >= frozenTicks)
    end('the process is frozen: ending it, a restart recovers', { seconds: (silentTicks * tickMs) / 1000 });
  const left = Atomics.load(words, TICKS_LEFT);
  if (left === 1) end('the process did not come to its end: ending it, a restart recovers', {});
  if (left > 1) Atomics.store(words, TICKS_LEFT, left - 1);
}, tickMs);

/** Past the log of the process, which waits for its event loop. */
function end(message: string, fields: Record<string, unknown>): void {
  const line = JSON.stringify({ time: new Date().toISOString(), level: 'error', message, ...fields });
  try {
    writeSync(2, `${line}\n`);
  } finally {
    process.kill(process.pid, 'SIGKILL');
  }
}
