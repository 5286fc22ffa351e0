/**
 * The client's host of the lines bench: a line of JSON on standard input is a call, a line on standard output its
 * answer. Ends with standard input. Started inside the client's namespace.
 */
import { createInterface } from 'node:readline';
import { RegistryClient, type RegistryLogin } from './registry-client.js';
import { digestOf, type BlobSpec } from './random-bytes.js';

export type ClientCall =
  /** Works out the digests of layers before a clock starts. */
  | { op: 'prepare'; layers: readonly BlobSpec[] }
  | { op: 'push'; repository: string; tag: string; layers: readonly BlobSpec[] }
  | { op: 'pull'; repository: string; tag: string }
  | { op: 'probe'; path: string }
  | { op: 'delete'; repository: string; tag: string };

export interface ClientAnswer {
  readonly id: number;
  readonly seconds: number;
  readonly error?: string;
  readonly result?: Record<string, number>;
}

const login = JSON.parse(process.env['LINES_LOGIN']!) as RegistryLogin;

async function carryOut(call: ClientCall): Promise<object> {
  if (call.op === 'prepare') {
    for (const layer of call.layers) digestOf(layer);
    return {};
  }
  // A client for each: images that are pushed at once are pushed by different machines.
  const client = new RegistryClient(login);
  try {
    if (call.op === 'push') return await client.push(call.repository, call.tag, call.layers);
    if (call.op === 'pull') return await client.pull(call.repository, call.tag);
    if (call.op === 'probe') return await client.probe(call.path);
    await client.delete(call.repository, call.tag);
    return {};
  } finally {
    client.close();
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { id, call } = JSON.parse(line) as { id: number; call: ClientCall };
  const started = performance.now();
  const answer = (rest: object) => {
    const seconds = (performance.now() - started) / 1000;
    process.stdout.write(`${JSON.stringify({ id, seconds, ...rest })}\n`);
  };
  carryOut(call).then(
    (result) => answer({ result }),
    (error: unknown) => answer({ error: error instanceof Error ? error.message : String(error) }),
  );
});
lines.on('close', () => process.exit(0));
