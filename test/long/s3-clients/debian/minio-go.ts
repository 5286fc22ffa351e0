import type { S3Client } from '../client.js';
import { go } from './go.js';

const CLIENT = `client, err := minio.New("s3.example.com", &minio.Options{
	Creds:  credentials.NewEnvAWS(),
	Region: "us-east-1",
})`;

export const minioGo: S3Client = {
  name: 'minio-go (mc)',
  packages: { debian: ['golang-github-minio-minio-go-v7-dev', 'golang-go'] },
  configuration: [{ language: 'go', text: CLIENT }],
  works: [
    {
      en: 'objects of known and unknown length (multipart, checksums in trailers), ranges, compose, tags, lists, presigned links and forms, removal of many',
      zh: '已知与未知长度的对象(分片、trailer 校验和)、范围读取、compose、标签、列表、预签名链接与表单、批量删除',
      check: (place) =>
        go(
          place,
          [
            ...['"bytes"', '"context"', '"io"', '"net/http"', '"reflect"', '"time"'],
            ...[
              '"github.com/minio/minio-go/v7"',
              '"github.com/minio/minio-go/v7/pkg/credentials"',
              '"github.com/minio/minio-go/v7/pkg/tags"',
            ],
          ],
          '',
          `
	${CLIENT}
	must(err)
	ctx := context.Background()
	large := bytes.Repeat([]byte("0123456789abcdef"), 1300000)
	same := func(name string, start, end int64) {
		options := minio.GetObjectOptions{}
		if end > 0 {
			must(options.SetRange(start, end))
		} else {
			end = int64(len(large)) - 1
		}
		object, err := client.GetObject(ctx, "files", name, options)
		must(err)
		got, err := io.ReadAll(object)
		must(err)
		if !bytes.Equal(got, large[start:end+1]) {
			panic(name)
		}
	}
	_, err = client.PutObject(ctx, "files", "in/known", bytes.NewReader(large), int64(len(large)), minio.PutObjectOptions{PartSize: 5 << 20, UserMetadata: map[string]string{"colour": "blue"}, UserTags: map[string]string{"a": "b"}})
	must(err)
	same("in/known", 0, 0)
	same("in/known", 5242870, 5242890)
	_, err = client.PutObject(ctx, "files", "in/unknown", struct{ io.Reader }{bytes.NewReader(large)}, -1, minio.PutObjectOptions{PartSize: 5 << 20})
	must(err)
	same("in/unknown", 0, 0)
	_, err = client.PutObject(ctx, "files", "in/small + ü", bytes.NewReader(large[:100]), 100, minio.PutObjectOptions{SendContentMd5: true})
	must(err)
	same("in/small + ü", 0, 99)
	_, err = client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: "files", Object: "in/composed"}, minio.CopySrcOptions{Bucket: "files", Object: "in/known", MatchRange: true, Start: 0, End: 5<<20 - 1}, minio.CopySrcOptions{Bucket: "files", Object: "in/known", MatchRange: true, Start: 5 << 20, End: int64(len(large)) - 1})
	must(err)
	same("in/composed", 0, 0)
	given, err := tags.NewTags(map[string]string{"c": "d"}, true)
	must(err)
	must(client.PutObjectTagging(ctx, "files", "in/known", given, minio.PutObjectTaggingOptions{}))
	info, err := client.StatObject(ctx, "files", "in/known", minio.StatObjectOptions{})
	must(err)
	if info.UserMetadata["Colour"] != "blue" || info.UserTagCount != 1 {
		panic(info)
	}
	link, err := client.PresignedGetObject(ctx, "files", "in/known", time.Minute, nil)
	must(err)
	answer, err := http.Get(link.String())
	must(err)
	if answer.StatusCode != 200 {
		panic(answer.Status)
	}
	names := []string{}
	objects := make(chan minio.ObjectInfo, 10)
	for object := range client.ListObjects(ctx, "files", minio.ListObjectsOptions{Prefix: "in/", Recursive: true}) {
		must(object.Err)
		names = append(names, object.Key)
		objects <- object
	}
	close(objects)
	if !reflect.DeepEqual(names, []string{"in/composed", "in/known", "in/small + ü", "in/unknown"}) {
		panic(names)
	}
	for failed := range client.RemoveObjects(ctx, "files", objects, minio.RemoveObjectsOptions{}) {
		panic(failed.Err)
	}
`,
        ).then(() => place.empty()),
    },
  ],
  limits: [],
};
