/** A clone of a registry's bucket with git alone: what its commits show is what Gitee has, each of them. */
import * as path from 'node:path';
import { digestOfLink } from '../../src/format/registry-keys.js';
import { mustRun } from './child.js';
import type { TestImage } from './image.js';
import type { Stack } from './stack.js';

const ROOT = 'docker/registry/v2';

/** A tag as one commit has it. */
export interface TagAt {
  readonly name: string;
  readonly digest: string;
  /** Keys that its image needs and this commit lacks. */
  readonly missing: readonly string[];
}

export class BareClone {
  private constructor(readonly directory: string) {}

  /** @param name of its directory: each clone of a test has its own */
  static async of(stack: Stack, name = 'clone.git'): Promise<BareClone> {
    const directory = path.join(stack.directory, name);
    const url = new URL(`${stack.gitee.url}/acme/images.git`);
    url.username = 'oauth2';
    url.password = stack.gitee.token;
    const env = { ...process.env, GIT_TERMINAL_PROMPT: '0', HOME: stack.directory };
    await mustRun('git', ['clone', '-q', '--bare', url.href, directory], { env });
    return new BareClone(directory);
  }

  /** Oldest first. */
  async commits(): Promise<string[]> {
    return (await this.#git('rev-list', '--reverse', 'refs/heads/master')).trim().split('\n');
  }

  /** @param images all that the tags may name */
  async tagsAt(commit: string, images: readonly TestImage[]): Promise<TagAt[]> {
    const listing = await this.#git('ls-tree', '-r', '-z', '--name-only', commit);
    const paths = new Set(listing.split('\0'));
    // A big object is a directory of chunks.
    const isThere = (key: string) => paths.has(key) || paths.has(`${key}%chunks/000000`);
    const tags: TagAt[] = [];
    for (const file of paths) {
      const [, repository, tag] = /^(.*)\/_manifests\/tags\/([^/]+)\/current\/link$/.exec(file) ?? [];
      if (repository === undefined) continue;
      const hex = digestOfLink(Buffer.from(await this.#text(commit, file)))!;
      const blobs = images.find(({ manifestDigest }) => manifestDigest === `sha256:${hex}`)!.blobDigests;
      const needed = [
        `${repository}/_manifests/revisions/sha256/${hex}/link`,
        blob(hex),
        ...blobs.flatMap((digest) => [
          blob(hexOf(digest)),
          `${repository}/_layers/sha256/${hexOf(digest)}/link`,
        ]),
      ];
      // One chunk: its pointer names the manifest's own digest.
      if (isThere(blob(hex))) expect(await this.#text(commit, blob(hex))).toContain(`oid sha256:${hex}`);
      const name = `${repository.slice(`${ROOT}/repositories/`.length)}:${tag}`;
      tags.push({ name, digest: `sha256:${hex}`, missing: needed.filter((key) => !isThere(key)) });
    }
    return tags;
  }

  async #git(...args: string[]): Promise<string> {
    return (await mustRun('git', ['-C', this.directory, ...args])).stdout;
  }

  async #text(commit: string, file: string): Promise<string> {
    return this.#git('cat-file', 'blob', `${commit}:${file}`);
  }
}

const blob = (hex: string): string => `${ROOT}/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
const hexOf = (digest: string): string => digest.slice('sha256:'.length);
