/** The fields of a form before its file. AWS: "HTML form fields" of "POST Object". */
import { S3Error } from '../errors.js';
import { RequestHeaders } from '../headers.js';

/** AWS: "The form data and boundaries (excluding the contents of the file) cannot exceed 20KB." */
export const FIELDS_BYTES_MAX = 20_480;

const VARIABLE = '${filename}';
/** What was signed, and with what, is taken as it was sent. */
const LITERAL: ReadonlySet<string> = new Set(['policy', 'x-amz-signature']);

/** Fields that mean what the header of that name means in PutObject. */
const HEADER_FIELD =
  /^(cache-control|content-(type|disposition|encoding|language|md5)|expires|x-amz-(?!algorithm$|credential$|date$|signature$|security-token$).+)$/;

export class FormFields {
  /** By lower-case name: AWS says "the post parameters are case insensitive". */
  readonly #fields = new Map<string, { readonly sentName: string; value: string }>();

  /**
   * @param entries in the order of the form; values of one name are joined by commas, as AWS says.
   * @param filename without its directories; AWS: "If no file or file name is provided, the variable is replaced
   *   with an empty string."
   * @throws S3Error MaxPostPreDataLengthExceeded where `${filename}` makes a field longer than a form may be.
   */
  constructor(entries: Iterable<readonly [name: string, value: string]>, filename = '') {
    for (const [sentName, sent] of entries) {
      const name = sentName.toLowerCase();
      const value = LITERAL.has(name) ? sent : expand(sent, filename);
      const before = this.#fields.get(name);
      if (before) before.value += `,${value}`;
      else this.#fields.set(name, { sentName, value });
    }
  }

  /** @param name lower case */
  get(name: string): string | undefined {
    return this.#fields.get(name)?.value;
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  /** Lower case, in the order of the form. */
  names(): string[] {
    return [...this.#fields.keys()];
  }

  sentName(name: string): string {
    return this.#fields.get(name)?.sentName ?? name;
  }

  /** The headers that PutObject would have had. */
  asHeaders(): RequestHeaders {
    const headers: [string, string][] = [];
    for (const [name, { value }] of this.#fields) {
      if (name === 'acl') headers.push(['x-amz-acl', value]);
      else if (name === 'x-amz-checksum-algorithm') headers.push(['x-amz-sdk-checksum-algorithm', value]);
      else if (HEADER_FIELD.test(name)) headers.push([name, value]);
    }
    return new RequestHeaders([]).with(headers);
  }
}

function expand(value: string, filename: string): string {
  const parts = value.split(VARIABLE);
  if (parts.length === 1) return value;
  if (value.length + (parts.length - 1) * filename.length > FIELDS_BYTES_MAX) throw fieldsTooLong();
  return parts.join(filename);
}

export function fieldsTooLong(): S3Error {
  return new S3Error('MaxPostPreDataLengthExceeded', undefined, {
    fields: { MaxPostPreDataLengthBytes: String(FIELDS_BYTES_MAX) },
  });
}
