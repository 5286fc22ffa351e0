/**
 * Reads the few XML documents that clients send: XML 1.0 without DTD and CDATA, no entities but the five of XML, no
 * attributes' values, a bounded depth. One pass that ends at the first thing that S3's documents do not have: nothing
 * that a document says makes it grow, and a thousand keys cost a millisecond or two.
 */
import { S3Error } from '../errors.js';

const DEPTH_MAX = 16;
/** 10,000 parts have 70,000 elements where each has all checksums; the reader makes an object of every one. */
const ELEMENTS_MAX = 100_000;
/** No tag of S3's documents has more than some namespaces, and no text more than a key of 1,024 references. */
const TAG_CHARS_MAX = 4 * 1024;
const TEXT_CHARS_MAX = 16 * 1024;
/** References that are well-formed; what is none of them is nobody's. */
const BAD_AMPERSAND = /&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)/;

/** XML 1.0 §2.3, with what Unicode has beyond ASCII taken as letters. */
const NAME = '[A-Za-z_\\u00c0-\\uffff][\\w.\\u00b7-\\uffff-]*';
const QUALIFIED = `(?:${NAME}:)?${NAME}`;
const ATTRIBUTE = `[ \\t\\n]+(${QUALIFIED})[ \\t\\n]*=[ \\t\\n]*(?:"[^"<]*"|'[^'<]*')`;
const START_TAG = new RegExp(`<(${QUALIFIED})((?:${ATTRIBUTE.replace('(', '(?:')})*)[ \\t\\n]*(/?)>`, 'y');
const ATTRIBUTES = new RegExp(ATTRIBUTE, 'g');
const NOT_BLANK = /[^ \t\n]/;

/** An element: text, or children in document order. */
export class XmlNode {
  readonly #children: XmlNode[] = [];
  #text = '';

  /** @param name without its namespace's prefix */
  constructor(private readonly name: string) {}

  /** Text with references resolved; '' for an empty element. @throws S3Error MalformedXML where it has children. */
  text(): string {
    if (this.#children.length > 0) throw malformed();
    return resolveReferences(this.#text);
  }

  /** Names of its children. */
  names(): string[] {
    return this.#children.map(({ name }) => name);
  }

  children(name: string): XmlNode[] {
    return this.#children.filter((child) => child.name === name);
  }

  /** The only child of that name. @throws S3Error MalformedXML where there are several. */
  child(name: string): XmlNode | undefined {
    let found: XmlNode | undefined;
    for (const child of this.#children) {
      if (child.name !== name) continue;
      if (found) throw malformed();
      found = child;
    }
    return found;
  }

  childText(name: string): string | undefined {
    return this.child(name)?.text();
  }

  /** For the reader of documents. */
  add(child: XmlNode): void {
    this.#children.push(child);
  }

  /** For the reader of documents: a run of text, its references as they are written. Beside children it is nobody's. */
  addText(written: string): void {
    if (this.#children.length === 0) this.#text += written;
  }
}

/**
 * The root element of a document.
 * @param elementsMax comments and instructions count too
 * @throws S3Error MalformedXML where it is not well-formed, has more elements, has another root, or holds a DTD or CDATA.
 */
export function parseDocument(bytes: Uint8Array, root: string, elementsMax = ELEMENTS_MAX): XmlNode {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
  // XML 1.0 §2.11
  const node = readElements(text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text, elementsMax).child(
    root,
  );
  if (!node) throw malformed();
  return node;
}

interface Open {
  readonly node: XmlNode;
  /** As it is written, with its prefix: the end tag repeats it. */
  readonly written: string;
}

/** The document as an element whose only child is the root. */
function readElements(text: string, elementsMax: number): XmlNode {
  const document = new XmlNode('');
  const open: Open[] = [];
  let parent = document;
  let elements = 0;
  let hasRoot = false;
  let at = 0;
  for (;;) {
    const next = text.indexOf('<', at);
    addText(parent, open.length === 0, text, at, next < 0 ? text.length : next);
    if (next < 0) break;
    const after = text[next + 1];
    if (after === '/') {
      const last = open.pop();
      if (!last) throw malformed();
      at = endOfEndTag(text, next, last.written);
      parent = open.at(-1)?.node ?? document;
      continue;
    }
    elements += 1;
    if (elements > elementsMax) throw malformed();
    if (after === '!') at = endOfComment(text, next);
    else if (after === '?') at = endOfInstruction(text, next);
    else {
      const { written, isEmpty, end } = startTag(text, next);
      if (open.length === 0 && hasRoot) throw malformed();
      hasRoot = true;
      const node = new XmlNode(written.slice(written.indexOf(':') + 1));
      parent.add(node);
      if (!isEmpty) {
        open.push({ node, written });
        if (open.length > DEPTH_MAX) throw malformed();
        parent = node;
      }
      at = end;
    }
  }
  if (open.length > 0) throw malformed();
  return document;
}

/** Between two tags; around the root there is white space only. */
function addText(parent: XmlNode, isOutside: boolean, text: string, from: number, to: number): void {
  if (from === to) return;
  if (to - from > TEXT_CHARS_MAX) throw malformed();
  const written = text.slice(from, to);
  if (isOutside ? NOT_BLANK.test(written) : written.includes('&') && BAD_AMPERSAND.test(written))
    throw malformed();
  if (!isOutside) parent.addText(written);
}

function startTag(text: string, at: number): { written: string; isEmpty: boolean; end: number } {
  START_TAG.lastIndex = at;
  const [whole = '', written = '', attributes = '', slash] = START_TAG.exec(text) ?? [];
  if (whole === '' || whole.length > TAG_CHARS_MAX || (attributes !== '' && !areGood(attributes)))
    throw malformed();
  return { written, isEmpty: slash === '/', end: at + whole.length };
}

/** No name twice, no ampersand that begins nothing. */
function areGood(attributes: string): boolean {
  const names = [...attributes.matchAll(ATTRIBUTES)].map(([, name]) => name);
  return new Set(names).size === names.length && !BAD_AMPERSAND.test(attributes);
}

function endOfEndTag(text: string, at: number, written: string): number {
  const from = at + 2 + written.length;
  const end = text.indexOf('>', from);
  const isIts = text.startsWith(written, at + 2) && end >= 0 && end - at <= TAG_CHARS_MAX;
  if (!isIts || (end > from && NOT_BLANK.test(text.slice(from, end)))) throw malformed();
  return end + 1;
}

/** XML 1.0 §2.5: no `--` within it. */
function endOfComment(text: string, at: number): number {
  if (!text.startsWith('<!--', at)) throw malformed();
  const end = text.indexOf('--', at + 4);
  if (end < 0 || text[end + 2] !== '>' || end - at > TAG_CHARS_MAX + TEXT_CHARS_MAX) throw malformed();
  return end + 3;
}

/** Passed over. The declaration of XML is the first thing, or nowhere. */
function endOfInstruction(text: string, at: number): number {
  const end = text.indexOf('?>', at + 2);
  if (end < 0 || end - at > TAG_CHARS_MAX || (at > 0 && /^<\?xml\s/i.test(text.slice(at, at + 6))))
    throw malformed();
  return end + 2;
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function resolveReferences(text: string): string {
  if (!text.includes('&')) return text;
  if (!text.includes('&#')) {
    // `amp` last: what it makes is no reference.
    const others = text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"');
    return others.replaceAll('&apos;', "'").replaceAll('&amp;', '&');
  }
  return text.replace(/&([^;&]{1,8});/g, (_whole, name: string) => {
    if (Object.hasOwn(NAMED, name)) return NAMED[name]!;
    const m = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name);
    if (!m) throw malformed();
    const codePoint = m[1] === undefined ? Number(m[2]) : Number.parseInt(m[1], 16);
    if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) throw malformed();
    return String.fromCodePoint(codePoint);
  });
}

const malformed = (cause?: unknown): S3Error => new S3Error('MalformedXML', undefined, { cause });
