/**
 * Gitee's webhooks (docs/facts/gitee.md §5). The signature covers time and secret, not the body: whoever saw one
 * delivery can send any body for an hour. So a good hook is a hint to read the branch, never data.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';

const WINDOW_MS = 3_600_000;
const NO_COMMIT = /^0+$/;

export type WebhookVerdict =
  | {
      readonly kind: 'push';
      /** `refs/heads/…` */
      readonly ref: string;
      /** Where the branch is said to be; null: deleted. */
      readonly after: string | null;
      /** `owner/name`; undefined where the body does not tell. */
      readonly pathWithNamespace: string | undefined;
    }
  /** A good hook about something else, or a test delivery. */
  | { readonly kind: 'other'; readonly event: string }
  | { readonly kind: 'refused'; readonly reason: 'no-token' | 'wrong-token' | 'too-old' | 'malformed' };

const pushSchema = z.object({
  ref: z.string(),
  after: z.string().nullish(),
  repository: z.object({ path_with_namespace: z.string().nullish() }).nullish(),
  project: z.object({ path_with_namespace: z.string().nullish() }).nullish(),
});

type Headers = Readonly<Record<string, string | string[] | undefined>>;
type Refusal = Extract<WebhookVerdict, { kind: 'refused' }>;

/**
 * Judges who sends a delivery, before a byte of its body is read; undefined where that is Gitee. Header names in lower
 * case, as Node gives them.
 * @param secret the password of the hook; both of Gitee's modes prove that the sender knows it
 */
export function refuseSender(headers: Headers, secret: string, nowMs: number): Refusal | undefined {
  const token = one(headers['x-gitee-token']);
  if (token === undefined || token === '' || secret === '') return { kind: 'refused', reason: 'no-token' };
  const timestamp = one(headers['x-gitee-timestamp']);
  const isPassword = same(token, secret);
  if (!isPassword && !isSignature(token, timestamp, secret))
    return { kind: 'refused', reason: 'wrong-token' };
  if (timestamp !== undefined && !(Math.abs(Number(timestamp) - nowMs) <= WINDOW_MS))
    return { kind: 'refused', reason: 'too-old' };
  return undefined;
}

/** What a delivery says. Whoever calls it has asked refuseSender. */
export function readWebhook(headers: Headers, body: Uint8Array): WebhookVerdict {
  const event = one(headers['x-gitee-event']) ?? '';
  const isPing = one(headers['x-gitee-ping']) === 'true';
  // A ping was seen with `push_hooks`, a push with `Push Hook`; both mean the branch.
  if (isPing || !/^(push hook|push_hooks)$/i.test(event)) return { kind: 'other', event };
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return { kind: 'refused', reason: 'malformed' };
  }
  const push = pushSchema.safeParse(json);
  if (!push.success) return { kind: 'refused', reason: 'malformed' };
  const { ref, after, repository, project } = push.data;
  return {
    kind: 'push',
    ref,
    after: !after || NO_COMMIT.test(after) ? null : after,
    pathWithNamespace: (repository ?? project)?.path_with_namespace ?? undefined,
  };
}

/** The document says URL-encoded, captures show plain base64: both are tried. */
function isSignature(token: string, timestamp: string | undefined, secret: string): boolean {
  if (timestamp === undefined) return false;
  const right = createHmac('sha256', secret).update(`${timestamp}\n${secret}`).digest('base64');
  const plain = same(token, right);
  return same(decoded(token), right) || plain;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** In constant time, whatever the lengths. */
function same(a: string, b: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(a), hash(b));
}

function one(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
