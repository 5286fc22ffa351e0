/** Takes the lease of the directory that it is given, says so, and holds it until it is ended. */
import { systemClock } from '../../src/async/clock.js';
import { FileLease } from '../../src/journal/state-lock.js';

await new FileLease(process.argv[2]!, systemClock).acquire();
process.stdout.write('held\n');
// The heartbeat keeps the process alive.
