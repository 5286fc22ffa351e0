import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { SMALL } from '../place.js';

const HASH = `curl --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
  -H "x-amz-content-sha256: $(sha256sum <small | cut -d' ' -f1)" \\
  -T small http://s3.example.com/files/in/small`;
const UNSIGNED = `curl --aws-sigv4 aws:amz:us-east-1:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" \\
  -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' \\
  'http://s3.example.com/files?list-type=2&prefix=in%2F'`;

export const curl: S3Client = {
  name: 'curl',
  packages: { debian: ['curl'] },
  configuration: [
    { language: 'sh', text: HASH },
    { language: 'sh', text: UNSIGNED },
  ],
  prepare: (place) => place.write('small', SMALL),
  works: [
    {
      en: '`--aws-sigv4` with `x-amz-content-sha256` given by hand: put, get, list, delete',
      zh: '`--aws-sigv4`,`x-amz-content-sha256` 需手工给出:上传、下载、列表、删除',
      check: async (place) => {
        await place.sh(HASH.replace('curl', 'curl -sSf'));
        await place.has('in/small', SMALL);
        assert.match(await place.sh(UNSIGNED.replace('curl', 'curl -sSf')), /<Key>in\/small<\/Key>/);
        const object = UNSIGNED.replace(/'http.*'/, 'http://s3.example.com/files/in/small');
        assert.equal(await place.sh(object.replace('curl', 'curl -sSf')), SMALL.toString());
        await place.sh(object.replace('curl', 'curl -sSf -X DELETE'));
        await place.gone('in/small');
      },
    },
  ],
  limits: [
    {
      en: 'a query that is not sorted, percent-encoded and with `=`: it signs the query as it is given',
      zh: '未排序、未百分号编码或缺少 `=` 的查询串:它按原样签名',
      check: async (place) => {
        const status = (query: string) =>
          place.sh(
            UNSIGNED.replace('curl', "curl -s -o /dev/null -w '%{http_code}'").replace(/\?.*'/, `?${query}'`),
          );
        assert.equal(await status('list-type=2&prefix=in%2F'), '200');
        for (const query of ['prefix=in%2F&list-type=2', 'list-type=2&prefix=in/', 'location'])
          assert.equal(await status(query), '403', query);
      },
    },
  ],
};
