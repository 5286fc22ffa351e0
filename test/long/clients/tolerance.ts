import { cp, mkdir } from 'node:fs/promises';
import * as path from 'node:path';
import { makeCertificate } from '../../support/nginx.js';
import { CLIENTS, ClientPrograms, type Client, type ClientName, type Session } from './clients.js';
import { FakeRegistry } from './fake-registry.js';
import type { Attempt, Fault, Place } from './faults.js';
import { makeClientImage, writeArchive } from './images.js';
import { NAME } from './own-namespaces.js';

const MIB = 1024 ** 2;

interface Scenario {
  readonly client: ClientName;
  readonly place: Place;
  /** As `503 after 3 s`. */
  readonly fault: string;
}

export interface Outcome extends Scenario {
  readonly code: number;
  readonly seconds: number;
  readonly protocol: string;
  /** Requests for one and the same thing. */
  readonly tries: number;
  readonly gapsSeconds: readonly number[];
  /** How long the first request was left waiting, and who ended it. */
  readonly waitedSeconds: number;
  readonly endedBy: string;
  readonly bodyMiB: readonly number[];
  /** The last lines of the terminal. */
  readonly shown: readonly string[];
  readonly requests: Readonly<Record<string, number>>;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  hold: { kind: 'hold' },
  still: { kind: 'still' },
  trickle: { kind: 'trickle', bytesPerSecond: 16 * 1024 },
  '400': { kind: 'status', status: 400 },
  '403': { kind: 'status', status: 403 },
  '409': { kind: 'status', status: 409 },
  '429': { kind: 'status', status: 429 },
  '500': { kind: 'status', status: 500 },
  '502': { kind: 'status', status: 502 },
  '503': { kind: 'status', status: 503 },
  '504': { kind: 'status', status: 504 },
  '507': { kind: 'status', status: 507 },
  '503, Retry-After 7': { kind: 'status', status: 503, retryAfterSeconds: 7 },
  '429, Retry-After 7': { kind: 'status', status: 429, retryAfterSeconds: 7 },
  reset: { kind: 'reset' },
};

const WAITS = ['hold', 'still', 'trickle'];

/** What has a meaning at each place. */
const WHERE: Readonly<Record<Place, readonly string[]>> = {
  start: ['hold', ...Object.keys(FAULTS).filter((name) => /^\d|reset/.test(name))],
  layer: [
    'hold',
    'still',
    'trickle',
    '403',
    '429',
    '500',
    '502',
    '503',
    '503, Retry-After 7',
    '429, Retry-After 7',
    'reset',
  ],
  finish: ['hold', '403', '429', '500', '502', '503', '503, Retry-After 7', '429, Retry-After 7', 'reset'],
  tag: ['hold', ...Object.keys(FAULTS).filter((name) => /^\d|reset/.test(name))],
  manifest: ['hold', '403', '429', '500', '502', '503', '503, Retry-After 7', '429, Retry-After 7', 'reset'],
  blob: [
    'hold',
    'still',
    '403',
    '429',
    '500',
    '502',
    '503',
    '503, Retry-After 7',
    '429, Retry-After 7',
    'reset',
  ],
};

export interface ToleranceOptions {
  readonly directory: string;
  readonly limitSeconds: number;
  readonly atOnce: number;
  readonly only: RegExp | undefined;
  readonly onOutcome: (outcome: Outcome) => void;
}

/** Each client meets each fault at each place, in a registry that is only there for that. */
export async function measureTolerance(options: ToleranceOptions): Promise<Record<ClientName, string>> {
  const { directory } = options;
  const tls = path.join(directory, 'tls');
  await mkdir(tls, { recursive: true });
  await makeCertificate(tls, 'registry', [`DNS:${NAME}`]);
  const certificate = path.join(tls, 'registry.crt');
  const registry = await FakeRegistry.start('198.51.100.1', certificate, path.join(tls, 'registry.key'));
  const host = `${NAME}:${registry.port}`;
  await mkdir(`/etc/docker/certs.d/${host}`, { recursive: true });
  await cp(certificate, `/etc/docker/certs.d/${host}/ca.crt`);
  const programs = await ClientPrograms.start(path.join(directory, 'programs'), certificate, 50);
  try {
    const queue = scenarios().filter(
      ({ client, place, fault }) => options.only?.test(`${client} ${place} ${fault}`) ?? true,
    );
    let number = 0;
    const worker = async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        number += 1;
        const outcome = await measure(
          next,
          `n${number}`,
          programs.clients[next.client],
          registry,
          host,
          options,
        );
        options.onOutcome(outcome);
      }
    };
    await Promise.all(Array.from({ length: options.atOnce }, worker));
    return Object.fromEntries(CLIENTS.map((name) => [name, programs.clients[name].version])) as Record<
      ClientName,
      string
    >;
  } finally {
    await programs.stop();
    await registry.stop();
  }
}

/** The long ones first. */
function scenarios(): Scenario[] {
  const all = CLIENTS.flatMap((client) =>
    (Object.keys(WHERE) as Place[]).flatMap((place) =>
      WHERE[place].map((fault) => ({ client, place, fault })),
    ),
  );
  const waits = ({ fault }: Scenario) => WAITS.includes(fault);
  return [...all.filter(waits), ...all.filter((one) => !waits(one))];
}

async function measure(
  scenario: Scenario,
  id: string,
  client: Client,
  registry: FakeRegistry,
  host: string,
  { directory, limitSeconds }: ToleranceOptions,
): Promise<Outcome> {
  const { place, fault } = scenario;
  const repository = `${client.name}/${place}/${id}`;
  const name = `${host}/${repository}:v1`;
  const isPull = place === 'manifest' || place === 'blob';
  const image = isPull ? makeClientImage([4 * MIB]) : undefined;
  const times = WAITS.includes(fault) ? 1 : Infinity;
  registry.plan(repository, {
    place,
    fault: FAULTS[fault]!,
    limitSeconds,
    times,
    ...(image ? { image } : {}),
  });
  let shown: Session;
  if (isPull) {
    shown = await client.pull(name, { timeoutSeconds: 1200 });
  } else {
    const archive = path.join(directory, 'archives', `${id}.tar`);
    const isLarge = fault === 'still' || fault === 'trickle';
    await writeArchive(archive, [(isLarge ? 24 : 2) * MIB], `${id}:v1`);
    await client.load(archive, `${id}:v1`, name);
    shown = await client.push(name, { timeoutSeconds: 1200 });
  }
  await client.forget(name);
  return {
    ...scenario,
    ...summary(registry.attempts(repository), registry.requests(repository)),
    ...terminal(shown),
  };
}

function terminal({ code, seconds, lines }: Session): Pick<Outcome, 'code' | 'seconds' | 'shown'> {
  return { code, seconds: round(seconds), shown: told(lines).slice(-8) };
}

/** Without bars that are drawn again and again. */
export function told(lines: Session['lines']): string[] {
  const plain = lines.map(({ text }) => text.replaceAll(/\u001b\[[\d;]*m/g, '').trim());
  return plain.filter((text) => !/\|[-+ ]*\||^elapsed: |: Retrying in [2-9]\d* seconds|: resolv/.test(text));
}

function summary(
  attempts: readonly Attempt[],
  requests: readonly string[],
): Omit<Outcome, keyof Scenario | 'code' | 'seconds' | 'shown'> {
  const [same = []] = grouped(attempts, ({ digest }) => digest)
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([, list]) => list);
  const first = same[0];
  return {
    protocol: first?.protocol ?? '',
    tries: same.length,
    gapsSeconds: same
      .slice(1)
      .map(({ beganMs }, index) => round((beganMs - (same[index]!.endedMs ?? beganMs)) / 1000)),
    waitedSeconds: round(((first?.endedMs ?? 0) - (first?.beganMs ?? 0)) / 1000),
    endedBy: first?.outcome ?? 'nobody',
    bodyMiB: same.map(({ bodyBytes }) => round(bodyBytes / MIB)),
    requests: Object.fromEntries(grouped(requests, (one) => one).map(([key, list]) => [key, list.length])),
  };
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function grouped<K, V>(values: readonly V[], keyOf: (value: V) => K): [K, V[]][] {
  const groups = new Map<K, V[]>();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return [...groups];
}
