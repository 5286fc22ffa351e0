import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { SMALL } from '../place.js';

const ENVIRONMENT = `export S3_HOSTNAME=s3.example.com
export S3_ACCESS_KEY_ID=$AWS_ACCESS_KEY_ID S3_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY`;

export const libs3: S3Client = {
  name: 'libs3',
  packages: { debian: ['libs3-2'] },
  configuration: [{ language: 'sh', text: `${ENVIRONMENT}\ns3 -u put files/in/small filename=small` }],
  prepare: (place) => place.write('small', SMALL),
  works: [],
  limits: [
    {
      en: 'anything: this version signs with Signature Version 2, which is refused (as by newer regions of AWS); its program ends with status 0 all the same',
      zh: '全部不可用:此版本使用 Signature Version 2 签名,被拒绝(AWS 的新区域也一样);其程序仍以状态 0 结束',
      check: async (place) => {
        const { code, stderr } = await place.trySh(`${ENVIRONMENT}; s3 -u put files/in/small filename=small`);
        assert.equal(code, 0);
        assert.match(stderr, /Please use AWS4-HMAC-SHA256/);
        await place.empty();
      },
    },
  ],
};
