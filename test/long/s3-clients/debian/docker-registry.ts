import assert from 'node:assert/strict';
import { httpStatus, until } from '../../../support/child.js';
import type { S3Client } from '../client.js';

const CONFIGURATION = `version: 0.1
storage:
  s3:
    regionendpoint: http://s3.example.com
    region: us-east-1
    bucket: files
    accesskey: ACCESS_KEY_ID
    secretkey: SECRET_ACCESS_KEY
    secure: false
    v4auth: true
http:
  addr: 127.0.0.1:5000`;

export const dockerRegistry: S3Client = {
  name: 'docker-registry',
  packages: { debian: ['docker-registry', 'skopeo'] },
  configuration: [{ file: 'registry.yml', language: 'yaml', text: CONFIGURATION }],
  prepare: async (place) => {
    await place.sh(`mkdir image; cd image; head -c 20000000 /dev/urandom >file; tar cf - file | gzip -1 >layer; rm file
      size() { stat -c %s $1; }; sum() { sha256sum <$1 | cut -d' ' -f1; }
      printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \\
        "$(zcat layer | sha256sum | cut -d' ' -f1)" >config
      type=application/vnd.docker
      printf '{"schemaVersion":2,"mediaType":"'$type'.distribution.manifest.v2+json",
        "config":{"mediaType":"'$type'.container.image.v1+json","size":%s,"digest":"sha256:%s"},
        "layers":[{"mediaType":"'$type'.image.rootfs.diff.tar.gzip","size":%s,"digest":"sha256:%s"}]}' \\
        $(size config) $(sum config) $(size layer) $(sum layer) >manifest.json
      mv config $(sum config); mv layer $(sum layer); echo 'Directory Transport Version: 1.1' >version`);
    place.daemon('docker-registry serve registry.yml', { log: 'registry.log' });
    await until('the registry answers', async () => (await httpStatus('http://127.0.0.1:5000/v2/')) === 200);
  },
  works: [
    {
      en: 'push and pull (the shipped configuration and the preset `registry` do more: [images.md](images.md))',
      zh: '推送与拉取(随附的配置和预设 `registry` 更完善:[images.md](images.md))',
      check: async (place) => {
        await place.sh(`skopeo copy -q --dest-tls-verify=false dir:image docker://127.0.0.1:5000/a/b:1
          skopeo copy -q --src-tls-verify=false docker://127.0.0.1:5000/a/b:1 dir:back; diff -r image back`);
        assert.ok((await place.keys('docker/registry/v2/')).length > 5);
      },
    },
  ],
  limits: [],
};
