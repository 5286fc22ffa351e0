import { EVENTS } from './events.js';
import { ENDED } from './clients.js';
import type { StopOutcome } from './stops.js';

/**
 * What is wrong with an outcome. Whatever happens in the middle, nothing hangs, the same command once more does it,
 * and what is done is whole; and what the client or the stack waits out needs no second command.
 */
export function faultOf({ direction, event, client, code, again, isWhole }: StopOutcome): string | undefined {
  if (code === ENDED || again?.code === ENDED) return 'it hung';
  if (again !== undefined && again.code !== 0) return 'it failed again';
  if (isWhole === false) return 'what was pushed is not whole';
  if (code !== 0 && EVENTS[event]!.goesOn?.[direction]?.includes(client)) return 'it did not go on by itself';
  return undefined;
}
