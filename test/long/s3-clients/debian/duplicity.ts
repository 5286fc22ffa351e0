import type { S3Client } from '../client.js';

const OPTIONS = '--s3-endpoint-url=http://s3.example.com --s3-region-name=us-east-1';
const TARGET = 'boto3+s3://files/backup';

export const duplicity: S3Client = {
  name: 'duplicity',
  packages: { debian: ['duplicity', 'python3-boto3', 'gnupg'] },
  configuration: [{ language: 'sh', text: `export PASSPHRASE='…'\nduplicity ${OPTIONS} ~/source ${TARGET}` }],
  works: [
    {
      en: 'full and incremental backups, `verify`, `restore`, `collection-status`, `remove-all-but-n-full`',
      zh: '全量与增量备份、`verify`、`restore`、`collection-status`、`remove-all-but-n-full`',
      check: async (place) => {
        await place.sh(`export PASSPHRASE=secret
          d() { duplicity --volsize 3 ${OPTIONS} "$@"; }
          mkdir -p source; head -c 10000000 /dev/urandom >source/large; echo one >source/small
          d full source ${TARGET}
          echo two >source/small; echo new >source/new
          d incremental source ${TARGET}
          d verify --compare-data ${TARGET} source
          rm -rf ~/.cache/duplicity
          d restore ${TARGET} back; diff -r source back
          d full source ${TARGET}
          d remove-all-but-n-full 1 --force ${TARGET}
          d collection-status ${TARGET} | grep -q 'Number of contained backup sets: 1'`);
      },
    },
  ],
  limits: [],
};
