import type { S3Client } from '../client.js';

const AUTH = `AccessKeyId = ACCESS_KEY_ID
SecretAccessKey = SECRET_ACCESS_KEY
Region = us-east-1
Endpoint = s3.example.com`;
const SOURCE = 'deb [trusted=yes] s3://files stable main';

export const aptTransportS3: S3Client = {
  name: 'apt-transport-s3',
  packages: { debian: ['apt-transport-s3', 'aptly', 'awscli'] },
  https: 'HTTP/2',
  virtualHosts: true,
  configuration: [
    { language: 'ini', text: `# /etc/apt/s3auth.conf\n${AUTH}` },
    { language: 'text', text: `# /etc/apt/sources.list\n${SOURCE}` },
  ],
  prepare: async (place) => {
    // A copy of the system's stands in its place.
    await place.sh('cp -r /etc/apt apt; mount --bind apt /etc/apt');
    place.atEnd(() => place.sh('umount -l /etc/apt'));
    await place.write('apt/s3auth.conf', `${place.filled(AUTH)}\n`);
    await place.write('one.list', `${SOURCE}\n`);
    await place.sh(`mkdir -p p/DEBIAN; printf 'Package: hello\\nVersion: 1.0+b~1\\nArchitecture: amd64\\nMaintainer: m <m@example.com>\\nDescription: d\\n' >p/DEBIAN/control
      dpkg-deb --build p hello_1.0+b~1_amd64.deb; aptly repo create -distribution=stable mine
      aptly repo add mine hello_1.0+b~1_amd64.deb; aptly publish repo -skip-signing -architectures=amd64 mine
      aws --endpoint-url http://s3.example.com s3 sync .aptly/public s3://files`);
  },
  works: [
    {
      en: '`apt-get update` and `download` from a private bucket (HTTPS only, the bucket as a host name: `s3.domain`)',
      zh: '从私有存储桶 `apt-get update` 与 `download`(只支持 HTTPS,存储桶作为主机名:`s3.domain`)',
      check: async (place) => {
        await place.sh(`mkdir -p state/lists/partial cache/archives/partial get; cd get
          options="-o Dir::Etc::sourcelist=$HOME/one.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State=$HOME/state
            -o Dir::Cache=$HOME/cache -o APT::Sandbox::User=root -o Acquire::Languages=none"
          apt-get $options update --error-on=any; apt-get $options download hello; cmp ../hello_1.0+b~1_amd64.deb *.deb`);
      },
    },
  ],
  limits: [],
};
