import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL } from '../place.js';

const KEY = 'export S3_ACCESS_KEY=ACCESS_KEY_ID S3_SECRET_KEY=SECRET_ACCESS_KEY';
const S4CMD = 's4cmd --endpoint-url=http://s3.example.com';

export const s4cmd: S3Client = {
  name: 's4cmd',
  packages: { debian: ['s4cmd'] },
  configuration: [
    {
      language: 'sh',
      text: `${KEY}\n${S4CMD} ls s3://files/`,
    },
  ],
  prepare: async (place) => {
    await place.write('in/small', SMALL);
    await place.write('in/large', LARGE);
  },
  works: [
    {
      en: '`put`, `get`, multipart (16 threads), `dsync`, `cp`, `mv`, `ls`, `du`, `del`',
      zh: '`put`、`get`、分片上传(16 线程)、`dsync`、`cp`、`mv`、`ls`、`du`、`del`',
      check: async (place) => {
        const parts = '--max-singlepart-upload-size=6000000 --multipart-split-size=6000000 -c 16';
        await place.sh(`${KEY}
          ${S4CMD} ${parts} put -r in s3://files/
          ${S4CMD} ${parts} --max-singlepart-download-size=6000000 get s3://files/in/large back
          ${S4CMD} dsync -r s3://files/in/ there
          ${S4CMD} cp s3://files/in/small s3://files/in/copy
          ${S4CMD} mv s3://files/in/copy s3://files/in/moved`);
        await place.has('in/moved', SMALL);
        await place.has('in/large', LARGE);
        assert.match((await place.head('in/large')).headers.etag!, /-4"$/);
        await place.same('back', LARGE);
        await place.same('there/large', LARGE);
        assert.match(await place.sh(`${KEY}; ${S4CMD} ls s3://files/in/`), /large\n.*moved\n.*small\n/);
        await place.sh(`${KEY}
          ${S4CMD} du -r s3://files/in/
          ${S4CMD} del -r s3://files/in/`);
        assert.deepEqual(await place.keys(), []);
      },
    },
  ],
  limits: [],
};
