import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const PUBLISH = 'aptly publish repo -skip-signing -distribution=stable mine s3:gitee:debian';

export const aptly: S3Client = {
  name: 'aptly',
  packages: { debian: ['aptly', 'xz-utils', 'bzip2'] },
  configuration: [
    {
      file: '.aptly.conf',
      language: 'json',
      text: JSON.stringify(
        {
          architectures: ['amd64'],
          S3PublishEndpoints: {
            gitee: {
              region: 'us-east-1',
              bucket: 'files',
              endpoint: 'http://s3.example.com',
              awsAccessKeyID: 'ACCESS_KEY_ID',
              awsSecretAccessKey: 'SECRET_ACCESS_KEY',
              acl: 'private',
            },
          },
        },
        null,
        2,
      ),
    },
    { language: 'sh', text: PUBLISH },
  ],
  prepare: (place) =>
    place.sh(`for version in 1.0+b~1 2.0; do
        mkdir -p p/DEBIAN p/usr/share/hello; echo $version >p/usr/share/hello/version
        printf 'Package: hello\\nVersion: %s\\nArchitecture: amd64\\nMaintainer: m <m@example.com>\\nDescription: d\\n' \\
          $version >p/DEBIAN/control
        dpkg-deb --build p hello_"$version"_amd64.deb
      done
      aptly repo create -distribution=stable mine; aptly repo add mine hello_1.0+b~1_amd64.deb`),
  works: [
    {
      en: '`publish repo`, `publish update`, `publish drop`, with a `+` in names of files',
      zh: '`publish repo`、`publish update`、`publish drop`,文件名含 `+` 亦可',
      check: async (place) => {
        await place.sh(PUBLISH);
        const pool = 'debian/pool/main/h/hello';
        await place.has(`${pool}/hello_1.0+b~1_amd64.deb`, await place.read('hello_1.0+b~1_amd64.deb'));
        await place.sh(`aptly repo remove mine hello; aptly repo add mine hello_2.0_amd64.deb
          aptly publish update -skip-signing stable s3:gitee:debian`);
        assert.deepEqual(await place.keys(`${pool}/`), [`${pool}/hello_2.0_amd64.deb`]);
        await place.sh('aptly publish drop stable s3:gitee:debian');
        assert.deepEqual(await place.keys(), []);
      },
    },
  ],
  limits: [],
};
