import { CLIENTS, type ClientName } from './clients.js';
import { MESSAGE, PLACES, type Place } from './faults.js';
import type { Outcome } from './tolerance.js';
import { table, type Language } from './words.js';

const NAMES: Readonly<Record<Language, Readonly<Record<Place, string>>>> = {
  en: {
    start: '`POST …/blobs/uploads/`, which begins a layer',
    layer: '`PATCH` (containerd: `PUT`) with the bytes of a layer',
    finish: '`PUT …?digest=`, which ends a layer',
    tag: '`PUT …/manifests/TAG`, which ends the push',
    manifest: '`GET …/manifests/TAG`, which begins a pull',
    blob: '`GET …/blobs/…`, a layer',
  },
  zh: {
    start: '`POST …/blobs/uploads/`(开始上传一层)',
    layer: '`PATCH`(containerd 为 `PUT`,层的数据)',
    finish: '`PUT …?digest=`(结束一层)',
    tag: '`PUT …/manifests/TAG`(推送的最后一步)',
    manifest: '`GET …/manifests/TAG`(拉取的第一步)',
    blob: '`GET …/blobs/…`(下载一层)',
  },
};

const WAITS: Readonly<Record<Language, Readonly<Record<string, string>>>> = {
  en: { hold: 'no answer', still: 'no byte is read or sent', trickle: '16 KiB are read a second' },
  zh: { hold: '没有应答', still: '不读也不发任何字节', trickle: '每秒只读 16 KiB' },
};

type Lookup = (client: ClientName, place: Place, fault: string) => Outcome | undefined;

/** How long each client stays with a request that gets no answer. */
export function patience(outcomes: readonly Outcome[], language: Language): string {
  const find = lookup(outcomes);
  const rows = PLACES.flatMap((place) =>
    Object.keys(WAITS.en).flatMap((fault) => {
      if (!find('docker', place, fault)) return [];
      return [
        [
          NAMES[language][place],
          WAITS[language][fault]!,
          ...CLIENTS.map((c) => waited(find(c, place, fault), language)),
        ],
      ];
    }),
  );
  const head = { en: ['request', 'the server', ...CLIENTS], zh: ['请求', '服务端', ...CLIENTS] };
  return table(head[language], rows);
}

function waited(outcome: Outcome | undefined, language: Language): string {
  if (!outcome) return '–';
  const seconds = Math.floor(outcome.waitedSeconds / 10) * 10;
  if (outcome.endedBy !== 'limit' || outcome.code !== 0) return `${Math.round(outcome.waitedSeconds)} s`;
  return language === 'en' ? `over ${seconds} s` : `超过 ${seconds} 秒`;
}

/** Which answers a client repeats by itself, and when. Rows of the same cells are one. */
export function repeats(outcomes: readonly Outcome[], language: Language): string {
  const find = lookup(outcomes);
  const rows: string[][] = [];
  for (const place of PLACES) {
    const faults = outcomes
      .filter((one) => one.client === 'docker' && one.place === place)
      .map(({ fault }) => fault);
    for (const fault of faults.filter((name) => !(name in WAITS.en)).sort()) {
      const cells = CLIENTS.map((client) => repeated(find(client, place, fault), language));
      const same = rows.find(
        (row) => row[0] === NAMES[language][place] && row.slice(2).join('|') === cells.join('|'),
      );
      if (same) same[1] += `; ${fault}`;
      else rows.push([NAMES[language][place], fault, ...cells]);
    }
  }
  const head = { en: ['request', 'answer', ...CLIENTS], zh: ['请求', '应答', ...CLIENTS] };
  return table(head[language], rows);
}

/** In all, as the clients' sources have it; what is measured is somewhat longer. */
const LENGTHS_SECONDS = [6, 30, 50, 75, 120];

function repeated(outcome: Outcome | undefined, language: Language): string {
  if (!outcome) return '–';
  const en = language === 'en';
  const { gapsSeconds: gaps, tries } = outcome;
  const seconds = gaps.reduce((sum, gap) => sum + gap, 0);
  // dockerd asks for a layer twice in each try; containerd begins a layer and the configuration together.
  if (tries <= 1 || (tries === 2 && seconds < 0.7)) return 'no';
  if (seconds < 2 || (tries > 4 && seconds < 10)) return en ? 'a few times at once' : '立即重试几次';
  const apart = (length: number) => Math.abs(Math.log(length / seconds));
  const length =
    tries <= 4
      ? LENGTHS_SECONDS[0]
      : LENGTHS_SECONDS.reduce((best, one) => (apart(one) < apart(best) ? one : best));
  return en ? `for ${length} s` : `${length} 秒内`;
}

/** Of `{"errors":[{"code","message"}]}`: where the message reaches the terminal. */
export function words(outcomes: readonly Outcome[], language: Language): string {
  const none = { en: 'no', zh: '不显示' }[language];
  const rows = PLACES.map((place) => [
    NAMES[language][place],
    ...CLIENTS.map((client) => {
      const shown = new Set(
        outcomes
          .filter((one) => one.client === client && one.place === place && /^\d/.test(one.fault))
          .filter((one) => one.shown.join('\n').includes(MESSAGE))
          .map(({ fault }) => (fault.startsWith('429') ? '429' : `${fault[0]}xx`)),
      );
      if (shown.has('4xx')) shown.delete('429');
      return shown.size === 0 ? none : [...shown].sort().join(', ');
    }),
  ]);
  const head = { en: ['request', ...CLIENTS], zh: ['请求', ...CLIENTS] };
  return table(head[language], rows);
}

function lookup(outcomes: readonly Outcome[]): Lookup {
  const all = new Map(outcomes.map((one) => [`${one.client} ${one.place} ${one.fault}`, one]));
  return (client, place, fault) => all.get(`${client} ${place} ${fault}`);
}
