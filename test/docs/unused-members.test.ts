/**
 * Methods, accessors and properties of classes and interfaces that nobody in src asks for, by their names. What is not
 * exported or not imported is found by knip (`npm run lint:files`), which does not look into classes.
 */
import ts from 'typescript';
import { Checkout } from '../support/citations.js';
import { ROOT } from './document.js';

/** Node calls these, and nobody else. */
const CALLED_BY_NODE: ReadonlySet<string> = new Set([
  '_read',
  '_write',
  '_final',
  '_transform',
  '_flush',
  '_destroy',
]);

interface Source {
  readonly file: string;
  readonly text: string;
}

/** As `file: name`. What is there for tests says so by `@internal`. */
function unusedMembers(sources: readonly Source[]): string[] {
  const declared: { name: string; file: string }[] = [];
  const used = new Set<string>();
  const look = (node: ts.Node, file: string): void => {
    const isOfType = ts.isClassLike(node.parent) || ts.isInterfaceDeclaration(node.parent);
    const name = isOfType && (ts.isClassElement(node) || ts.isTypeElement(node)) ? node.name : undefined;
    if (name && ts.isIdentifier(name)) {
      const isForTests = ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal');
      if (!isForTests) declared.push({ name: name.text, file });
    } else if (ts.isIdentifier(node) || ts.isStringLiteralLike(node)) used.add(node.text);
    node.forEachChild((child) => {
      if (child !== name) look(child, file);
    });
  };
  for (const { file, text } of sources)
    ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true).forEachChild((node) => look(node, file));
  return declared
    .filter(({ name }) => !used.has(name) && !CALLED_BY_NODE.has(name))
    .map(({ name, file }) => `${file}: ${name}`);
}

test('src has no member that nothing in src asks for', () => {
  const checkout = new Checkout(ROOT);
  const files = checkout.files.filter((file) => /^src\/.*\.ts$/.test(file));
  expect(unusedMembers(files.map((file) => ({ file, text: checkout.read(file) })))).toEqual([]);
});

test('a method that is declared by interface and class and called by nobody is seen, a used one is not', () => {
  const text = `
    interface Store { read(): string; forget(): void; readonly size: number }
    export class MemoryStore implements Store {
      read() { return \`\${this.size}\`; }
      forget() {}
      get size() { return 1; }
      /** @internal asked by tests */
      get kept() { return 2; }
    }
    new MemoryStore().read();`;
  expect(unusedMembers([{ file: 'src/store.ts', text }])).toEqual([
    'src/store.ts: forget',
    'src/store.ts: forget',
  ]);
});
