/**
 * A bucket whose every change goes into a history, so that nothing but the history's judge says whether it kept what it
 * acknowledged: here, and for somebody who has only Gitee.
 */
import { parsePointer } from '../../../src/format/lfs-pointer.js';
import { until } from '../../support/child.js';
import { ABSENT, valueOf, type Concern, type History, type View } from '../../support/history/history.js';
import { bytesOf, JournalBucket, type HarnessOptions } from '../../support/journal-bucket.js';
import { openImages, tagPath } from '../../support/journal-images.js';

export class Judged {
  /** By oid; objects here have one chunk at most. */
  readonly #texts = new Map<string, string>();

  constructor(
    readonly b: JournalBucket,
    private readonly history: History,
  ) {}

  /** Started; `ends` removes it. */
  static async open(
    history: History,
    ends: (() => Promise<unknown>)[],
    options: HarnessOptions = {},
    repository?: JournalBucket['repository'],
  ): Promise<Judged> {
    const b = await JournalBucket.open(options, repository);
    ends.push(() => b.remove());
    await b.start();
    return new Judged(b, history);
  }

  /** Everything that waits is on Gitee, or was set aside. */
  settled(): Promise<void> {
    return until('nothing waits', () => {
      this.b.bucket.committer.flush();
      return this.b.state.status().pendingChanges === 0;
    });
  }

  /** Acknowledged once it is durable here; the number of the change. */
  async put(name: string, text: string): Promise<number> {
    const call = this.history.begin(name, this.#valueOf(text), 'local');
    const seq = await this.b.put(name, text);
    call.ended('ok');
    return seq;
  }

  /** Acknowledged once it is on the branch. */
  async putLanded(name: string, text: string): Promise<void> {
    const call = this.history.begin(name, this.#valueOf(text), 'remote');
    await this.b.landed(await this.b.put(name, text));
    call.ended('ok');
  }

  async deleteLanded(name: string): Promise<void> {
    const call = this.history.begin(name, ABSENT, 'remote');
    await this.b.landed(await this.b.delete(name));
    call.ended('ok');
  }

  /** What the judge finds of what is here. */
  problemsHere(): Promise<string[]> {
    return this.history.problems(async (name) => {
      const text = await this.b.read(name);
      return text === undefined ? ABSENT : valueOf(text);
    });
  }

  /** What it finds of a clone with git-lfs. @param concern local: everything that was acknowledged has landed */
  problemsOnGitee(concern: Concern): Promise<string[]> {
    return this.history.problems(async (name) => {
      const tree = this.b.tree();
      const file = tree.get(name) ?? tree.get(`${name}%chunks/000000`);
      if (file === undefined) return ABSENT;
      const chunk = parsePointer(bytesOf(file));
      if (!chunk) return valueOf(file);
      if (!this.b.chunks.remote.has(chunk.oid)) throw new Error(`Gitee has no LFS object ${chunk.oid}`);
      return valueOf(this.#texts.get(chunk.oid)!);
    }, concern);
  }

  #valueOf(text: string): string {
    for (const { oid } of this.b.chunks.cut(bytesOf(text))) this.#texts.set(oid, text);
    return valueOf(text);
  }
}

/** Images by `name:tag`, as a registry shows them that has only Gitee: whole, or not to be pulled. */
export function imagesOnGitee(b: JournalBucket): View {
  return async (name) => {
    const [repository, tag] = name.split(':') as [string, string];
    const link = b.tree().get(tagPath(repository, tag));
    if (link === undefined) return ABSENT;
    const lacks = openImages(b);
    for (const [path, file] of b.tree()) {
      const chunk = parsePointer(bytesOf(file));
      if (chunk && !b.chunks.remote.has(chunk.oid)) lacks.push(`Gitee has no LFS object of ${path}`);
    }
    if (lacks.length > 0) throw new Error(`the image can't be pulled: ${lacks.join(', ')}`);
    return link;
  };
}
