import { basic, oidOf } from './git-client.js';

const MEDIA_TYPE = 'application/vnd.git-lfs+json';

export interface Action {
  readonly href: string;
  readonly header: Record<string, string>;
  readonly expires_in: number;
}
interface BatchObject {
  readonly oid: string;
  readonly size: number;
  readonly actions?: { readonly upload?: Action; readonly verify?: Action; readonly download?: Action };
  readonly error?: { readonly code: number; readonly message: string };
}
export interface BatchAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly objects: BatchObject[];
}

/** The LFS protocol in single steps, for what git-lfs does not do or does not show. */
export class LfsClient {
  constructor(
    private readonly url: string,
    private readonly repo: string,
    private readonly token: string | undefined,
  ) {}

  async post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<BatchAnswer> {
    const answer = await fetch(`${this.url}/${this.repo}.git/info/lfs/${path}`, {
      method: 'POST',
      headers: {
        Accept: MEDIA_TYPE,
        'Content-Type': MEDIA_TYPE,
        ...(this.token === undefined ? {} : { Authorization: basic(this.token) }),
        ...headers,
      },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    const objects = answer.ok && text.startsWith('{') ? (JSON.parse(text).objects as BatchObject[]) : [];
    return { status: answer.status, headers: answer.headers, text, objects };
  }

  batch(operation: 'upload' | 'download', objects: { oid: string; size: number }[]): Promise<BatchAnswer> {
    return this.post('objects/batch', { operation, transfers: ['basic'], objects });
  }

  /** The link to these bytes, which must be there (download) or missing (upload). */
  async link(operation: 'upload' | 'download', bytes: Uint8Array): Promise<Action> {
    const answer = await this.batch(operation, [{ oid: oidOf(bytes), size: bytes.length }]);
    const action = answer.objects[0]?.actions?.[operation];
    if (!action) throw new Error(`no ${operation} action: ${answer.status} ${answer.text}`);
    return action;
  }

  async upload(bytes: Uint8Array): Promise<number> {
    return put(await this.link('upload', bytes), bytes);
  }

  async download(bytes: Uint8Array, headers: Record<string, string> = {}): Promise<Response> {
    return fetch((await this.link('download', bytes)).href, { headers });
  }
}

export async function put(action: Action, body: Uint8Array): Promise<number> {
  const answer = await fetch(action.href, { method: 'PUT', headers: action.header, body });
  await answer.arrayBuffer();
  return answer.status;
}
