import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL } from '../place.js';

export const rclone: S3Client = {
  name: 'rclone',
  packages: { debian: ['rclone'] },
  configuration: [
    {
      file: '.config/rclone/rclone.conf',
      language: 'ini',
      text: `[gitee]
type = s3
provider = Other
endpoint = http://s3.example.com
region = us-east-1
access_key_id = ACCESS_KEY_ID
secret_access_key = SECRET_ACCESS_KEY`,
    },
  ],
  prepare: async (place) => {
    await place.write('in/small', SMALL);
    await place.write('in/large', LARGE);
  },
  works: [
    {
      en: '`sync`, `check`, `copy`, `moveto`, `lsf`, `cat`, `rcat`, `purge`, times kept',
      zh: '`sync`、`check`、`copy`、`moveto`、`lsf`、`cat`、`rcat`、`purge`,保留修改时间',
      check: async (place) => {
        await place.sh(`touch -d @1700000000 in/small
          rclone sync --s3-upload-cutoff 6M --s3-chunk-size 6M in gitee:files/in; rclone check --download in gitee:files/in
          rclone sync gitee:files/in back; [ "$(stat -c %Y back/small)" = 1700000000 ]
          rclone moveto gitee:files/in/small gitee:files/in/moved; seq 3000000 | rclone rcat gitee:files/in/piped
          [ "$(rclone cat --offset 7 --count 2 gitee:files/in/moved)" = S3 ]
          seq 3000000 | cmp - <(rclone cat gitee:files/in/piped)`);
        await place.same('back/large', LARGE);
        assert.equal(await place.sh('rclone lsf gitee:files/in'), 'large\nmoved\npiped\n');
        await place.sh('rclone purge gitee:files/in');
        assert.deepEqual(await place.keys(), []);
      },
    },
  ],
  limits: [],
};
