import { table, type Language } from '../clients/words.js';
import type { Configuration, S3Client } from './client.js';
import { S3_CLIENTS } from './clients.js';
import { resultOf } from './results.js';

const HEAD = {
  en: ['client', 'version', 'from', 'works', 'does not, and why'],
  zh: ['客户端', '版本', '来源', '可用', '不可用及原因'],
} as const;
const PERIOD = { en: '; ', zh: ';' } as const;

/** All clients: the table of docs/clients.md. */
export async function s3Table(language: Language): Promise<string> {
  const rows = await Promise.all(
    S3_CLIENTS.map(async (client) => [
      `[${client.name}](s3-clients.md#${anchorOf(client)})`,
      (await resultOf(client))?.version ?? '',
      originOf(client),
      client.works.map((claim) => claim[language]).join(PERIOD[language]),
      client.limits.map((claim) => claim[language]).join(PERIOD[language]),
    ]),
  );
  return table(HEAD[language], rows);
}

/** How each is configured: docs/s3-clients.md, below its introduction. */
export function s3Configurations(language: Language): string {
  return S3_CLIENTS.map(
    (client) =>
      `## ${client.name}\n\n${client.configuration.map((one) => block(one, language)).join('\n\n')}`,
  ).join('\n\n');
}

/** As GitHub and Gitee name the place of a heading. */
function anchorOf({ name }: S3Client): string {
  return name
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function block({ file, language: code, text }: Configuration, language: Language): string {
  const where = file === undefined ? '' : `\`~/${file}\`${language === 'en' ? ':' : ':'}\n\n`;
  return `${where}\`\`\`${code}\n${text}\n\`\`\``;
}

function originOf({ packages }: S3Client): string {
  return 'debian' in packages
    ? `Debian: \`${packages.debian[0]}\``
    : `npm: \`${packages.npm[0]!.replace(/(?<=.)@.*$/, '')}\``;
}
