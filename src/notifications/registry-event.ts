/**
 * Events as registry 2.7.1 sends them (`application/vnd.docker.distribution.events.v1+json`; 2.8 and 3.x the same
 * with more). At least once, one request at a time, and again until it is answered 2xx.
 */
import { z } from 'zod';

export interface RegistryEvent {
  /** The registry's id of the event, the same when it is sent again. */
  readonly id: string;
  /** As the registry wrote it. */
  readonly time: string;
  readonly action: 'push' | 'pull' | 'delete';
  /** A layer is what no tag names: blobs, and the mount of one from another repository. */
  readonly kind: 'image' | 'layer';
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
  readonly mediaType?: string;
  readonly sizeBytes?: number;
  /** Who did it; '' where the registry asks nobody to log in. */
  readonly actor: string;
  /** IP address of the client. */
  readonly from: string;
  /** `http.request.id` in the registry's log. */
  readonly requestId: string;
  readonly userAgent: string;
  /** Nginx's id of the request, which it puts at the end of the agent: the one field of a client that is passed on. */
  readonly upstreamRequestId?: string;
}

export interface Envelope {
  readonly events: readonly RegistryEvent[];
  /** Events of a kind that nobody here knows. */
  readonly unknown: number;
}

const text = (max: number) => z.string().max(max);

const eventSchema = z.object({
  id: text(128).min(1),
  timestamp: text(64),
  action: text(32),
  target: z.object({
    mediaType: text(256).nullish(),
    size: z.number().nonnegative().nullish(),
    digest: text(256).nullish(),
    repository: text(512).min(1),
    tag: text(256).nullish(),
  }),
  request: z
    .object({ id: text(128).nullish(), addr: text(256).nullish(), useragent: text(4096).nullish() })
    .nullish(),
  actor: z.object({ name: text(512).nullish() }).nullish(),
});

const envelopeSchema = z.object({ events: z.array(eventSchema).max(1000) });

const ACTIONS: Readonly<Record<string, RegistryEvent['action']>> = {
  push: 'push',
  pull: 'pull',
  delete: 'delete',
  mount: 'push',
};
const IMAGE_TYPES =
  /^application\/vnd\.(?:docker\.distribution\.manifest\.|oci\.image\.(?:manifest|index)\.)/;

/** undefined where it is no envelope. */
export function readEnvelope(body: Uint8Array): Envelope | undefined {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = envelopeSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const events = parsed.data.events.flatMap((event) => readEvent(event) ?? []);
  return { events, unknown: parsed.data.events.length - events.length };
}

function readEvent(event: z.infer<typeof eventSchema>): RegistryEvent | undefined {
  const { id, timestamp, target, request, actor } = event;
  const action = ACTIONS[event.action];
  if (!action) return undefined;
  const { tag, digest, mediaType, size } = target;
  return {
    id,
    time: timestamp,
    action,
    kind: event.action !== 'mount' && isImage(action, mediaType ?? undefined) ? 'image' : 'layer',
    repository: target.repository,
    ...(tag ? { tag } : {}),
    ...(digest ? { digest } : {}),
    ...(mediaType ? { mediaType } : {}),
    ...(size ? { sizeBytes: size } : {}),
    actor: actor?.name ?? '',
    from: withoutPort(request?.addr ?? ''),
    requestId: request?.id ?? '',
    ...readAgent(request?.useragent ?? ''),
  };
}

/** Of a deletion the registry tells no type; clients delete images, and layers go with its garbage collector. */
function isImage(action: RegistryEvent['action'], mediaType: string | undefined): boolean {
  return mediaType === undefined ? action === 'delete' : IMAGE_TYPES.test(mediaType);
}

/** `docker/28.1 (linux) request-id/<id>`, as nginx/snippets/registry-upstream.conf makes it. */
function readAgent(agent: string): { userAgent: string; upstreamRequestId?: string } {
  const m = /^(.*?) ?request-id\/([\w-]{8,128})$/s.exec(agent);
  return m ? { userAgent: m[1]!, upstreamRequestId: m[2]! } : { userAgent: agent };
}

/** `192.0.2.1:1234` and `[2001:db8::1]:1234`; behind a proxy the registry has the address alone. */
function withoutPort(address: string): string {
  const m = /^\[(.+)\](?::\d+)?$/.exec(address) ?? /^([^:]+):\d+$/.exec(address);
  return m?.[1] ?? address;
}

/** `acme/app:1.2`, or with the digest where there is no tag. */
export function imageName({ repository, tag, digest }: RegistryEvent): string {
  if (tag !== undefined) return `${repository}:${tag}`;
  return digest === undefined ? repository : `${repository}@${digest}`;
}
