/** Pushes and pulls of images in a history: a tag is a key, and what stands there is the digest of its manifest. */
import { rm } from 'node:fs/promises';
import * as path from 'node:path';
import { pull, push, type TestImage } from '../image.js';
import { ABSENT, type History, type Outcome, type View } from './history.js';

/**
 * Pushes an image. With the preset `registry` a push that succeeds is on Gitee; one that fails says nothing (the
 * registry makes a 500 of most errors), but is over.
 */
export function recordPush(
  history: History,
  registry: string,
  name: string,
  image: TestImage,
): Promise<Outcome> {
  return history.write(name, image.manifestDigest, 'remote', async () =>
    (await push(image, registry, name)).code === 0 ? 'ok' : 'put off',
  );
}

/** Pulls whole images, and says the digests of their manifests. */
export function throughRegistry(registry: string, directory: string): View {
  let n = 0;
  return async (name) => {
    const to = path.join(directory, `view-${process.pid}-${(n += 1)}`);
    try {
      return await pull(registry, name, to);
    } catch (error) {
      if (/manifest unknown|name unknown|repository name not known/i.test((error as Error).message))
        return ABSENT;
      throw error;
    } finally {
      await rm(to, { recursive: true, force: true });
    }
  };
}
