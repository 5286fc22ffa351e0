/**
 * Invariant 7 (this file's share). The Gitee token goes to Gitee's own origin only: a link elsewhere gets the
 * header map of the batch answer and nothing else.
 */
import type { Clock } from '../../async/clock.js';
import { RemoteError } from '../errors.js';
import type { BatchAction } from './batch-schema.js';

/** A server without a word about expiry is believed for so long. */
const DEFAULT_LIFE_MS = 5 * 60_000;
/** A link about to expire would do so on its way. */
const MARGIN_MS = 10_000;

type TwoReadings = Pick<Clock, 'nowMs' | 'steadyMs'>;

/** Where one transfer goes, and with which headers. */
export interface Link {
  readonly url: URL;
  /** To be sent exactly as it is. Lower-case names: the same name in another case would be sent twice. */
  readonly header: Readonly<Record<string, string>>;
  /** Steady milliseconds of the clock. */
  readonly expiresAtMs: number;
}

/**
 * Reads an action of a batch answer. A relative href is taken from the endpoint.
 * @throws RemoteError `refused` for anything but http(s), and for http where Gitee itself is asked by https:
 * images would cross the network in clear
 */
export function toLink(action: BatchAction, endpointUrl: string, clock: TwoReadings): Link {
  const endpoint = new URL(endpointUrl);
  const base = `${endpointUrl}/`;
  if (!URL.canParse(action.href, base))
    throw new RemoteError('server-fault', 'an LFS link of the batch answer cannot be read');
  const url = new URL(action.href, base);
  if (!/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw new RemoteError('refused', `an LFS link is not plain http(s) but ${url.protocol}//${url.host}`);
  if (endpoint.protocol === 'https:' && url.protocol === 'http:')
    throw new RemoteError(
      'refused',
      `Gitee is asked by https, but an LFS link goes to http://${url.host}: nothing was sent there`,
    );
  const header: Record<string, string> = {};
  for (const [name, value] of Object.entries(action.header ?? {})) header[name.toLowerCase()] = value;
  return { url, header, expiresAtMs: expiryOf(action, clock) };
}

/** batch.md: expires_in (seconds) wins over expires_at. Zero of either kind is how Gitea says "never". */
function expiryOf(action: BatchAction, clock: TwoReadings): number {
  const { expires_in: inSeconds, expires_at: at } = action;
  if (typeof inSeconds === 'number' && inSeconds !== 0) return clock.steadyMs() + inSeconds * 1000;
  const atMs = at ? Date.parse(at) : Number.NaN;
  if (Number.isNaN(atMs) || atMs <= 0) return clock.steadyMs() + DEFAULT_LIFE_MS;
  return clock.steadyMs() + (atMs - clock.nowMs());
}

/** True where the link should be asked for anew before it is used. */
export function isExpired(link: Link, steadyMs: number): boolean {
  return link.expiresAtMs - MARGIN_MS <= steadyMs;
}

/** The headers for a link: its own map, and our login only where it leads to the endpoint's own origin. */
export function linkHeaders(
  link: Link,
  endpointUrl: string,
  authorization: () => string,
): Record<string, string> {
  const own = link.url.origin === new URL(endpointUrl).origin && !('authorization' in link.header);
  return { ...(own ? { authorization: authorization() } : {}), ...link.header };
}
