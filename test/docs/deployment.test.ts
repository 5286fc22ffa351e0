import { parse } from 'yaml';
import { parseSize } from '../../src/server/config/quantity.js';
import { OPTIONS } from '../../src/server/config/options.js';
import { exists, readDocument } from './document.js';

interface Compose {
  name?: string;
  services: Record<
    string,
    {
      image: string;
      user?: string;
      volumes?: string[];
      env_file?: string[];
      ports?: string[];
      secrets?: (string | { source: string })[];
    }
  >;
  secrets: Record<string, { file: string }>;
}

const compose = parse(readDocument('deploy/compose.yaml')) as Compose;
const registry = parse(readDocument('registry-config/config.yml')) as {
  storage: { s3: Record<string, unknown>; [key: string]: unknown };
  http: { secret?: string };
};

test('the compose file names no project, so that docker-compose 1.29 reads it', () => {
  expect(compose.name).toBeUndefined();
});

test('every shipped file that the compose file mounts exists', () => {
  const mounts = Object.values(compose.services).flatMap((service) => service.volumes ?? []);
  const files = mounts.map((mount) => mount.split(':')[0]!).filter((source) => source.startsWith('.'));
  expect(files.length).toBeGreaterThan(2);
  for (const file of files) {
    if (['./registry.yml', './acme/config', './acme/webroot'].includes(file)) continue; // made by setup.sh
    expect([file, exists(`deploy/${file}`)]).toEqual([file, true]);
  }
});

test('only 443 and 80 are published, monitoring on loopback, and every secret that a service takes is defined', () => {
  const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
  expect(ports.filter((port) => !port.startsWith('${MONITORING_ADDRESS:-127.0.0.1}:'))).toEqual([
    '${HTTPS_PORT:-443}:8443',
    '${HTTP_PORT:-80}:8080',
  ]);
  for (const service of Object.values(compose.services)) {
    for (const secret of service.secrets ?? [])
      expect(compose.secrets).toHaveProperty([typeof secret === 'string' ? secret : secret.source]);
  }
});

test('no secret goes through Docker’s client or into the environment of a container, where others can look', () => {
  const files = Object.values(compose.services).flatMap((service) => service.env_file ?? []);
  expect([...new Set(files)]).toEqual(['gateway.env']);
  for (const { file } of Object.values(compose.secrets)) expect(file).toMatch(/^\.\/(secrets|tls)\//);
  const mounts = Object.values(compose.services).flatMap((service) => service.volumes ?? []);
  expect(mounts.filter((mount) => /^\.\/(secrets|tls)\b/.test(mount))).toEqual([]);
});

test('a container that sees the files of the host runs as somebody to whom none of them belongs', () => {
  const seeing = Object.entries(compose.services).filter(([, { volumes = [] }]) =>
    volumes.some((mount) => mount.startsWith('/:')),
  );
  expect(seeing.map(([name, { user }]) => [name, user])).toEqual([['node-exporter', '65534:65534']]);
});

test('the registry uploads parts of the size of a chunk and moves layers by one copy', () => {
  expect(registry.storage.s3.chunksize).toBe(parseSize(OPTIONS.chunk_size.default!));
  expect(registry.storage.s3.multipartcopychunksize).toBe(5 * 1024 ** 3);
  expect(registry.storage.s3.multipartcopythresholdsize).toBe(5 * 1024 ** 3);
  expect(registry.storage.s3.region).toBe(OPTIONS.region.default);
});

test('no secret stands in the shipped configuration', () => {
  expect(registry.http.secret).toBeUndefined();
  expect(registry.storage.s3).not.toHaveProperty('accesskey');
  expect(registry.storage.s3).not.toHaveProperty('secretkey');
});
