/**
 * What Alertmanager posts to a webhook, version 4 of it
 * (prometheus.io/docs/alerting/latest/configuration, webhook_config): one group of alerts that fire or are over.
 */
import { z } from 'zod';

export interface Alert {
  readonly isFiring: boolean;
  readonly name: string;
  /** Label of our rules: critical or warning; '' where a rule has none. */
  readonly severity: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
  readonly summaryZh: string;
  readonly description: string;
  /** Path in docs/, or an address; '' where a rule names none. */
  readonly runbook: string;
  /** As Alertmanager wrote it, RFC 3339. */
  readonly startedAt: string;
  /** Only of an alert that is over. */
  readonly endedAt?: string;
}

export interface AlertGroup {
  readonly alerts: readonly Alert[];
  /** How many Alertmanager left out (`max_alerts`). */
  readonly leftOut: number;
}

const text = (max: number) => z.string().max(max);
const texts = z.record(text(256), text(8192));

const alertSchema = z.object({
  status: z.enum(['firing', 'resolved']),
  labels: texts,
  annotations: texts.nullish(),
  startsAt: text(64),
  endsAt: text(64).nullish(),
});

const groupSchema = z.object({
  version: z.literal('4'),
  truncatedAlerts: z.number().int().nonnegative().nullish(),
  alerts: z.array(alertSchema).max(1000),
});

/** undefined where it is no such payload. */
export function readAlertGroup(body: Uint8Array): AlertGroup | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = groupSchema.safeParse(json);
  if (!parsed.success) return undefined;
  return { alerts: parsed.data.alerts.map(readAlert), leftOut: parsed.data.truncatedAlerts ?? 0 };
}

function readAlert({ status, labels, annotations, startsAt, endsAt }: z.infer<typeof alertSchema>): Alert {
  const noted = annotations ?? {};
  return {
    isFiring: status === 'firing',
    name: labels['alertname'] ?? '',
    severity: labels['severity'] ?? '',
    labels,
    summary: noted['summary'] ?? '',
    summaryZh: noted['summary_zh'] ?? '',
    description: noted['description'] ?? '',
    runbook: noted['runbook'] ?? '',
    startedAt: startsAt,
    ...(status === 'resolved' && endsAt ? { endedAt: endsAt } : {}),
  };
}
