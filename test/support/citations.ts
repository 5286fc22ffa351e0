/**
 * What comments and documents of this repository cite: files, folders, sections of documents, invariants. A citation
 * that leads nowhere is a sentence that the code has left behind.
 */
import { readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';

/** What is no source: made by npm, the build and the tests. */
const NOT_OURS: ReadonlySet<string> = new Set(['.git', 'node_modules', 'dist', '.state']);

/** Files of this checkout, and all folders above them. Read from the disk: git trusts no checkout of another user. */
export class Checkout {
  readonly files: readonly string[];
  readonly #known: ReadonlySet<string>;
  readonly #documents = new Map<string, string>();

  constructor(readonly root: string) {
    const files: string[] = [];
    const folders: string[] = [''];
    for (const folder of folders)
      for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
        const name = path.join(folder, entry.name);
        if (!entry.isDirectory()) files.push(name);
        else if (!NOT_OURS.has(entry.name)) folders.push(name);
      }
    this.files = files;
    this.#known = new Set([...files, ...folders]);
  }

  read(file: string): string {
    let text = this.#documents.get(file);
    if (text === undefined)
      this.#documents.set(file, (text = readFileSync(path.join(this.root, file), 'utf8')));
    return text;
  }

  has(fileOrFolder: string): boolean {
    return this.#known.has(fileOrFolder.replace(/\/$/, ''));
  }

  /** True where some file has that name, or that end of a path: `early-look.ts`, `gitee/http/standing.ts`. */
  hasEnd(end: string): boolean {
    return this.files.some((file) => file === end || file.endsWith(`/${end}`));
  }

  hasHeading(document: string, isIt: (title: string) => boolean): boolean {
    return [...this.read(document).matchAll(/^#+ (.*)$/gm)].some(([, title]) => isIt(title!));
  }
}

/** The comments of a source file, each on one line: what is cited may be broken over two. */
export function commentsOf(source: string): string {
  const comments: string[] = [];
  let isOpen = false;
  for (const line of source.split('\n')) {
    const [, mark, whole] = /^\s*(\/\*+|\*|\/\/)(?: (.*)|$)/.exec(line) ?? [];
    const text = mark === undefined ? / \/\/ (.*)$/.exec(line)?.[1] : (whole ?? '');
    if (isOpen && mark !== undefined && !mark.startsWith('/*')) comments.push(`${comments.pop()!} ${text!}`);
    else if (text !== undefined) comments.push(text);
    isOpen = mark !== undefined && !line.endsWith('*/');
  }
  return comments.join('\n');
}

/** What others have, cited by its place in their own repositories (distribution, git-lfs, OpenStack Swift). */
const OF_OTHERS = /^(docs\/(spec|api)|test\/s3api)\b/;
/** What setup.sh and the installer make; git ignores it. */
const MADE_AT_INSTALL = /^deploy\/(\.env|gateway\.env|registry\.yml|secrets|tls|acme)\b/;
const FOLDERS = '(?:docs|src|test|bench|deploy|nginx|registry-config|findings)';
const PATH = new RegExp(String.raw`(?<![\w./@:~$}-])${FOLDERS}/[\w.@/-]*\w(?![-\w*{<$…#])/?`, 'g');
const BARE_SOURCE = /(?<![\w./*<>}…-])[\w-]+(?:[/.][\w-]+)*\.ts\b(?!\.)/g;
const DOCUMENT = String.raw`(?<document>(?:[\w-]+/)*[\w-]+\.md)`;

/**
 * What a text cites and is not there, as sentences.
 * @param folder of the text: documents cite those beside them by their names alone
 */
export function deadCitations(text: string, checkout: Checkout, folder: string): string[] {
  const dead: string[] = [];
  const documentOf = (cited: string): string | undefined =>
    [cited, path.join(folder, cited), path.join('docs', cited)].find((file) => checkout.has(file));
  for (const [cited] of text.matchAll(PATH))
    if (!OF_OTHERS.test(cited) && !MADE_AT_INSTALL.test(cited) && !checkout.has(cited))
      dead.push(`${cited} is no file and no folder`);
  for (const [cited] of text.matchAll(BARE_SOURCE))
    if (!checkout.hasEnd(cited)) dead.push(`no file is called ${cited}`);
  const needSection = (cited: string, title: string, isIt: (heading: string) => boolean): void => {
    const document = documentOf(cited);
    if (document !== undefined && !checkout.hasHeading(document, isIt))
      dead.push(`${document} has no section ${title}`);
  };
  for (const { groups, 0: all } of text.matchAll(
    new RegExp(String.raw`${DOCUMENT}(?:,| and)?(?: §\d+(?:\.\d+)?(?:,| and)?)+`, 'g'),
  ))
    for (const [, number] of all.matchAll(/§(\d+(?:\.\d+)?)/g))
      needSection(groups!['document']!, `§${number}`, (heading) =>
        new RegExp(`^${number!.replace('.', String.raw`\.`)}\\.? `).test(heading),
      );
  for (const { groups, 0: all } of text.matchAll(
    new RegExp(String.raw`${DOCUMENT}\W{0,3},(?: (?:and )?"[A-Z][^"]*",?)+`, 'g'),
  ))
    for (const [, title] of all.matchAll(/"([^"]+?),?"/g))
      needSection(groups!['document']!, `"${title}"`, (heading) => heading === title);
  for (const { groups } of text.matchAll(new RegExp(String.raw`"(?<title>[A-Z][^"]*)" in ${DOCUMENT}`, 'g')))
    needSection(groups!['document']!, `"${groups!['title']}"`, (heading) => heading === groups!['title']);
  for (const { groups } of text.matchAll(new RegExp(String.raw`${DOCUMENT}\)?, (?<word>[A-Z]\w+)`, 'g')))
    needSection(groups!['document']!, groups!['word']!, (heading) => heading.startsWith(groups!['word']!));
  for (const [, number] of text.matchAll(/\b[Ii]nvariant (\d+)/g))
    if (!checkout.read('docs/durability.md').includes(`\n**${number}. `))
      dead.push(`docs/durability.md has no invariant ${number}`);
  return dead;
}
