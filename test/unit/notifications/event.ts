import type { RegistryEvent } from '../../../src/notifications/registry-event.js';

export const registryEvent = (over: Partial<RegistryEvent> = {}): RegistryEvent => ({
  ...{ id: 'e1', time: '2026-11-24T12:00:00Z', action: 'push', kind: 'image' },
  ...{ repository: 'acme/app', tag: '1.2', digest: `sha256:${'a'.repeat(64)}` },
  ...{ actor: 'alice', from: '192.0.2.7', requestId: 'r1', userAgent: 'docker/28' },
  ...over,
});
