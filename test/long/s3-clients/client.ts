import type { Place } from './place.js';

/** The same in both languages of the documents. */
export interface Words {
  readonly en: string;
  readonly zh: string;
}

/** A sentence of the table, and what shows that it is so: it throws where it is not. */
export interface Claim extends Words {
  readonly check: (place: Place) => Promise<unknown>;
}

/** How the client is told of the gateway: it stands in the document as it is used by the checks. */
export interface Configuration {
  /** Path below the home directory, where it is a file: it is written, readable for its owner alone, before the checks. */
  readonly file?: string;
  /** Language of the block in the document. */
  readonly language:
    'sh' | 'ini' | 'json' | 'yaml' | 'python' | 'ruby' | 'perl' | 'php' | 'go' | 'js' | 'sql' | 'text';
  /** ACCESS_KEY_ID and SECRET_ACCESS_KEY stand for the key: see `Place.filled`. The gateway is `http://s3.example.com`. */
  readonly text: string;
}

/** A program or a library that speaks S3, tried against the gateway: one row of docs/clients.md. */
export interface S3Client {
  /** As the table names it. */
  readonly name: string;
  /** Whose first one is the client, whose version is told. */
  readonly packages: { readonly debian: readonly string[] } | { readonly npm: readonly string[] };
  readonly configuration: readonly Configuration[];
  /** It needs TLS, or is tried with it: through the shipped Nginx, as `https://s3.example.com`. */
  readonly https?: 'HTTP/1.1' | 'HTTP/2';
  /** It needs the bucket's name before the host's: the gateway has `s3.domain`. */
  readonly virtualHosts?: true;
  /** The bucket has `public_read`. */
  readonly publicRead?: true;
  readonly works: readonly Claim[];
  /** What it does not do with the gateway, and why: each shown by its check, too. */
  readonly limits: readonly Claim[];
  /** Before the first check. */
  readonly prepare?: (place: Place) => Promise<unknown>;
}

/** What a run found: in results/NAME.json. */
export interface ClientResult {
  readonly version: string;
  /** Sentences that held, in English: those that work, then the limits. */
  readonly held: readonly string[];
  readonly failed: readonly { readonly claim: string; readonly error: string }[];
}

/** Name of its file of results, and of its heading in the document. */
export function slugOf(client: S3Client): string {
  return client.name
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');
}

export function claimsOf(client: S3Client): readonly Claim[] {
  return [...client.works, ...client.limits];
}
