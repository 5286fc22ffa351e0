import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';
import { LARGE } from '../place.js';

const CLIENT = `use Amazon::S3;

my $s3 = Amazon::S3->new({
    aws_access_key_id     => $ENV{AWS_ACCESS_KEY_ID},
    aws_secret_access_key => $ENV{AWS_SECRET_ACCESS_KEY},
    host                  => 's3.example.com',
    secure                => 0,
    dns_bucket_names      => 0,
    region                => 'us-east-1',
});`;

export const amazonS3Perl: S3Client = {
  name: 'Amazon::S3',
  packages: { debian: ['libamazon-s3-perl', 'awscli'] },
  configuration: [{ language: 'perl', text: CLIENT }],
  works: [
    {
      en: 'put, get, metadata, multipart, lists, single and multiple deletion',
      zh: '上传、下载、元数据、分片、列表、单个与批量删除',
      check: (place) =>
        place
          .script(
            'perl',
            `use strict; use warnings;
${CLIENT}
sub is { my ($a, $b) = @_; die substr($a // 'undef', 0, 300) . " instead of " . substr($b, 0, 300) unless defined $a && $a eq $b }
my $bucket = $s3->bucket('files');
$bucket->add_key('in/small', 'hello', { 'x-amz-meta-colour' => 'blue' }) or die $s3->errstr;
my $got = $bucket->get_key('in/small') or die $s3->errstr;
is($got->{value}, 'hello');
is($got->{'x-amz-meta-colour'}, 'blue');
my ($one, $two) = ('a' x 5_242_880, 'b' x 100);
my $upload = $bucket->initiate_multipart_upload('in/large', {});
my %parts;
for (1, 2) { $parts{$_} = $bucket->upload_part_of_multipart_upload('in/large', $upload, $_, $_ == 1 ? $one : $two) }
$bucket->complete_multipart_upload('in/large', $upload, \\%parts);
is(join(',', map { $_->{key} } @{ $bucket->list_all({ prefix => 'in/' })->{keys} }), 'in/large,in/small');
$bucket->delete_key('in/small') or die $s3->errstr;
$bucket->delete_key('in/large') or die $s3->errstr;
`,
          )
          .then(() => place.empty()),
    },
  ],
  limits: [
    {
      en: '`get_key` of a multipart object: it takes the ETag for the MD5 of the bytes, which it is not then',
      zh: '对分片上传的对象执行 `get_key`:它把 ETag 当作内容的 MD5,而此时并非如此',
      check: async (place) => {
        await place.write('large', LARGE);
        await place.sh('aws --endpoint-url http://s3.example.com s3 cp --no-progress large s3://files/large');
        const get = place.script(
          'perl',
          `use strict; use warnings;\n${CLIENT}\n$s3->bucket('files')->get_key('large');`,
        );
        await assert.rejects(get, /MD5's do not match/);
      },
    },
  ],
};
