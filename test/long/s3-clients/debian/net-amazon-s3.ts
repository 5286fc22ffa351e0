import assert from 'node:assert/strict';
import type { S3Client } from '../client.js';

const CLIENT = `use Net::Amazon::S3;
use Net::Amazon::S3::Vendor::Generic;
use Net::Amazon::S3::Signature::V4;

my $s3 = Net::Amazon::S3->new(
    aws_access_key_id     => $ENV{AWS_ACCESS_KEY_ID},
    aws_secret_access_key => $ENV{AWS_SECRET_ACCESS_KEY},
    retry                 => 1,
    vendor                => Net::Amazon::S3::Vendor::Generic->new(
        host                 => 's3.example.com',
        use_https            => 0,
        use_virtual_host     => 0,
        authorization_method => 'Net::Amazon::S3::Signature::V4',
        default_region       => 'us-east-1',
    ),
);`;

export const netAmazonS3: S3Client = {
  name: 'Net::Amazon::S3',
  packages: { debian: ['libnet-amazon-s3-perl'] },
  configuration: [{ language: 'perl', text: CLIENT }],
  works: [
    {
      en: 'put, get, ranges, metadata, copy, lists, single and multiple deletion',
      zh: '上传、下载、范围读取、元数据、复制、列表、单个与批量删除',
      check: (place) =>
        place.script(
          'perl',
          `use strict; use warnings; use Net::Amazon::S3::Client;
${CLIENT}
sub is { my ($a, $b) = @_; die substr($a // 'undef', 0, 300) . " instead of " . substr($b, 0, 300) unless defined $a && $a eq $b }
my $bucket = $s3->bucket('files');
$bucket->add_key('in/small', 'hello', { 'x-amz-meta-colour' => 'blue' }) or die $s3->errstr;
my $got = $bucket->get_key('in/small') or die $s3->errstr;
is($got->{value}, 'hello');
is($got->{'x-amz-meta-colour'}, 'blue');
$bucket->copy_key('in/copy', 'files/in/small') or die $s3->errstr;
my $object = Net::Amazon::S3::Client->new(s3 => $s3)->bucket(name => 'files')->object(key => 'in/large');
my $large = join '', map { chr($_ % 256) } 1 .. 6_000_000;
$object->put($large);
is($object->get, $large);
is($object->range('bytes=100-199')->get, substr($large, 100, 100));
is(join(',', map { $_->{key} } @{ $bucket->list_all({ prefix => 'in/' })->{keys} }), 'in/copy,in/large,in/small');
$bucket->delete_key('in/copy') or die $s3->errstr;
$bucket->delete_multi_object('in/large', 'in/small') or die $s3->errstr;
is(scalar @{ $bucket->list_all->{keys} }, 0);
`,
        ),
    },
  ],
  limits: [
    {
      en: 'multipart: `put_part` dies of its own request class, before anything is sent',
      zh: '分片上传:`put_part` 在发送之前就因其自身的请求类出错',
      check: async (place) => {
        const dies = place.script(
          'perl',
          `use strict; use warnings; use Net::Amazon::S3::Client;
${CLIENT}
my $object = Net::Amazon::S3::Client->new(s3 => $s3)->bucket(name => 'files')->object(key => 'parts');
my $upload = $object->initiate_multipart_upload;
$object->put_part(upload_id => $upload, part_number => 1, value => 'a');
`,
        );
        await assert.rejects(dies, /unknown attribute\(s\) passed to the constructor: acl_short copy_source/);
      },
    },
  ],
};
