import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { link, mkdir, readdir, rm, stat } from 'node:fs/promises';
import * as path from 'node:path';
import type { Readable } from 'node:stream';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Usage {
  objects: number;
  bytes: number;
}

export type PutResult = 'stored' | 'wrong-hash' | 'wrong-size';

/**
 * LFS objects as files: `<dataDir>/lfs/<project id>/<oid 0-2>/<oid 2-4>/<oid>`, one store a project. A file
 * under its name is whole and hashes to it: it is written aside, checked, synced and linked into place.
 */
export class ObjectFiles {
  readonly #root: string;
  readonly #temporary: string;
  readonly #usage = new Map<number, Usage>();

  constructor(dataDir: string) {
    this.#root = path.join(dataDir, 'lfs');
    this.#temporary = path.join(dataDir, 'lfs-incoming');
  }

  /** Counts what is there, and removes what a killed process left half written. */
  async prepare(): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
    await mkdir(this.#temporary, { recursive: true });
    await mkdir(this.#root, { recursive: true });
    for (const project of await readdir(this.#root)) {
      const usage = this.usage(Number(project));
      for (const entry of await readdir(path.join(this.#root, project), { recursive: true })) {
        if (path.basename(entry).length !== 64) continue;
        usage.objects++;
        usage.bytes += (await stat(path.join(this.#root, project, entry))).size;
      }
    }
  }

  usage(projectId: number): Usage {
    let usage = this.#usage.get(projectId);
    if (!usage) this.#usage.set(projectId, (usage = { objects: 0, bytes: 0 }));
    return usage;
  }

  file(projectId: number, oid: string): string {
    return path.join(this.#root, String(projectId), oid.slice(0, 2), oid.slice(2, 4), oid);
  }

  /** Size in bytes, or undefined where the object is not there. */
  async size(projectId: number, oid: string): Promise<number | undefined> {
    try {
      return (await stat(this.file(projectId, oid))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Stores the stream if size and SHA-256 are right, otherwise nothing. Rejects where the stream breaks. */
  async put(projectId: number, oid: string, sizeBytes: number, body: Readable): Promise<PutResult> {
    const temporary = path.join(this.#temporary, `${oid.slice(0, 16)}-${randomBytes(8).toString('hex')}`);
    const hash = createHash('sha256');
    let receivedBytes = 0;
    const check = new Transform({
      transform(data: Buffer, _encoding, done) {
        receivedBytes += data.length;
        if (receivedBytes > sizeBytes) return done(new TooLong());
        hash.update(data);
        done(null, data);
      },
    });
    try {
      await pipeline(body, check, createWriteStream(temporary, { flags: 'wx', flush: true }));
      if (receivedBytes !== sizeBytes) return 'wrong-size';
      if (hash.digest('hex') !== oid) return 'wrong-hash';
      await this.#place(temporary, projectId, oid, sizeBytes);
      return 'stored';
    } catch (error) {
      if (error instanceof TooLong) return 'wrong-size';
      throw error;
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** What the "delete" of Gitee's LFS page does. */
  async remove(projectId: number, oid: string): Promise<boolean> {
    const sizeBytes = await this.size(projectId, oid);
    if (sizeBytes === undefined) return false;
    await rm(this.file(projectId, oid), { force: true });
    const usage = this.usage(projectId);
    usage.objects--;
    usage.bytes -= sizeBytes;
    return true;
  }

  async #place(temporary: string, projectId: number, oid: string, sizeBytes: number): Promise<void> {
    const target = this.file(projectId, oid);
    await mkdir(path.dirname(target), { recursive: true });
    try {
      // link and not rename: of two uploads of one object exactly one counts.
      await link(temporary, target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
      throw error;
    }
    const usage = this.usage(projectId);
    usage.objects++;
    usage.bytes += sizeBytes;
  }
}

class TooLong extends Error {}
