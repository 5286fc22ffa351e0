import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE, SMALL } from '../place.js';

const OPTIONS = `--s3accesskey ACCESS_KEY_ID --s3secretkey SECRET_ACCESS_KEY --s3region us-east-1 --s3alternate`;

export const davix: S3Client = {
  name: 'davix',
  packages: { debian: ['davix'] },
  configuration: [
    {
      language: 'sh',
      text: `S3="${OPTIONS}"
davix-put $S3 small s3://s3.example.com/files/in/small`,
    },
  ],
  prepare: async (place) => {
    await place.write('small', SMALL);
    await place.write('large', LARGE);
  },
  works: [
    {
      en: '`davix-put`, `davix-get`, `davix-ls`, `davix-rm`',
      zh: '`davix-put`、`davix-get`、`davix-ls`、`davix-rm`',
      check: async (place) => {
        const url = 's3://s3.example.com/files/in';
        await place.sh(`davix-put ${OPTIONS} small ${url}/small; davix-put ${OPTIONS} large ${url}/large`);
        await place.has('in/small', SMALL);
        await place.has('in/large', LARGE);
        await place.sh(`davix-get ${OPTIONS} ${url}/large back`);
        await place.same('back', LARGE);
        assert.equal(await place.sh(`davix-ls ${OPTIONS} ${url}/`), 'large\nsmall\n');
        await place.sh(`davix-rm ${OPTIONS} ${url}/small`);
        await place.gone('in/small');
      },
    },
  ],
  limits: [],
};
