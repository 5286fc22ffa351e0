import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { startStack } from '../test/support/stack.js';
import { pushBlob } from './blob.js';
import { RssSampler } from './rss.js';

/** Many clients pull the same large layer, first cold, then warm, through the gateway's presigned links. */
export async function pulls(clients: number, layerMiB: number): Promise<void> {
  const stack = await startStack();
  try {
    const registry = await stack.startRegistry({ redirect: true });
    const digest = await pushBlob(registry.address, 'bench/pulls', layerMiB * 1024 ** 2);
    // A tag is what makes the registry's push wait; here the commit is asked for by a graceful stop.
    await stack.gateway.stop();
    await rm(path.join(stack.gateway.stateDirectory, 'chunks'), { recursive: true });
    await stack.gateway.start();
    for (const round of ['cold', 'warm']) {
      const sampler = new RssSampler(stack.gateway.child!.pid);
      const startedMs = Date.now();
      await Promise.all(
        Array.from({ length: clients }, async () => {
          const answer = await fetch(`http://${registry.address}/v2/bench/pulls/blobs/${digest}`);
          let received = 0;
          for await (const piece of answer.body!) received += (piece as Uint8Array).length;
          if (received !== layerMiB * 1024 ** 2) throw new Error(`pulled ${received} bytes`);
        }),
      );
      const seconds = (Date.now() - startedMs) / 1000;
      console.log(
        JSON.stringify({
          scenario: 'pulls',
          round,
          clients,
          layerMiB,
          maxRssAnonMiB: sampler.stop(),
          limitMiB: 300,
          mibPerSecond: Math.round((clients * layerMiB) / seconds),
        }),
      );
    }
  } finally {
    await stack.close();
  }
}
