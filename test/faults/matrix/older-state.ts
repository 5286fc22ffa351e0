/**
 * A state directory as somebody restores it: a copy that was made while changes waited, put back when these have landed
 * and others have come after them. What has landed must stay as it is, and nothing of the copy may undo it.
 */
import { cp, lstat, readdir, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { ABSENT, outcomeOf, valueOf, type History } from '../../support/history/history.js';
import { encodePath } from '../../support/s3-client.js';
import { bytesOf, type S3Bucket } from '../../support/s3-bucket.js';

const LARGE_BYTES = 70_000;
let copies = 0;

export interface OlderStateDeps {
  readonly bucket: S3Bucket;
  readonly history: History;
  /** Everything of all buckets is on Gitee. */
  readonly landed: () => Promise<void>;
  readonly serverEnded: () => void;
}

export async function withOlderState(deps: OlderStateDeps, run: () => Promise<unknown>): Promise<void> {
  const { bucket, history, landed, serverEnded } = deps;
  const { directory, gateway, gitee } = bucket.stack;
  copies += 1;
  const prefix = `here/restored ${copies}`;
  const copy = path.join(directory, `copy-of-state-${copies}`);
  const write = async (key: string, body: Buffer | undefined) => {
    const request = { method: body ? 'PUT' : 'DELETE', path: `/files/${encodePath(key)}` };
    await history.write(key, body ? valueOf(body) : ABSENT, 'local', async () =>
      outcomeOf((await bucket.wire.send({ ...request, ...(body ? { body } : {}) })).status),
    );
  };
  const keys = ['changed', 'changed in LFS', 'deleted', 'kept'].map((name) => `${prefix}/${name}`);
  // They wait in the copy.
  await gitee.fault('git-refuse-push', { match: { repo: 'acme/files' } });
  for (const key of keys) await write(key, bytesOf(LARGE_BYTES, `old ${key}`));
  await gateway.kill();
  serverEnded();
  const filter = async (file: string) => !(await lstat(file)).isSocket();
  await cp(gateway.stateDirectory, copy, { recursive: true, filter });
  await gateway.start();
  await gitee.clearFaults();
  await landed();
  await write(keys[0]!, Buffer.from('new'));
  await write(keys[1]!, bytesOf(LARGE_BYTES, `new ${prefix}`));
  await write(keys[2]!, undefined);
  await run();
  await landed();
  await gateway.kill();
  serverEnded();
  for (const name of await readdir(gateway.stateDirectory))
    await rm(path.join(gateway.stateDirectory, name), { recursive: true });
  await cp(copy, gateway.stateDirectory, { recursive: true });
  await rm(copy, { recursive: true });
  await gateway.start();
}
