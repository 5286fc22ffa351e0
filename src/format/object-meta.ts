/**
 * What belongs to an object beside its bytes. One row per attribute that is a text: its name here and in
 * `.gateway/meta/`, the letter under which it stands in rows of the index, and the header in which S3 carries it. The
 * order is that of the documents; letters are never used twice.
 */
export const META_TEXTS = {
  contentType: { letter: 't', header: 'Content-Type' },
  contentEncoding: { letter: 'e', header: 'Content-Encoding' },
  contentDisposition: { letter: 'd', header: 'Content-Disposition' },
  contentLanguage: { letter: 'l', header: 'Content-Language' },
  cacheControl: { letter: 'c', header: 'Cache-Control' },
  expires: { letter: 'x', header: 'Expires' },
  /** Absent for STANDARD. */
  storageClass: { letter: 's', header: 'x-amz-storage-class' },
} as const;

export type MetaText = keyof typeof META_TEXTS;

export const META_TEXT_NAMES = Object.keys(META_TEXTS) as readonly MetaText[];

/** Headers and attributes that belong to an object (AWS: "Working with object metadata"). */
export type ObjectMeta = { readonly [N in MetaText]?: string } & {
  /** Lower-case names without `x-amz-meta-`. */
  readonly userMetadata?: Readonly<Record<string, string>>;
  readonly tags?: Readonly<Record<string, string>>;
};
