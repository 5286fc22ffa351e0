import type { S3Client } from '../client.js';
import { go } from './go.js';

const CLIENT = `client := s3.New(session.Must(session.NewSession(&aws.Config{
	Endpoint:         aws.String("http://s3.example.com"),
	Region:           aws.String("us-east-1"),
	S3ForcePathStyle: aws.Bool(true),
})))`;

export const awsSdkGo: S3Client = {
  name: 'aws-sdk-go v1',
  packages: { debian: ['golang-github-aws-aws-sdk-go-dev', 'golang-go'] },
  configuration: [{ language: 'go', text: CLIENT }],
  works: [
    {
      en: 'uploader and downloader (multipart, ranges), copies, presigned links, pages, batch deletion; it is also inside the registry 2.x',
      zh: '上传器与下载器(分片、范围)、复制、预签名链接、分页、批量删除;registry 2.x 内部也用它',
      check: (place) =>
        go(
          place,
          [
            ...[
              '"bytes"',
              '"net/http"',
              '"time"',
              '"github.com/aws/aws-sdk-go/aws"',
              '"github.com/aws/aws-sdk-go/aws/session"',
            ],
            ...['"github.com/aws/aws-sdk-go/service/s3"', '"github.com/aws/aws-sdk-go/service/s3/s3manager"'],
          ],
          '',
          `
	${CLIENT}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1300000)
	uploader := s3manager.NewUploaderWithClient(client, func(u *s3manager.Uploader) { u.PartSize = 5 << 20 })
	_, err := uploader.Upload(&s3manager.UploadInput{Bucket: aws.String("files"), Key: aws.String("in/large"), Body: bytes.NewReader(large)})
	must(err)
	back := aws.NewWriteAtBuffer(nil)
	_, err = s3manager.NewDownloaderWithClient(client).Download(back, &s3.GetObjectInput{Bucket: aws.String("files"), Key: aws.String("in/large")})
	must(err)
	if !bytes.Equal(back.Bytes(), large) {
		panic("other bytes")
	}
	_, err = client.CopyObject(&s3.CopyObjectInput{Bucket: aws.String("files"), Key: aws.String("in/copy"), CopySource: aws.String("files/in/large")})
	must(err)
	request, _ := client.GetObjectRequest(&s3.GetObjectInput{Bucket: aws.String("files"), Key: aws.String("in/copy")})
	link, err := request.Presign(time.Minute)
	must(err)
	answer, err := http.Get(link)
	must(err)
	if answer.StatusCode != 200 || answer.ContentLength != int64(len(large)) {
		panic(answer.Status)
	}
	pages := 0
	must(client.ListObjectsV2Pages(&s3.ListObjectsV2Input{Bucket: aws.String("files"), MaxKeys: aws.Int64(1)}, func(page *s3.ListObjectsV2Output, last bool) bool {
		pages++
		return true
	}))
	if pages != 2 {
		panic(pages)
	}
	all := s3manager.NewDeleteListIterator(client, &s3.ListObjectsInput{Bucket: aws.String("files")})
	must(s3manager.NewBatchDeleteWithClient(client).Delete(aws.BackgroundContext(), all))
`,
        ).then(() => place.empty()),
    },
  ],
  limits: [],
};
