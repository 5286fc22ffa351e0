/**
 * What a client may have signed of the headers that proxies drop or change on their way: RFC 9110 §7.6.1 makes
 * proxies remove hop-by-hop fields, and Nginx, HAProxy and Apache answer `Expect`, set `Connection`, and may take
 * away or rewrite `Accept-Encoding`. aws-sdk-go v1 (in Docker's registry) signs `Expect: 100-Continue` when it
 * repeats a part of 2 MiB or more: behind Nginx every such repetition would be refused.
 *
 * The list is closed: headers that change nothing of what the gateway does, with the values that signers are known
 * to give them. A signature still has to match one of these readings exactly, so nobody can sign less than before;
 * and who can add such a header on the way gains nothing, since nothing is done by it.
 */
import type { RequestHeaders } from '../headers.js';

/** The most readings of one request that are tried. Each costs two SHA-256 of some hundred bytes. */
export const READINGS_MAX = 64;

interface ProxiedHeader {
  /** `dropped`: other values are tried only where it did not arrive; `changed`: also where it did. */
  readonly fate: 'dropped' | 'changed';
  readonly values: (received: string | undefined, headers: RequestHeaders) => readonly string[];
}

/** Those that real clients sign come first: they are tried first. */
const PROXIED: ReadonlyMap<string, ProxiedHeader> = new Map<string, ProxiedHeader>([
  // botocore and others write it small, aws-sdk-go v1 with a capital.
  ['expect', { fate: 'dropped', values: () => ['100-Continue', '100-continue'] }],
  ['connection', { fate: 'changed', values: () => ['keep-alive', 'Keep-Alive', 'close'] }],
  // aws-sdk-go-v2 signs `identity`, rclone can make it `gzip`; both are often cleared or rewritten.
  ['accept-encoding', { fate: 'changed', values: () => ['identity', 'gzip'] }],
  ['te', { fate: 'dropped', values: () => ['trailers'] }],
  // A proxy that buffers the body sends it with a length.
  ['transfer-encoding', { fate: 'dropped', values: () => ['chunked'] }],
  // RFC 9110 §8.6: no body needs no length, and HTTP/2 and some proxies then leave the zero out.
  [
    'content-length',
    { fate: 'dropped', values: (_received, headers) => (headers.has('transfer-encoding') ? [] : ['0']) },
  ],
  // RFC 9110 §4.2.3: the default port may be said or not; both name the same host.
  ['host', { fate: 'changed', values: (received) => otherHosts(received ?? '') }],
]);

/** The same host with or without a default port; none where it has another port. */
function otherHosts(host: string): string[] {
  const m = /^([^:[]+|\[[^\]]*\])(:\d+)?$/.exec(host);
  if (!m) return [];
  const [, name, port] = m;
  if (port === undefined) return [`${name}:443`, `${name}:80`];
  return port === ':443' || port === ':80' ? [name!] : [];
}

/**
 * Every set of values that stands for the headers that were received, as overrides of them; the first is empty:
 * what was received. At most READINGS_MAX, whatever the client lists.
 */
export function* headerReadings(
  signedHeaders: readonly string[],
  headers: RequestHeaders,
): Generator<ReadonlyMap<string, string>, void, undefined> {
  const choices: { name: string; values: readonly string[] }[] = [];
  for (const [name, rule] of PROXIED) {
    if (!signedHeaders.includes(name)) continue;
    const received = headers.raw(name);
    if (received !== undefined && rule.fate === 'dropped') continue;
    const values = rule.values(received, headers).filter((value) => value !== received);
    if (values.length > 0) choices.push({ name, values });
  }
  // A number whose digits are the choices, 0 being what was received.
  const total = choices.reduce((product, { values }) => product * (values.length + 1), 1);
  for (let n = 0; n < Math.min(total, READINGS_MAX); n++) {
    const overrides = new Map<string, string>();
    let rest = n;
    for (const { name, values } of choices) {
      const digit = rest % (values.length + 1);
      rest = Math.floor(rest / (values.length + 1));
      if (digit > 0) overrides.set(name, values[digit - 1]!);
    }
    yield overrides;
  }
}
