/**
 * Reads the few XML documents that clients send. No DTD, no entities but the five of XML, a bounded depth:
 * nothing that a document says makes it grow.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { S3Error } from '../errors.js';

const DEPTH_MAX = 16;
/** 10,000 parts have 70,000 elements where each has all checksums; a parser makes an object of every one. */
const ELEMENTS_MAX = 100_000;
/** No tag of S3's documents has more than some namespaces, and no text more than a key of 1,024 references. */
const TAG_CHARS_MAX = 4 * 1024;
const TEXT_CHARS_MAX = 16 * 1024;
/** References that are well-formed; what is none of them is nobody's. */
const REFERENCE = '(?:amp|lt|gt|quot|apos|#\\d{1,7}|#x[0-9a-fA-F]{1,6});';
const GOOD_AMPERSAND = new RegExp(`&(?=${REFERENCE})`, 'g');
const BAD_AMPERSAND = new RegExp(`&(?!${REFERENCE})`);

/** An element: text, or children by name in document order. */
export class XmlNode {
  constructor(private readonly value: unknown) {}

  /** Text with references resolved; '' for an empty element. @throws S3Error MalformedXML where it has children. */
  text(): string {
    if (typeof this.value !== 'string') throw malformed();
    return resolveReferences(this.value);
  }

  /** Names of its children. */
  names(): string[] {
    if (this.value === null || typeof this.value !== 'object' || Array.isArray(this.value)) return [];
    return Object.keys(this.value);
  }

  children(name: string): XmlNode[] {
    if (this.value === null || typeof this.value !== 'object' || Array.isArray(this.value)) return [];
    if (!Object.hasOwn(this.value, name)) return [];
    const found = (this.value as Record<string, unknown>)[name];
    return (Array.isArray(found) ? found : [found]).map((v) => new XmlNode(v));
  }

  /** The only child of that name. @throws S3Error MalformedXML where there are several. */
  child(name: string): XmlNode | undefined {
    const all = this.children(name);
    if (all.length > 1) throw malformed();
    return all[0];
  }

  childText(name: string): string | undefined {
    return this.child(name)?.text();
  }
}

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  parseTagValue: false,
  trimValues: false,
  processEntities: false,
  removeNSPrefix: true,
  maxNestedTags: DEPTH_MAX,
  // White space between elements is no text of theirs.
  textNodeName: '#text',
});

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
  if (/<!(?!--)/.test(text) || !isModest(text, elementsMax)) throw malformed();
  let parsed: unknown;
  try {
    // Without the references that are well-formed: it takes a second for a million of them.
    if (XMLValidator.validate(text.replace(GOOD_AMPERSAND, '_')) !== true) throw malformed();
    parsed = parser.parse(text);
  } catch (error) {
    throw error instanceof S3Error ? error : malformed(error);
  }
  const node = new XmlNode(parsed).child(root);
  if (!node) throw malformed();
  return node;
}

/** Counts elements, nesting and lengths before the parser is let loose: such a document costs one pass and no memory. */
function isModest(text: string, elementsMax: number): boolean {
  let depth = 0;
  let elements = 0;
  for (let at = text.indexOf('<'), after = at; at >= 0; at = after) {
    after = text.indexOf('<', at + 1);
    if ((after < 0 ? text.length : after) - at > TAG_CHARS_MAX + TEXT_CHARS_MAX) return false;
    const next = text[at + 1];
    if (next !== '/') elements += 1;
    if (elements > elementsMax) return false;
    if (next === '?' || next === '!') continue;
    if (next === '/') depth -= 1;
    else {
      depth += 1;
      if (depth > DEPTH_MAX) return false;
      const close = text.indexOf('>', at);
      // XML 1.0 §3.1: no `<` stands within a tag. Looking further for each would take the square of the time.
      if (close < 0 || (after >= 0 && after < close) || close - at > TAG_CHARS_MAX) return false;
      if (text[close - 1] === '/') depth -= 1;
    }
  }
  return true;
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function resolveReferences(text: string): string {
  if (!text.includes('&')) return text;
  if (BAD_AMPERSAND.test(text)) throw malformed();
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
