/** `.gateway/format.json`: what a reader must know before it reads anything else of a bucket. */
import { z } from 'zod';

/** The storage format that this code writes. */
const FORMAT_VERSION = 1;

export interface FormatVolume {
  /** Number that chunk records carry; 0 is the head repository's own LFS store. */
  readonly id: number;
  readonly kind: 'lfs' | 'git';
  /** `self` or `owner/name`. */
  readonly repository: string;
}

export interface FormatDocument {
  readonly version: typeof FORMAT_VERSION;
  /** Numeric id of the head repository: a bucket that was copied elsewhere is another bucket. */
  readonly repositoryId: number;
  /** Names of what a reader must understand beyond version 1; none is defined yet. */
  readonly features: readonly string[];
  readonly volumes: readonly FormatVolume[];
}

export type FormatErrorCode = 'newer-version' | 'unknown-feature' | 'malformed';

/** The bucket is not one that this code may read: touching it could destroy what a newer gateway wrote. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  constructor(
    readonly code: FormatErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The one list of volumes that version 1 without features may have. */
export const SELF_VOLUME: FormatVolume = { id: 0, kind: 'lfs', repository: 'self' };

const versionOnly = z.object({ version: z.int().min(1) });
const document = z.object({
  version: z.literal(FORMAT_VERSION),
  repositoryId: z.int().min(0),
  features: z.array(z.string()),
  volumes: z.array(
    z.object({ id: z.int().min(0), kind: z.enum(['lfs', 'git']), repository: z.string().min(1) }),
  ),
});

/** The file's bytes: the same for the same document, so that nothing is committed that changes nothing. */
export function encodeFormat(format: FormatDocument): Uint8Array {
  const ordered = {
    version: format.version,
    repositoryId: format.repositoryId,
    features: [...format.features].sort(),
    volumes: format.volumes.map(({ id, kind, repository }) => ({ id, kind, repository })),
  };
  return Buffer.from(`${JSON.stringify(ordered, undefined, 2)}\n`);
}

/**
 * Reads the file. Fields that version 1 does not know are ignored; what must not be ignored is a feature.
 * @throws FormatError
 */
export function decodeFormat(bytes: Uint8Array): FormatDocument {
  const json = parseJson(bytes);
  const version = versionOnly.safeParse(json);
  // Asked first: all else may look different in a newer version.
  if (version.success && version.data.version > FORMAT_VERSION)
    throw new FormatError(
      'newer-version',
      `the bucket has storage format ${version.data.version}, this gateway knows ${FORMAT_VERSION}: use a newer gateway`,
    );
  const parsed = document.safeParse(json);
  if (!parsed.success)
    throw new FormatError('malformed', `.gateway/format.json is damaged: ${z.prettifyError(parsed.error)}`);
  const { features, volumes } = parsed.data;
  if (features.length > 0)
    throw new FormatError(
      'unknown-feature',
      `the bucket uses ${features.map((f) => JSON.stringify(f)).join(', ')}: use a gateway that knows it`,
    );
  const [self, ...further] = volumes;
  if (further.length > 0 || self?.id !== 0 || self.kind !== 'lfs' || self.repository !== 'self')
    throw new FormatError(
      'unknown-feature',
      'the bucket has chunks outside of its own LFS store: use a gateway that knows further volumes',
    );
  return parsed.data;
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError('malformed', '.gateway/format.json is not JSON in UTF-8', { cause });
  }
}
