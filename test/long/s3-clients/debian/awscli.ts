import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL } from '../place.js';

const AWS = 'aws --endpoint-url http://s3.example.com';

export const awscli: S3Client = {
  name: 'AWS CLI',
  packages: { debian: ['awscli'] },
  configuration: [{ language: 'sh', text: `${AWS} s3 ls s3://files/` }],
  prepare: async (place) => {
    await place.write('in/small', SMALL);
    await place.write('in/large', LARGE);
  },
  works: [
    {
      en: '`s3 cp`, `sync`, `mv`, `ls`, `rm`, `presign`, multipart',
      zh: '`s3 cp`、`sync`、`mv`、`ls`、`rm`、`presign`、分片',
      check: async (place) => {
        await place.sh(
          `${AWS} s3 sync --no-progress in s3://files/in; ${AWS} s3 sync --no-progress s3://files/in back`,
        );
        assert.match((await place.head('in/large')).headers.etag!, /-3"$/);
        await place.same('back/large', LARGE);
        await place.sh(`${AWS} s3 mv s3://files/in/small s3://files/in/moved
          [ "$(curl -s "$(${AWS} s3 presign s3://files/in/moved)")" = 'hello, S3' ]
          ${AWS} s3 ls --recursive s3://files/in/ | grep 'in/moved$'
          ${AWS} s3 rm --recursive s3://files/in/`);
        assert.deepEqual(await place.keys(), []);
      },
    },
    {
      en: '`s3api`: conditional writes, tags, checksums (`--checksum-algorithm`), `get-object-attributes`, ranges',
      zh: '`s3api`:条件写入、标签、校验和(`--checksum-algorithm`)、`get-object-attributes`、范围读取',
      check: async (place) => {
        await place.sh(`api() { ${AWS} s3api "$@" --bucket files --key k; }
          api put-object --body in/small --checksum-algorithm CRC32C --tagging a=b | grep -q ChecksumCRC32C
          api get-object-tagging | grep -q '"Value": "b"'
          api get-object-attributes --object-attributes Checksum ObjectSize | grep -q '"ObjectSize": 10'
          api get-object --range bytes=7-8 part; [ "$(cat part)" = S3 ]
          api delete-object`);
      },
    },
  ],
  limits: [],
};
