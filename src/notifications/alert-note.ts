/** How a group of alerts is told to people, in Chinese and English. */
import type { Alert, AlertGroup } from './alert-payload.js';
import type { Note } from './message.js';

/** WeCom refuses over 4,096 bytes of markdown, the other robots over 20,000: room is left for what is put around it. */
const LINES_MAX_BYTES = 3300;
const LINE_MAX_CHARACTERS = 300;

/**
 * @param id of this delivery, the same when it is tried again.
 * @param docsUrl where docs/ is to be read, put before the paths of runbooks; '' shows the paths alone.
 */
export function alertNote(group: AlertGroup, id: string, docsUrl: string): Note {
  // What still burns comes first: the end of a long message is cut.
  const alerts = [...group.alerts].sort((a, b) => rank(a) - rank(b));
  const lines: string[] = [];
  let shown = 0;
  let bytes = 0;
  for (const alert of alerts) {
    const more = linesOf(alert, docsUrl);
    bytes += more.reduce((sum, line) => sum + Buffer.byteLength(line) + 4, 0);
    if (bytes > LINES_MAX_BYTES && shown > 0) break;
    lines.push(...more);
    shown += 1;
  }
  const hidden = alerts.length - shown + group.leftOut;
  if (hidden > 0) lines.push(`另有 ${hidden} 条 / and ${hidden} more`);
  const document = { event: 'alert', id, alerts, leftOut: group.leftOut };
  return { event: 'alert', id, title: title(group), lines, document };
}

function rank(alert: Alert): number {
  return (alert.isFiring ? 0 : 2) + (alert.severity === 'critical' ? 0 : 1);
}

function title({ alerts, leftOut }: AlertGroup): string {
  const firing = alerts.filter((alert) => alert.isFiring);
  const names = [...new Set((firing.length > 0 ? firing : alerts).map((alert) => alert.name))];
  const n = (firing.length > 0 ? firing.length : alerts.length) + leftOut;
  const what = firing.length > 0 ? '告警 / alert' : '已恢复 / resolved';
  return plain(`${what}: ${names.join(', ')}${n > 1 ? ` (${n})` : ''}`);
}

function linesOf(alert: Alert, docsUrl: string): string[] {
  const { description, endedAt, isFiring, name, runbook, severity, startedAt, summary, summaryZh } = alert;
  const said = [summaryZh, summary].filter((text) => text !== '').join(' / ') || name;
  const state = isFiring ? severity || 'firing' : '已恢复 / resolved';
  return [
    `${state}: ${said}`,
    ...(isFiring && description !== '' ? [description] : []),
    endedAt === undefined ? `开始 / since: ${startedAt}` : `结束 / ended: ${endedAt}`,
    ...(isFiring && runbook !== '' ? [`手册 / runbook: ${address(runbook, docsUrl)}`] : []),
  ].map(plain);
}

function address(runbook: string, docsUrl: string): string {
  if (docsUrl === '' || /^https?:/.test(runbook)) return runbook;
  return `${docsUrl.replace(/\/*$/, '/')}${runbook}`;
}

/** Labels hold names that others chose: no link, mention, picture or markup of theirs gets into the room. */
function plain(text: string): string {
  return text.replace(/[\p{C}[\]<>*`#|\\!~]+/gu, ' ').slice(0, LINE_MAX_CHARACTERS);
}
