/**
 * Keeps its part of invariant 7: a secret prints as `[secret]` wherever it is put into a text, a log or JSON by
 * mistake; only reveal() gives it out.
 */
import { readFile } from 'node:fs/promises';
import { inspect } from 'node:util';

/** A secret from the configuration; one that stands in a file can be read again when it was rotated. */
export class Secret {
  #value: string;

  constructor(
    value: string,
    /** Where it came from, if from a file. */
    readonly file?: string,
  ) {
    this.#value = value;
  }

  /** The secret itself, for the one call that needs it. Ask again for each call: it may have been rotated. */
  reveal(): string {
    return this.#value;
  }

  /**
   * Reads the file again. An empty file changes nothing (the writer may be half-way). Rejects where the file
   * cannot be read; the old value stays.
   * @returns true where the secret is now another.
   */
  async refresh(): Promise<boolean> {
    if (this.file === undefined) return false;
    const fresh = trimSecret(await readFile(this.file, 'utf8'));
    if (fresh === '' || fresh === this.#value) return false;
    this.#value = fresh;
    return true;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}

/** Editors end files with a newline, which belongs to no secret. */
export function trimSecret(text: string): string {
  return text.replace(/[\r\n]+$/, '');
}
