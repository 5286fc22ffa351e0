import type { S3Client } from '../client.js';
import { go } from './go.js';

const CLIENT = `client := s3.New(s3.Options{
	Region:           "us-east-1",
	EndpointResolver: s3.EndpointResolverFromURL("http://s3.example.com"),
	UsePathStyle:     true,
	Credentials:      credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
})`;

export const awsSdkGoV2: S3Client = {
  name: 'aws-sdk-go-v2',
  packages: { debian: ['golang-github-aws-aws-sdk-go-v2-dev', 'golang-go'] },
  configuration: [{ language: 'go', text: CLIENT }],
  works: [
    {
      en: 'put, multipart with checksums, get, ranges, copies, presigned links, pages, deletion of many',
      zh: '上传、带校验和的分片、下载、范围读取、复制、预签名链接、分页、批量删除',
      check: (place) =>
        go(
          place,
          [
            ...['"bytes"', '"context"', '"io"', '"net/http"', '"os"'],
            ...['"github.com/aws/aws-sdk-go-v2/aws"', '"github.com/aws/aws-sdk-go-v2/credentials"'],
            ...[
              '"github.com/aws/aws-sdk-go-v2/service/s3"',
              '"github.com/aws/aws-sdk-go-v2/service/s3/types"',
            ],
          ],
          '',
          `
	${CLIENT}
	ctx := context.Background()
	bucket := aws.String("files")
	large := bytes.Repeat([]byte("0123456789abcdef"), 600000)
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: aws.String("in/small"), Body: bytes.NewReader(large[:100]), ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
	must(err)
	key := aws.String("in/large + ü")
	upload, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
	must(err)
	parts := []types.CompletedPart{}
	for i, piece := range [][]byte{large[:5<<20], large[5<<20:]} {
		part, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: upload.UploadId, PartNumber: int32(i + 1), Body: bytes.NewReader(piece), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
		must(err)
		parts = append(parts, types.CompletedPart{PartNumber: int32(i + 1), ETag: part.ETag, ChecksumCRC32C: part.ChecksumCRC32C})
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	must(err)
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: aws.String("in/copy"), CopySource: aws.String("files/in/large%20%2B%20%C3%BC")})
	must(err)
	for span, want := range map[string][]byte{"bytes=0-": large, "bytes=5242870-5242890": large[5242870:5242891]} {
		answer, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: aws.String("in/copy"), Range: aws.String(span)})
		must(err)
		got, err := io.ReadAll(answer.Body)
		must(err)
		if !bytes.Equal(got, want) {
			panic(span)
		}
	}
	link, err := s3.NewPresignClient(client).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	must(err)
	answer, err := http.Get(link.URL)
	must(err)
	if answer.StatusCode != 200 || answer.ContentLength != int64(len(large)) {
		panic(answer.Status)
	}
	pager := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, MaxKeys: 2})
	all := []types.ObjectIdentifier{}
	for pager.HasMorePages() {
		page, err := pager.NextPage(ctx)
		must(err)
		for _, object := range page.Contents {
			all = append(all, types.ObjectIdentifier{Key: object.Key})
		}
	}
	if len(all) != 3 {
		panic(len(all))
	}
	_, err = client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: all}})
	must(err)
`,
        ).then(() => place.empty()),
    },
  ],
  limits: [],
};
