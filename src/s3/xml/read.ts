/**
 * Reads the few XML documents that clients send. No DTD, no entities but the five of XML, a bounded depth:
 * nothing that a document says makes it grow.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { S3Error } from '../errors.js';

const DEPTH_MAX = 16;
/** 10,000 parts have 70,000 elements where each has all checksums; a parser makes an object of every one. */
const ELEMENTS_MAX = 100_000;

/** An element: text, or children by name in document order. */
export class XmlNode {
  constructor(private readonly value: unknown) {}

  /** Text with references resolved; '' for an empty element. @throws S3Error MalformedXML where it has children. */
  text(): string {
    if (typeof this.value !== 'string') throw malformed();
    return resolveReferences(this.value);
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
 * @throws S3Error MalformedXML where it is not well-formed, has another root, or holds a DTD or CDATA.
 */
export function parseDocument(bytes: Uint8Array, root: string): XmlNode {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
  if (/<!(?!--)/.test(text) || !isModest(text)) throw malformed();
  let parsed: unknown;
  try {
    if (XMLValidator.validate(text) !== true) throw malformed();
    parsed = parser.parse(text);
  } catch (error) {
    throw error instanceof S3Error ? error : malformed(error);
  }
  const node = new XmlNode(parsed).child(root);
  if (!node) throw malformed();
  return node;
}

/** Counts elements and nesting before the parser is let loose: such a document costs one pass and no memory. */
function isModest(text: string): boolean {
  let depth = 0;
  let elements = 0;
  for (let at = text.indexOf('<'), after = at; at >= 0; at = after) {
    after = text.indexOf('<', at + 1);
    const next = text[at + 1];
    if (next === '?' || next === '!') continue;
    if (next === '/') depth -= 1;
    else {
      depth += 1;
      elements += 1;
      if (depth > DEPTH_MAX || elements > ELEMENTS_MAX) return false;
      const close = text.indexOf('>', at);
      // XML 1.0 §3.1: no `<` stands within a tag. Looking further for each would take the square of the time.
      if (close < 0 || (after >= 0 && after < close)) return false;
      if (text[close - 1] === '/') depth -= 1;
    }
  }
  return true;
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function resolveReferences(text: string): string {
  return text.replace(/&([^;&]{0,32};?)/g, (_whole, reference: string) => {
    if (!reference.endsWith(';')) throw malformed();
    const name = reference.slice(0, -1);
    if (Object.hasOwn(NAMED, name)) return NAMED[name]!;
    const m = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name);
    if (!m) throw malformed();
    const codePoint = m[1] === undefined ? Number(m[2]) : Number.parseInt(m[1], 16);
    if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint <= 0xdfff)) throw malformed();
    return String.fromCodePoint(codePoint);
  });
}

const malformed = (cause?: unknown): S3Error => new S3Error('MalformedXML', undefined, { cause });
