/** Object tags: as a header (`a=b&c=d`) and as a document. AWS: "Categorizing your storage using tags". */
import { S3Error } from './errors.js';
import { parseQuery } from './request-target.js';
import { parseDocument } from './xml/read.js';
import { document, element } from './xml/write.js';

export type Tags = Readonly<Record<string, string>>;

const COUNT_MAX = 10;
const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 256;

/** Size limit of a tagging document. */
export const TAGGING_BYTES_MAX = 64 * 1024;

/** AWS "Tag naming limits and requirements": letters, numbers and spaces of any script, and these. */
const CHARACTERS = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
/** AWS keeps the prefix for itself. */
const RESERVED = /^aws:/i;

function check(pairs: readonly (readonly [string, string])[]): Tags {
  const keys = new Set(pairs.map(([key]) => key));
  if (pairs.length > COUNT_MAX) throw new S3Error('InvalidTag', 'Object tags cannot be greater than 10');
  if (keys.size !== pairs.length)
    throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key');
  for (const [key, value] of pairs) {
    if (RESERVED.test(key))
      throw new S3Error('InvalidTag', 'System tags cannot be added/updated by requester');
    if (key === '' || key.length > KEY_LENGTH_MAX || !CHARACTERS.test(key))
      throw new S3Error('InvalidTag', 'The TagKey you have provided is invalid');
    if (value.length > VALUE_LENGTH_MAX || !CHARACTERS.test(value))
      throw new S3Error('InvalidTag', 'The TagValue you have provided is invalid');
  }
  // fromEntries defines own properties, so that a tag named __proto__ stays a tag.
  return Object.fromEntries(pairs);
}

/** Tags of an x-amz-tagging header. @throws S3Error InvalidTag, InvalidURI */
export function tagsOfHeader(header: string | undefined): Tags | undefined {
  if (header === undefined) return undefined;
  const tags = check(parseQuery(header).entries);
  return Object.keys(tags).length === 0 ? undefined : tags;
}

/** Tags of a Tagging document. @throws S3Error MalformedXML, InvalidTag */
export function parseTagging(bytes: Uint8Array): Tags {
  const set = parseDocument(bytes, 'Tagging').child('TagSet');
  if (!set) throw new S3Error('MalformedXML');
  return check(
    set.children('Tag').map((tag) => {
      const key = tag.childText('Key');
      const value = tag.childText('Value');
      if (key === undefined || value === undefined) throw new S3Error('MalformedXML');
      return [key, value] as const;
    }),
  );
}

export function taggingDocument(tags: Tags | undefined): string {
  const items = Object.entries(tags ?? {}).map(([key, value]) =>
    element('Tag', [element('Key', key), element('Value', value)]),
  );
  return document('Tagging', [element('TagSet', items)]);
}
