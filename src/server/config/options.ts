/**
 * The one table of options, in the order of docs/configuration.md; the rows stand by subject in options/. Types,
 * start-up check, environment names, `--help` and docs/configuration.md come from it; test/docs holds the document to
 * it, both ways.
 */
import { AUTH_OPTIONS } from './options/auth.js';
import { BUCKET_OPTIONS } from './options/buckets.js';
import { GITEE_OPTIONS } from './options/gitee.js';
import { LISTENER_OPTIONS } from './options/listeners.js';
import { BUCKET_RULE_OPTIONS } from './options/bucket-rules.js';
import { PROCESS_OPTIONS } from './options/process.js';
import { REPORT_OPTIONS } from './options/reports.js';
import { STORAGE_OPTIONS } from './options/storage.js';

export const OPTIONS = {
  ...LISTENER_OPTIONS,
  ...GITEE_OPTIONS,
  ...STORAGE_OPTIONS,
  ...BUCKET_OPTIONS,
  ...REPORT_OPTIONS,
  ...AUTH_OPTIONS,
  ...BUCKET_RULE_OPTIONS,
  ...PROCESS_OPTIONS,
} as const;
