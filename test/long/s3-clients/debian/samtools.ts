import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const ENVIRONMENT = 'export HTS_S3_HOST=s3.example.com HTS_S3_ADDRESS_STYLE=path';
const URL = 's3+http://files/in/reads.bam';

export const samtools: S3Client = {
  name: 'samtools (htslib)',
  packages: { debian: ['samtools', 'libhts3', 'gawk'] },
  https: 'HTTP/2',
  configuration: [{ language: 'sh', text: `${ENVIRONMENT}\nsamtools view -b -o ${URL} reads.sam` }],
  prepare: (place) =>
    place.sh(`awk 'BEGIN {
        print "@HD\\tVN:1.6\\tSO:coordinate"; print "@SQ\\tSN:one\\tLN:2000000"
        srand(1)
        for (i = 1; i <= 120000; i++) {
          s = ""; q = ""
          for (j = 0; j < 60; j++) { s = s substr("ACGT", 1 + int(rand() * 4), 1); q = q sprintf("%c", 35 + int(rand() * 40)) }
          printf "r%d\\t0\\tone\\t%d\\t60\\t60M\\t*\\t0\\t0\\t%s\\t%s\\n", i, i * 16, s, q
        }
      }' >reads.sam`),
  works: [
    {
      en: 'BAM written (multipart), its index, and regions of it read by ranges',
      zh: '写入 BAM(分片)及其索引,按范围读取其中区域',
      check: async (place) => {
        await place.sh(`${ENVIRONMENT}
          samtools view -b --no-PG -o ${URL} reads.sam
          samtools view -h --no-PG ${URL} | cmp - reads.sam
          samtools index ${URL} reads.bai
          samtools view -X ${URL} reads.bai one:1000000-1000100 >region
          awk '$4 >= 1000000 - 60' reads.sam | awk '$4 <= 1000100' | cmp - region`);
        assert.match((await place.head('in/reads.bam')).headers.etag!, /-\d+"$/);
      },
    },
  ],
  limits: [
    {
      en: 'a listener that offers HTTP/2, for writing: it looks for `ETag:` spelled so, which HTTP/2 never does, fails and stores nothing. Offer it HTTP/1.1',
      zh: '写入时不能用提供 HTTP/2 的监听端口:它只认拼写为 `ETag:` 的头,而 HTTP/2 一律小写,因此失败且什么也没存。请提供 HTTP/1.1',
      check: async (place) => {
        const secure = (name: string) => `s3+https://files/in/${name}.bam`;
        await place.sh(`${ENVIRONMENT}; samtools view -h --no-PG ${secure('reads')} | cmp - reads.sam`);
        const { code } = await place.trySh(
          `${ENVIRONMENT}; samtools view -b -o ${secure('other')} reads.sam`,
        );
        assert.notEqual(code, 0);
        await place.gone('in/other.bam');
      },
    },
    {
      en: 'a `503` (back-pressure) while it writes: it does not try again, fails and stores nothing',
      zh: '写入时遇到 `503`(背压):它不会重试,失败且什么也没存',
      check: async (place) => {
        const faulty = await place.faulty();
        for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'] as const) {
          faulty.gateway.fail(operation, 'slow-down');
          const { code } = await place.trySh(`${ENVIRONMENT.replace('s3.example.com', faulty.host)}
            samtools view -b -o s3+http://files/in/lost.bam reads.sam`);
          assert.notEqual(code, 0);
          await place.gone('in/lost.bam');
        }
        assert.equal(faulty.gateway.happened.length, 3);
      },
    },
  ],
};
