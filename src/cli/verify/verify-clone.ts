/**
 * Attacks invariant 4 from outside: "What a `git clone` shows is always a complete, consistent bucket, and the
 * stock registry serves it without us". Reads the clone's HEAD only: needs no gateway, no Gitee, no state.
 */
import type { Chunk } from '../../format/extent.js';
import type { TreePath } from '../../format/ids.js';
import { POINTER_BYTES_MAX, looksLikePointer, parsePointer } from '../../format/lfs-pointer.js';
import { classifyPath } from '../../format/tree-layout.js';
import { CloneReader, type CloneFile } from './clone-reader.js';
import { RegistryLinks } from './registry-links.js';
import { entryProblem, KeyForms, printable } from './tree-entries.js';

export interface CloneReport {
  readonly directory: string;
  readonly buckets: readonly BucketReport[];
}

export interface BucketReport {
  /** '' or the path_prefix inside the clone. */
  readonly prefix: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly problems: readonly string[];
}

const FORMAT_FILE = '.gateway/format.json';
const BATCH_FILES = 2000;

/** Rejects where the directory is no clone, or holds no bucket. */
export async function verifyClone(directory: string): Promise<CloneReport> {
  const clone = await CloneReader.open(directory);
  const prefixes: string[] = [];
  for await (const { path, kind } of clone.files()) {
    if (kind !== 'file') continue;
    if (path === FORMAT_FILE || path.endsWith(`/${FORMAT_FILE}`))
      prefixes.push(path.slice(0, -FORMAT_FILE.length));
  }
  if (prefixes.length === 0) throw new Error(`${directory} holds no bucket: there is no ${FORMAT_FILE}`);
  const buckets: BucketReport[] = [];
  for (const prefix of prefixes) buckets.push(await new BucketVerifier(clone, prefix).verify());
  return { directory: clone.directory, buckets };
}

/** Verifies one bucket of a clone; use it once. */
class BucketVerifier {
  readonly #problems: string[] = [];
  readonly #links = new RegistryLinks();
  readonly #forms = new KeyForms();
  /** Chunks of `<key>%chunks/` by key, to be compared and joined. */
  readonly #chunked = new Map<string, Chunk[]>();
  /** By oid and size: one oid may be named with a size that is not its own. */
  readonly #verified = new Map<string, string | undefined>();
  #files = 0;
  #pointers = 0;
  #bytes = 0;

  constructor(
    private readonly clone: CloneReader,
    private readonly prefix: string,
  ) {}

  async verify(): Promise<BucketReport> {
    let batch: CloneFile[] = [];
    for await (const file of this.clone.files()) {
      if (!file.path.startsWith(this.prefix)) continue;
      this.#files += 1;
      batch.push(file);
      if (batch.length < BATCH_FILES) continue;
      await this.#batch(batch);
      batch = [];
    }
    await this.#batch(batch);
    for (const [key, chunks] of this.#chunked) await this.#joined(key, chunks);
    const links = await this.#links.check(this.clone);
    return {
      prefix: this.prefix,
      figures: {
        files: this.#files,
        pointers: this.#pointers,
        lfs_objects: this.#verified.size,
        lfs_bytes: this.#bytes,
        ...links.figures,
      },
      problems: [...this.#problems, ...links.problems].map(printable),
    };
  }

  async #batch(files: readonly CloneFile[]): Promise<void> {
    const small = files.filter((file) => file.kind === 'file' && file.sizeBytes <= POINTER_BYTES_MAX);
    const contents = await this.clone.contents(small.map((file) => file.blobId));
    const content = new Map(small.map((file, i) => [file.path, contents[i]!]));
    for (const file of files) await this.#file(file, content.get(file.path));
  }

  async #file(file: CloneFile, bytes: Buffer | undefined): Promise<void> {
    const path = file.path.slice(this.prefix.length);
    const place = classifyPath(path as TreePath);
    const odd = entryProblem(file, path, place);
    if (odd !== undefined) this.#problem(file.path, odd);
    if (odd !== undefined || place.kind === 'gateway' || place.kind === 'foreign') return;
    if (place.kind === 'meta') return;
    const twice = this.#forms.problem(place);
    if (twice !== undefined) {
      this.#problem(file.path, twice);
      return;
    }
    const chunk = bytes && parsePointer(bytes);
    if (!chunk) {
      if (bytes && looksLikePointer(bytes)) this.#problem(file.path, 'is an LFS pointer that names no chunk');
      if (place.kind === 'chunk')
        this.#problem(file.path, 'is no LFS pointer, but stands where only chunks may');
      else this.#links.plain(place.key, file, bytes);
      return;
    }
    this.#pointers += 1;
    const problem = await this.#lfs(chunk);
    if (problem !== undefined) this.#problem(file.path, problem);
    if (place.kind !== 'chunk') {
      this.#links.lfs(place.key, [chunk], chunk.oid);
      return;
    }
    const chunks = this.#chunked.get(place.key) ?? [];
    if (chunks.length !== place.index) this.#problem(file.path, `stands where chunk ${chunks.length} is due`);
    chunks.push(chunk);
    this.#chunked.set(place.key, chunks);
  }

  /** The digest of several chunks matters to registry blobs only: others are named by no hash. */
  async #joined(key: string, chunks: readonly Chunk[]): Promise<void> {
    const whole = chunks.every((chunk) => this.#verified.get(nameOf(chunk)) === undefined);
    const hash =
      whole && RegistryLinks.isBlob(key) ? await this.clone.sha256Of(chunks.map((c) => c.oid)) : undefined;
    this.#links.lfs(key, chunks, hash);
  }

  async #lfs(chunk: Chunk): Promise<string | undefined> {
    if (!this.#verified.has(nameOf(chunk))) {
      this.#verified.set(nameOf(chunk), await this.clone.lfsProblem(chunk));
      this.#bytes += chunk.sizeBytes;
    }
    return this.#verified.get(nameOf(chunk));
  }

  #problem(path: string, text: string): void {
    this.#problems.push(`${path} ${text}`);
  }
}

function nameOf(chunk: Chunk): string {
  return `${chunk.oid} ${chunk.sizeBytes}`;
}
