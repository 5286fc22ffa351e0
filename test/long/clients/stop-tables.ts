import { CLIENTS, ENDED, type ClientName } from './clients.js';
import { EVENTS } from './events.js';
import { explanationOf } from './explanations.js';
import { SIZES, type StopOutcome } from './stops.js';
import { table, type Language } from './words.js';

const DIRECTIONS = ['push', 'pull'] as const;

/** What becomes of each push and pull, by what happens in the middle of it. */
export function outcomesTable(outcomes: readonly StopOutcome[], language: Language): string {
  const en = language === 'en';
  const rows = DIRECTIONS.flatMap((direction) =>
    Object.entries(EVENTS).flatMap(([event, { what, zh }]) => {
      const met = outcomes.filter((one) => one.direction === direction && one.event === event);
      if (met.length === 0) return [];
      const sizes = Object.keys(SIZES).filter((size) => met.some((one) => one.size === size));
      const cells = CLIENTS.map((client) =>
        cell(
          met.filter((one) => one.client === client),
          language,
        ),
      );
      return [
        [en ? direction : direction === 'push' ? '推送' : '拉取', en ? what : zh, sizes.join(', '), ...cells],
      ];
    }),
  );
  return table(en ? ['', 'in the middle', 'layers', ...CLIENTS] : ['', '中途发生', '层数', ...CLIENTS], rows);
}

function cell(outcomes: readonly StopOutcome[], language: Language): string {
  const bySize = new Map<string, string[]>();
  for (const size of Object.keys(SIZES)) {
    const found = outcomes.find((one) => one.size === size);
    if (!found) continue;
    const verdict = verdictOf(found, language);
    bySize.set(verdict, [...(bySize.get(verdict) ?? []), size]);
  }
  if (bySize.size === 1) return [...bySize.keys()][0]!;
  return [...bySize].map(([verdict, sizes]) => `${sizes.join(', ')}: ${verdict}`).join('; ') || '–';
}

/**
 * `goes on`: the one command succeeds. `again`: it fails, and the same command once more succeeds. `hangs`: it had to
 * be ended.
 */
function verdictOf({ code, again }: StopOutcome, language: Language = 'en'): string {
  const en = language === 'en';
  if (code === 0) return en ? 'goes on' : '自行完成';
  if (code === ENDED || again?.code === ENDED) return en ? '**hangs**' : '**挂起**';
  if (again?.code === 0) return en ? 'again' : '重做一次';
  return en ? '**fails**' : '**失败**';
}

/** What terminals show of what failed: the words, who shows them and when, what they mean, what to do. */
export function shownTable(outcomes: readonly StopOutcome[], language: Language): string {
  const rows = new Map<string, { clients: Set<ClientName>; when: Set<string> }>();
  for (const outcome of outcomes) {
    const isRetried = outcome.shown.some((line) => line.includes('Retrying in'));
    if (outcome.code === 0 && !isRetried) continue;
    const text = outcome.code === 0 ? 'Retrying in … seconds' : wordsOf(outcome);
    const row = rows.get(text) ?? { clients: new Set<ClientName>(), when: new Set<string>() };
    row.clients.add(outcome.client);
    const { what, zh } = EVENTS[outcome.event]!;
    row.when.add(
      language === 'en'
        ? `${outcome.direction}: ${what}`
        : `${outcome.direction === 'push' ? '推送' : '拉取'}:${zh}`,
    );
    rows.set(text, row);
  }
  const head = {
    en: ['you see', 'client', 'when', 'it means, and what to do'],
    zh: ['看到的', '客户端', '何时', '含义与处理'],
  };
  return table(
    head[language],
    [...rows]
      .sort()
      .map(([text, { clients, when }]) => [
        `\`${text}\``,
        CLIENTS.filter((name) => clients.has(name)).join(', '),
        [...when].join('; '),
        explanationOf(text)[language],
      ]),
  );
}

/** The last thing that was said, without what is another each time. */
function wordsOf({ shown }: StopOutcome): string {
  const last = shown.filter((line) => !/Retrying in/.test(line)).at(-1) ?? shown.at(-1) ?? '';
  const known = KNOWN.map((pattern) => pattern.exec(last)?.[0]).find((found) => found !== undefined);
  return (known ?? last)
    .replace(/ 198\.51\.100\.1(->198\.51\.100\.1)?/, '')
    .replaceAll(/[0-9a-f]{12,64}/g, 'ID')
    .replaceAll(/\d\d:\d\d UTC/g, 'HH:MM UTC')
    .replaceAll(/(?<=[(（])\d+(?= (min|分钟))/g, 'N')
    .replaceAll('|', '\\|')
    .replace(/"$/, '')
    .replace(/^(.{300}).+$/, '$1…');
}

/** From the words that say what happened to the end of the line. */
const KNOWN = [
  /(denied|unauthorized|toomanyrequests|unavailable|unknown): .*/,
  /received unexpected HTTP status: .*/,
  /unexpected status( code)?:? ?\d.*/,
  /unexpected status code .*/,
  /invalid status code from registry .*/,
  /too many requests to registry/,
  /(unexpected EOF|connection reset by peer|broken pipe|connection refused|use of closed network connection)/,
  /failed to copy after \d retries/,
  /read\/write on closed pipe/,
  /unable to retrieve auth token: .*/,
  /EOF/,
];
