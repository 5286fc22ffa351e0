import { imageName, readEnvelope } from '../../../src/notifications/registry-event.js';

/** As docker-registry 2.8.2 really sent it (2.7.1 has the same fields). */
const sent = (action: string, target: Record<string, unknown>) => ({
  id: '809669fa-a6a0-45c9-8ee2-93d037aca0d7',
  timestamp: '2026-11-24T12:49:22.110022224Z',
  action,
  target: { repository: 'foo', ...target },
  request: {
    id: '3cc3b1fe-ab5e-4d20-8b6e-317a979da14f',
    addr: '127.0.0.1:56426',
    host: '127.0.0.1:15877',
    method: 'PUT',
    useragent: 'curl/7.88.1',
  },
  actor: {},
  source: { addr: 'vm:15877', instanceID: '6689a0b4-1a1d-44a1-adbf-336f8f8ae4bb' },
});
const DIGEST = `sha256:${'6'.repeat(64)}`;
const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

function read(...events: unknown[]) {
  return readEnvelope(Buffer.from(JSON.stringify({ events })));
}

test('a pushed tag is an image event with who, where and which request', () => {
  const target = {
    mediaType: MANIFEST,
    size: 263,
    length: 263,
    digest: DIGEST,
    url: 'http://x',
    tag: 'latest',
  };
  expect(read(sent('push', target))).toEqual({
    unknown: 0,
    events: [
      {
        id: '809669fa-a6a0-45c9-8ee2-93d037aca0d7',
        time: '2026-11-24T12:49:22.110022224Z',
        ...{ action: 'push', kind: 'image', repository: 'foo', tag: 'latest', digest: DIGEST },
        ...{ mediaType: MANIFEST, sizeBytes: 263, actor: '', from: '127.0.0.1' },
        ...{ requestId: '3cc3b1fe-ab5e-4d20-8b6e-317a979da14f', userAgent: 'curl/7.88.1' },
      },
    ],
  });
});

test.each([
  ['a blob', 'push', { mediaType: 'application/octet-stream', digest: DIGEST }, 'push', 'layer'],
  ['a mount', 'mount', { mediaType: 'application/octet-stream', digest: DIGEST }, 'push', 'layer'],
  ['an index', 'pull', { mediaType: 'application/vnd.oci.image.index.v1+json' }, 'pull', 'image'],
  ['a deleted manifest', 'delete', { digest: DIGEST }, 'delete', 'image'],
  ['a deleted tag', 'delete', { tag: 'latest' }, 'delete', 'image'],
])('%s is told apart', (_what, action, target, asAction, kind) => {
  expect(read(sent(action, target))?.events[0]).toMatchObject({ action: asAction, kind });
});

test('an action that nobody knows is counted, not guessed at', () => {
  expect(read(sent('rename', {}), sent('pull', {}))).toMatchObject({
    unknown: 1,
    events: [{ action: 'pull' }],
  });
});

test.each(['', '[]', '{"events":[{"id":""}]}', '{"events":1}', 'null'])('%j is no envelope', (body) => {
  expect(readEnvelope(Buffer.from(body))).toBeUndefined();
});

test.each([
  ['[2001:db8::1]:443', '2001:db8::1'],
  ['2001:db8::1', '2001:db8::1'],
  ['192.0.2.1', '192.0.2.1'],
])('the client address of %s is %s', (addr, from) => {
  const event = { ...sent('pull', {}), request: { addr } };
  expect(read(event)?.events[0]?.from).toBe(from);
});

test('an image is named by tag, else by digest, else by its repository', () => {
  const names = [{ tag: '1', digest: DIGEST }, { digest: DIGEST }, {}].map((target) =>
    imageName(read(sent('delete', target))!.events[0]!),
  );
  expect(names).toEqual(['foo:1', `foo@${DIGEST}`, 'foo']);
});

test.each([
  ['docker/28.1 (linux) request-id/f00dcafe', 'docker/28.1 (linux)', 'f00dcafe'],
  ['request-id/f00dcafe', '', 'f00dcafe'],
  ['a request-id/11111111 request-id/f00dcafe', 'a request-id/11111111', 'f00dcafe'],
  ['docker/28.1 request-id/', 'docker/28.1 request-id/', undefined],
])('of the agent %j the id at the end is Nginx’s', (useragent, userAgent, upstreamRequestId) => {
  const event = { ...sent('pull', {}), request: { useragent } };
  const only = read(event)!.events[0]!;
  expect([only.userAgent, only.upstreamRequestId]).toEqual([userAgent, upstreamRequestId]);
});
