import type { S3Client } from '../client.js';
import { LARGE } from '../place.js';

const REPOSITORY = `export RESTIC_REPOSITORY=s3:http://s3.example.com/files/restic
export RESTIC_PASSWORD_FILE=~/restic-password`;

export const restic: S3Client = {
  name: 'restic',
  packages: { debian: ['restic'] },
  configuration: [{ language: 'sh', text: REPOSITORY }],
  works: [
    {
      en: '`init`, `backup`, `forget --prune`, `check --read-data`, `restore`, locks',
      zh: '`init`、`backup`、`forget --prune`、`check --read-data`、`restore`、锁',
      check: async (place) => {
        await place.write('source/large', LARGE);
        await place.write('restic-password', 'secret');
        await place.sh(`${REPOSITORY}
          restic init; restic backup -q source; echo new >source/new; restic backup -q source
          restic forget -q --keep-last=1 --prune; restic check -q --read-data
          restic restore -q latest --target back; diff -r source back/source`);
      },
    },
  ],
  limits: [],
};
