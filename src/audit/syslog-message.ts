import type { AuditRecord } from './record.js';

/** Log audit. */
const FACILITY = 13;
const SEVERITY: Readonly<Record<AuditRecord['result'], number>> = { ok: 6, refused: 4, failed: 3 };
const APP_NAME = 'gitee-s3';

export interface SyslogMessage {
  readonly priority: number;
  /** The whole RFC 5424 message. */
  readonly frame: string;
  /** Its MSG part alone, for a sender that makes the header itself. */
  readonly text: string;
}

/** RFC 5424 §6: header, no structured data, the line as MSG. */
export function syslogMessage(record: AuditRecord, line: string, host: string, pid: number): SyslogMessage {
  const priority = FACILITY * 8 + SEVERITY[record.result];
  const name = printable(host, 255);
  const id = printable(record.action, 32);
  return {
    priority,
    frame: `<${priority}>1 ${record.time} ${name} ${APP_NAME} ${pid} ${id} - ${line}`,
    text: line,
  };
}

/** PRINTUSASCII of the given length, or the NILVALUE. */
function printable(text: string, max: number): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, max) || '-';
}
