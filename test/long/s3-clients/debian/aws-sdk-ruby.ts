import type { S3Client } from '../client.js';

const CLIENT = `require 'aws-sdk-s3'
s3 = Aws::S3::Resource.new(endpoint: 'http://s3.example.com', force_path_style: true, region: 'us-east-1')`;

export const awsSdkRuby: S3Client = {
  name: 'aws-sdk-ruby',
  packages: { debian: ['ruby-aws-sdk-s3', 'ruby'] },
  configuration: [{ language: 'ruby', text: CLIENT }],
  works: [
    {
      en: 'files (multipart), streams, ranges, metadata, copies, presigned links, lists, batch deletion',
      zh: '文件(分片)、流、范围读取、元数据、复制、预签名链接、列表、批量删除',
      check: (place) =>
        place
          .script(
            'ruby',
            `${CLIENT}
require 'net/http'
bucket = s3.bucket('files')
large = Random.new(1).bytes(12_000_001)
File.binwrite('large', large)
def is(a, b) raise "#{a.inspect[0, 200]} instead of #{b.inspect[0, 200]}" unless a == b end
bucket.object('in/large').upload_file('large', multipart_threshold: 5_242_880, metadata: { 'colour' => 'blue' })
is bucket.object('in/large').get.body.read.b, large
is bucket.object('in/large').get(range: 'bytes=100-199').body.read.b, large[100..199]
is bucket.object('in/large').metadata['colour'], 'blue'
bucket.object('in/stream').upload_stream { |out| out.binmode; out << large }
bucket.object('in/large').download_file('back', mode: 'get_range', chunk_size: 5_000_000)
is File.binread('back'), large
bucket.object('in/copy + ü').copy_from(bucket.object('in/stream'), multipart_copy: true)
is Net::HTTP.get(URI(bucket.object('in/copy + ü').presigned_url(:get))).b, large
is bucket.objects(prefix: 'in/').map(&:key), ['in/copy + ü', 'in/large', 'in/stream']
bucket.objects.batch_delete!
`,
          )
          .then(() => place.empty()),
    },
  ],
  limits: [],
};
