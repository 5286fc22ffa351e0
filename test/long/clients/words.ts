export type Language = 'en' | 'zh';

/** A table of Markdown, as Prettier leaves it. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Replaces what stands between `<!-- clients: NAME -->` and the next `<!-- /clients -->`. */
export function fill(document: string, parts: Readonly<Record<string, string>>): string {
  return document.replaceAll(
    /(<!-- clients: ([\w-]+) -->\n)[\s\S]*?(<!-- \/clients -->)/g,
    (_all, begin: string, name: string, end: string) => {
      const part = parts[name];
      if (part === undefined) throw new Error(`no such table: ${name}`);
      return `${begin}\n${part}\n\n${end}`;
    },
  );
}
