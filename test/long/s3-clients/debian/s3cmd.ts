import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL } from '../place.js';

export const s3cmd: S3Client = {
  name: 's3cmd',
  packages: { debian: ['s3cmd'] },
  configuration: [
    {
      file: '.s3cfg',
      language: 'ini',
      text: `[default]
access_key = ACCESS_KEY_ID
secret_key = SECRET_ACCESS_KEY
host_base = s3.example.com
host_bucket = s3.example.com
bucket_location = us-east-1
use_https = False`,
    },
  ],
  prepare: async (place) => {
    await place.write('small', SMALL);
    await place.write('large', LARGE);
  },
  works: [
    {
      en: '`put`, `get`, multipart',
      zh: '`put`、`get`、分片上传',
      check: async (place) => {
        await place.sh('s3cmd put --no-progress small large s3://files/in/');
        await place.has('in/small', SMALL);
        await place.has('in/large', LARGE);
        assert.match((await place.head('in/large')).headers.etag!, /-2"$/);
        await place.sh('s3cmd get --no-progress s3://files/in/large back');
        await place.same('back', LARGE);
      },
    },
    {
      en: '`ls`, `cp`, `mv`, `sync`, `del`',
      zh: '`ls`、`cp`、`mv`、`sync`、`del`',
      check: async (place) => {
        await place.sh(`s3cmd cp s3://files/in/small s3://files/in/copy
          s3cmd mv s3://files/in/copy s3://files/in/moved
          s3cmd sync --no-progress s3://files/in/ there/`);
        await place.same('there/moved', SMALL);
        assert.match(await place.sh('s3cmd ls s3://files/in/'), /large\n.*moved\n.*small\n/);
        await place.sh('s3cmd del --recursive --force s3://files/in/');
        assert.deepEqual(await place.keys(), []);
      },
    },
  ],
  limits: [
    {
      en: '`signurl`: its links are signed with Signature Version 2 only, which is refused (as by newer regions of AWS)',
      zh: '`signurl`:只会用 Signature Version 2 签名,被拒绝(AWS 的新区域也一样)',
      check: async (place) => {
        await place.put('linked', SMALL);
        const answer = await place.sh(`curl -s "$(s3cmd signurl s3://files/linked +60)"`);
        assert.match(answer, /AWS4-HMAC-SHA256/);
      },
    },
  ],
};
