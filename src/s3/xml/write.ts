/** Writes S3's XML documents. Everything that is not a template goes through `escapeText`. */

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** An element already written. */
export type Xml = string & { readonly __xml: true };

/**
 * Escapes text for an element. Characters that XML 1.0 cannot hold are written as references, as S3 does: many
 * parsers read them, and clients that cannot ask for encoding-type=url.
 */
export function escapeText(text: string): string {
  // Most texts are as they are: a look at them makes nothing.
  if (text.search(ESCAPED) < 0) return text;
  return text.replace(ESCAPED, (c) => NAMED[c] ?? `&#x${c.charCodeAt(0).toString(16).toUpperCase()};`);
}

const ESCAPED = /[&<>"\r\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

const NAMED: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#13;',
};

/** One element: text is escaped, elements are put in as they are. */
export function element(name: string, content: string | number | boolean | readonly Xml[]): Xml {
  if (typeof content === 'string') return `<${name}>${escapeText(content)}</${name}>` as Xml;
  const inner = typeof content === 'object' ? content.join('') : String(content);
  return `<${name}>${inner}</${name}>` as Xml;
}

/** The element, or nothing where there is no value. */
export function optional(name: string, value: string | number | undefined): Xml[] {
  return value === undefined ? [] : [element(name, value)];
}

/** A whole document. */
export function document(
  root: string,
  content: readonly Xml[] | string,
  options: { namespace: boolean } = { namespace: true },
): string {
  const attribute = options.namespace ? ` xmlns="${NAMESPACE}"` : '';
  const inner = typeof content === 'string' ? [escapeText(content)] : content;
  // Put together once: a page of a list has hundreds of kilobytes.
  return ['<?xml version="1.0" encoding="UTF-8"?>\n<', root, attribute, '>', ...inner, '</', root, '>'].join(
    '',
  );
}

/** ISO 8601 with milliseconds, as S3 writes times in documents. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** 00 to 59. */
const TWO_DIGITS = Array.from({ length: 60 }, (_, i) => String(i).padStart(2, '0'));

/** isoTime for many times, most of which are of the same day as the one before: a sixth of its time. */
export function isoTimes(): (ms: number) => string {
  let day = NaN;
  let dayText = '';
  return (ms) => {
    const number = Math.floor(ms / DAY_MS);
    if (number !== day) {
      day = number;
      dayText = isoTime(day * DAY_MS).slice(0, -'00:00:00.000Z'.length);
    }
    const restMs = Math.floor(ms - day * DAY_MS);
    const seconds = Math.floor(restMs / 1000);
    const hour = TWO_DIGITS[Math.floor(seconds / 3600)]!;
    const minute = TWO_DIGITS[Math.floor(seconds / 60) % 60]!;
    return `${dayText}${hour}:${minute}:${TWO_DIGITS[seconds % 60]!}.${String(restMs % 1000).padStart(3, '0')}Z`;
  };
}
