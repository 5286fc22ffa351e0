/** Reads the pages for operators: their headings and the blocks of commands. */
import { readFileSync } from 'node:fs';

/** Pages whose every `sh` block is run, in both languages. */
export const OPERATOR_PAGES = [
  'install',
  'images',
  'production-checklist',
  'upgrade',
  'backup-restore',
  'troubleshooting',
  'security',
] as const;

export type OperatorPage = (typeof OPERATOR_PAGES)[number];

export interface Block {
  /** What stands after the fence: sh, ini, text. */
  readonly language: string;
  readonly text: string;
}

export function pageText(page: string, language: 'en' | 'zh' = 'en'): string {
  return readFileSync(`docs/${language === 'zh' ? 'zh/' : ''}${page}.md`, 'utf8');
}

export function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, text]) => ({
    language: language!,
    text: text!,
  }));
}

/** Levels of the headings, in order. */
export function headingLevels(markdown: string): number[] {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/^(#+) /gm)].map(([, marks]) => marks!.length);
}

/** The `sh` blocks of a page, by their first lines' place: `page`, and 0, 1, … */
export function commandBlocks(page: OperatorPage): string[] {
  return blocksOf(pageText(page))
    .filter((block) => block.language === 'sh')
    .map((block) => block.text);
}
