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
