/**
 * Invariant 7 (this file's share). The token is asked for at each call, never copied into options, and leaves
 * only in a header to Gitee's own host; `withoutToken` cleans what a server echoes before it becomes an error.
 */
import { readFile } from 'node:fs/promises';

/** Where the current Gitee token comes from. Ask again for each call: it may have been rotated. */
export interface TokenSource {
  current(): string;
  /** Reads the secret's file again; true where the token is now another. Rejects where it cannot be read. */
  reload(): Promise<boolean>;
  /** Login of the token's owner, where it is known. */
  readonly loginName?: string;
}

/** A token that never changes: from an environment variable, or a user's own in the token service. */
export class StaticTokenSource implements TokenSource {
  readonly loginName?: string;

  constructor(
    private readonly token: string,
    loginName?: string,
  ) {
    if (loginName !== undefined) this.loginName = loginName;
  }

  current(): string {
    return this.token;
  }

  async reload(): Promise<boolean> {
    return false;
  }
}

/** A token in a file. An empty file changes nothing: whoever writes it may be half-way. */
export class FileTokenSource implements TokenSource {
  readonly loginName?: string;
  #token: string;

  private constructor(
    private readonly file: string,
    token: string,
    loginName: string | undefined,
  ) {
    this.#token = token;
    if (loginName !== undefined) this.loginName = loginName;
  }

  /** @throws the file system's error where the file cannot be read, RangeError where it is empty */
  static async open(file: string, loginName?: string): Promise<FileTokenSource> {
    const token = await readToken(file);
    if (token === '') throw new RangeError(`${file} is empty: put the Gitee token into it`);
    return new FileTokenSource(file, token, loginName);
  }

  current(): string {
    return this.#token;
  }

  async reload(): Promise<boolean> {
    const fresh = await readToken(this.file);
    if (fresh === '' || fresh === this.#token) return false;
    this.#token = fresh;
    return true;
  }
}

async function readToken(file: string): Promise<string> {
  return (await readFile(file, 'utf8')).trim();
}

/** RFC 7617: the value of an Authorization header for git and LFS. */
export function basicHeader(user: string, token: string): string {
  return `Basic ${Buffer.from(`${user}:${token}`, 'utf8').toString('base64')}`;
}

/**
 * The text without the token, neither in clear nor as a Basic header carries it, and without signatures of
 * links and passwords in URLs: they too give access.
 */
export function withoutToken(text: string, token: string, user?: string): string {
  let masked = text;
  if (token !== '') {
    for (const name of [user, 'oauth2']) {
      if (name === undefined) continue;
      masked = masked.replaceAll(Buffer.from(`${name}:${token}`, 'utf8').toString('base64'), '***');
    }
    masked = masked.replaceAll(token, '***').replaceAll(encodeURIComponent(token), '***');
  }
  return masked
    .replace(/(https?:\/\/)[^\s/@"]+@/gi, '$1***@')
    .replace(/([?&][\w-]*(?:token|signature|credential)[\w-]*=)[^&\s"'<]+/gi, '$1***');
}
