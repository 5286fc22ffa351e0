import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { ClientPrograms, type Client, type ClientName, type Session } from './clients.js';
import { startClientStack, type ClientStack } from './client-stack.js';
import { EVENTS, type StackEvent } from './events.js';
import { GatedLine } from './gated-line.js';
import { writeArchive } from './images.js';
import { ADDRESS, NAME } from './own-namespaces.js';
import { told } from './tolerance.js';

const MIB = 1024 ** 2;

const FAST = 24 * MIB;

/** Layers; parts of the registry's driver are 8 MiB, so all but the small ones meet the event within a part. */
export const SIZES: Readonly<Record<string, readonly number[]>> = {
  '1': [32 * MIB],
  '5': Array<number>(5).fill(9 * MIB),
  '60': Array<number>(60).fill(300 * 1024),
  '120': Array<number>(120).fill(120 * 1024),
  '1.5GB': Array<number>(5).fill(300 * MIB),
};

/** What is on its way in buffers of three hops has to be less than an image: a pull needs more. */
const PULLED: typeof SIZES = { ...SIZES, '1': [96 * MIB], '5': Array<number>(5).fill(24 * MIB) };
/** The part of the bytes after which it happens. */
const MIDDLE = { push: 0.5, pull: 0.15 };

export interface StopOutcome {
  readonly direction: 'push' | 'pull';
  readonly size: string;
  readonly event: string;
  readonly client: ClientName;
  /** Whether the event met it in the middle. */
  readonly wasMet: boolean;
  readonly code: number;
  readonly seconds: number;
  /** What the terminal shows of it, most telling lines. */
  readonly shown: readonly string[];
  /** The same command once more, after the event; undefined where the first went well. */
  readonly again:
    { readonly code: number; readonly seconds: number; readonly shown: readonly string[] } | undefined;
  /** What is in the registry after success: another client took it, every digest right. */
  readonly isWhole: boolean | undefined;
}

export interface StopOptions {
  readonly directory: string;
  readonly directions: readonly ('push' | 'pull')[];
  readonly sizes: readonly string[];
  readonly events: readonly string[];
  readonly clients: readonly ClientName[];
  readonly onOutcome: (outcome: StopOutcome) => void;
}

/** Every client pushes and pulls every size, all of them at the same time, while something happens behind them. */
export async function measureStops(options: StopOptions): Promise<void> {
  const stack = await startClientStack(options.directory);
  const programs = await ClientPrograms.start(
    path.join(options.directory, 'programs'),
    stack.certificateFile,
  );
  let run = 0;
  try {
    for (const size of options.sizes) {
      const pulled = `pulled/size-${size.toLowerCase()}:v1`;
      if (options.directions.includes('pull')) await seed(stack, programs, size, pulled, options.directory);
      for (const direction of options.directions)
        for (const event of options.events) {
          if (direction === 'pull' && event === 'quota-full') continue;
          run += 1;
          const outcomes = await meet({ stack, programs, direction, size, event, run, pulled, ...options });
          for (const outcome of outcomes) options.onOutcome(outcome);
        }
    }
  } finally {
    await programs.stop();
    await stack.close();
  }
}

/** The image that all pulls of a size take. */
async function seed(
  stack: ClientStack,
  programs: ClientPrograms,
  size: string,
  name: string,
  directory: string,
): Promise<void> {
  const archive = path.join(directory, 'seed.tar');
  const { skopeo } = programs.clients;
  const remote = `${stack.nginx.registry}/${name}`;
  await writeArchive(archive, PULLED[size]!, 'seed:v1');
  await skopeo.login(stack.nginx.registry, stack.user.name, stack.user.token);
  await skopeo.load(archive, 'seed:v1', remote);
  const pushed = await skopeo.push(remote);
  if (pushed.code !== 0) throw new Error(told(pushed.lines).join('\n'));
  await skopeo.forget(remote);
}

interface Run extends StopOptions {
  readonly stack: ClientStack;
  readonly programs: ClientPrograms;
  readonly direction: 'push' | 'pull';
  readonly size: string;
  readonly event: string;
  readonly run: number;
  readonly pulled: string;
}

async function meet(options: Run): Promise<StopOutcome[]> {
  const { stack, programs, direction, size, run } = options;
  const event = EVENTS[options.event]!;
  const total = (direction === 'push' ? SIZES : PULLED)[size]!.reduce((sum, one) => sum + one, 0);
  // Only what hangs is ended; five clients compress at the same time.
  const timeoutSeconds = 600 + total / (2 * MIB);
  const sides = await Promise.all(
    options.clients.map(async (name) => {
      const line = await GatedLine.start({
        address: ADDRESS,
        to: { host: ADDRESS, port: stack.nginx.ports.tls },
        direction: direction === 'push' ? 'up' : 'down',
        gateBytes: event.isFromTheStart ? Infinity : total * MIDDLE[direction],
        bytesPerSecond: Math.max(10 * MIB, total / 20),
      });
      await stack.trust(line.port);
      const host = `${NAME}:${line.port}`;
      const client = programs.clients[name];
      await client.login(host, stack.user.name, stack.user.token);
      const image = direction === 'pull' ? `${host}/${options.pulled}` : `${host}/${name}/run-${run}:v1`;
      return { line, client, image };
    }),
  );
  if (direction === 'push') for (const side of sides) await load(side.client, side.image, options);
  if (event.isFromTheStart) await event.happen(stack);
  const ended = new Set<ClientName>();
  const sessions = sides.map(async ({ client, image, line }) => {
    const session = await client[direction](image, { timeoutSeconds });
    ended.add(client.name);
    line.open();
    return session;
  });
  const met = event.isFromTheStart
    ? new Set(options.clients)
    : await inTheMiddle(sides, event, stack, ended, total);
  const first = await Promise.all(sessions);
  await event.mend?.(stack);
  const outcomes: StopOutcome[] = [];
  for (const [index, { client, image, line }] of sides.entries()) {
    const session = first[index]!;
    if (event.mend && event === EVENTS['user-token'])
      await client.login(image.split('/')[0]!, stack.user.name, stack.user.token);
    const again = session.code === 0 ? undefined : await client[direction](image, { timeoutSeconds });
    const isDone = (again ?? session).code === 0;
    const isWhole = isDone && direction === 'push' ? await takes(programs, stack, image) : undefined;
    await client.forget(image);
    await line.stop();
    outcomes.push({
      ...{ direction, size, event: options.event, client: client.name, isWhole },
      wasMet: met.has(client.name),
      ...told3(session),
      again: again && told3(again),
    });
  }
  return outcomes;
}

/** All clients stand in the middle of their transfer, then it happens, then they go on. */
async function inTheMiddle(
  sides: readonly { readonly line: GatedLine; readonly client: Client }[],
  event: StackEvent,
  stack: ClientStack,
  ended: ReadonlySet<ClientName>,
  total: number,
): Promise<Set<ClientName>> {
  const met = new Set<ClientName>();
  const all = Promise.all(
    sides.map(async ({ line, client }) => {
      await line.reached;
      if (!ended.has(client.name)) met.add(client.name);
    }),
  );
  await Promise.race([all, delay(90_000)]);
  // Fast from here on: when it happens all are sending or reading, and the next parts come while something is away.
  for (const { line } of sides) line.open(Math.max(FAST, total / 20));
  await delay(300);
  await event.happen(stack);
  return met;
}

async function load(client: Client, image: string, { directory, size, run }: Run): Promise<void> {
  const archive = path.join(directory, `${client.name}-${run}.tar`);
  await writeArchive(archive, SIZES[size]!, `run-${run}:v1`);
  await client.load(archive, `run-${run}:v1`, image);
  if (client.name !== 'skopeo') await rm(archive);
}

/** skopeo hashes all that it copies. */
async function takes(programs: ClientPrograms, stack: ClientStack, image: string): Promise<boolean> {
  const name = `${stack.nginx.registry}/${image.slice(image.indexOf('/') + 1)}`;
  const { skopeo } = programs.clients;
  await skopeo.login(stack.nginx.registry, stack.user.name, stack.user.token);
  const { code } = await skopeo.pull(name);
  await skopeo.forget(name);
  return code === 0;
}

function told3({ code, seconds, lines }: Session): { code: number; seconds: number; shown: string[] } {
  const plain = told(lines).map((text) =>
    text.replaceAll(/:\d{5}\b|\?_state=[^\s"\\]*|blobs\/uploads\/[-\w]+/g, '').slice(0, 500),
  );
  const telling = plain.filter((text) =>
    /error|fatal|fail|ctr:|retry|denied|unauthori|unexpected|unknown/i.test(text),
  );
  return {
    code,
    seconds: Math.round(seconds * 10) / 10,
    shown: (telling.length > 0 ? telling : plain).slice(-4),
  };
}
