import type { S3Client } from '../client.js';

const CONNECTION = `require 'fog/aws'
storage = Fog::Storage.new(
  provider: 'AWS', endpoint: 'http://s3.example.com', path_style: true, region: 'us-east-1',
  aws_access_key_id: ENV['AWS_ACCESS_KEY_ID'], aws_secret_access_key: ENV['AWS_SECRET_ACCESS_KEY']
)`;

export const fog: S3Client = {
  name: 'fog-aws',
  packages: { debian: ['ruby-fog-aws', 'ruby'] },
  configuration: [{ language: 'ruby', text: CONNECTION }],
  works: [
    {
      en: 'files: upload, multipart, download, ranges, metadata, copy, presigned links, lists, single and multiple deletion',
      zh: '文件的上传、分片、下载、范围读取、元数据、复制、预签名链接、列表、单个与批量删除',
      check: (place) =>
        place.script(
          'ruby',
          `${CONNECTION}
require 'net/http'
directory = storage.directories.get('files')
large = Random.new(1).bytes(12_000_001)
def is(a, b) raise "#{a.inspect[0, 200]} instead of #{b.inspect[0, 200]}" unless a == b end
directory.files.create(key: 'in/small + ü', body: 'hello', metadata: { 'x-amz-meta-colour' => 'blue' })
directory.files.create(key: 'in/large', body: StringIO.new(large), multipart_chunk_size: 5_242_880)
is storage.head_object('files', 'in/large').headers['ETag'][-3..], '-3"'
is directory.files.get('in/large').body.b, large
is storage.get_object('files', 'in/large', 'Range' => 'bytes=100-199').body.b, large[100..199]
small = directory.files.head('in/small + ü')
is small.metadata['x-amz-meta-colour'], 'blue'
small.copy('files', 'in/copy')
is Net::HTTP.get(URI(directory.files.head('in/copy').url(Time.now + 60))), 'hello'
is directory.files.all(prefix: 'in/').map(&:key), ['in/copy', 'in/large', 'in/small + ü']
small.destroy
storage.delete_multiple_objects('files', ['in/copy', 'in/large'])
is directory.files.all(prefix: 'in/').map(&:key), []
`,
        ),
    },
  ],
  limits: [],
};
