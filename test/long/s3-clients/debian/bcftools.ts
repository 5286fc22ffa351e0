import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const ENVIRONMENT = 'export HTS_S3_HOST=s3.example.com HTS_S3_ADDRESS_STYLE=path';
const URL = 's3+http://files/in/calls.bcf';

export const bcftools: S3Client = {
  name: 'bcftools (htslib)',
  packages: { debian: ['bcftools', 'gawk'] },
  configuration: [{ language: 'sh', text: `${ENVIRONMENT}\nbcftools view -Ob -o ${URL} calls.vcf` }],
  prepare: (place) =>
    place.sh(`awk 'BEGIN {
        print "##fileformat=VCFv4.2"; print "##contig=<ID=one,length=2000000>"
        print "#CHROM\\tPOS\\tID\\tREF\\tALT\\tQUAL\\tFILTER\\tINFO"
        srand(1)
        for (i = 1; i <= 50000; i++) printf "one\\t%d\\tid%d%d\\tA\\tC\\t%d\\t.\\t.\\n", i * 16, rand() * 1e9, rand() * 1e9, rand() * 60
      }' >calls.vcf`),
  works: [
    {
      en: 'BCF written (multipart) and read back',
      zh: '写入 BCF(分片)并读回',
      check: async (place) => {
        await place.sh(`${ENVIRONMENT}
          bcftools view --no-version -Ob -o ${URL} calls.vcf
          bcftools view --no-version ${URL} | grep -v '^##' | cmp - <(grep -v '^##' calls.vcf)`);
        assert.match((await place.head('in/calls.bcf')).headers.etag!, /-\d+"$/);
      },
    },
  ],
  limits: [
    {
      en: 'a `503` (back-pressure) at the end of what it writes: `bcftools view` reports no error, ends with status 0, and nothing is stored; write to a file and send that with another client',
      zh: '写到末尾时遇到 `503`(背压):`bcftools view` 不报错并以状态 0 结束,但什么也没存;请先写成文件,再用其他客户端上传',
      check: async (place) => {
        const faulty = await place.faulty();
        await place.sh('head -20 calls.vcf >few.vcf');
        for (const operation of ['UploadPart', 'CompleteMultipartUpload'] as const) {
          faulty.gateway.fail(operation, 'slow-down');
          const { code, stderr } = await place.trySh(`${ENVIRONMENT.replace('s3.example.com', faulty.host)}
            bcftools view -Oz -o s3+http://files/in/lost.vcf.gz few.vcf`);
          assert.deepEqual([code, stderr], [0, '']);
          await place.gone('in/lost.vcf.gz');
        }
        assert.equal(faulty.gateway.happened.length, 2);
      },
    },
  ],
};
