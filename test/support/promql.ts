/** Every expression of PromQL that the shipped files have, and the names of metrics in one. */
import { parse } from 'yaml';

export interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly datasource?: { readonly type: string; readonly uid: string };
}

export interface Dashboard {
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
}

export function rulesOf(yaml: string): Rule[] {
  const { groups } = parse(yaml) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
}

/** With Grafana's variable of an interval put in, as Grafana does before it asks. */
export function expressionsOf(dashboard: Dashboard): string[] {
  const panels = dashboard.panels.flatMap((panel) => panel.targets ?? []);
  return [...panels, ...dashboard.annotations.list].map(({ expr }) =>
    expr.replaceAll('$__rate_interval', '5m'),
  );
}

const WORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan']);

/** Names of series, those of recording rules among them. Durations, labels, functions and texts are left out. */
export function metricNames(expr: string): string[] {
  const bare = expr
    .replace(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g, '')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\boffset\s+\w+/g, ' ')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  const names = [...bare.matchAll(/(?<![\w:.])[a-zA-Z_:][\w:]*(?!\s*\()(?![\w:])/g)].map((m) => m[0]);
  return [...new Set(names.filter((name) => !WORDS.has(name.toLowerCase())))];
}
