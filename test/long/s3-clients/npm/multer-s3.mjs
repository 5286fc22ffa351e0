import { once } from 'node:events';
import express from 'express';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { assert, large, ok, same, small, step } from './scenario.mjs';

// As the document has it:
import { S3Client } from '@aws-sdk/client-s3';
import multer from 'multer';
import multerS3 from 'multer-s3';

const s3 = new S3Client({
  endpoint: 'http://s3.example.com',
  region: 'us-east-1',
  credentials: { accessKeyId: 'ACCESS_KEY_ID', secretAccessKey: 'SECRET_ACCESS_KEY' },
  forcePathStyle: true,
});
const upload = multer({
  storage: multerS3({
    s3,
    bucket: 'files',
    contentType: multerS3.AUTO_CONTENT_TYPE,
    metadata: (request, file, done) => done(null, { field: file.fieldname }),
    key: (request, file, done) => done(null, `uploads/${file.originalname}`),
  }),
});
// Until here.

const app = express();
app.post('/one', upload.single('file'), (request, answer) => void answer.json(request.file));
app.post('/many', upload.array('files', 5), (request, answer) => void answer.json(request.files));
app.use((error, request, answer, _next) => void answer.status(500).json({ error: String(error) }));
const listener = app.listen(0, '127.0.0.1');
await once(listener, 'listening');
const post = async (path, field, files) => {
  const form = new FormData();
  for (const [name, bytes] of Object.entries(files)) form.append(field, new Blob([bytes]), name);
  const url = `http://127.0.0.1:${listener.address().port}${path}`;
  return (await ok(fetch(url, { method: 'POST', body: form }))).json();
};
const stored = async (Key) => (await s3.send(new GetObjectCommand({ Bucket: 'files', Key }))).Body;

await step('forms', async () => {
  const file = await post('/one', 'file', { 'a.bin': small });
  assert.deepEqual([file.key, file.size], ['uploads/a.bin', small.length]);
  await same(stored('uploads/a.bin'), small);
  const { Metadata } = await s3.send(new HeadObjectCommand({ Bucket: 'files', Key: 'uploads/a.bin' }));
  assert.deepEqual(Metadata, { field: 'file' });
});
await step('multipart', async () => {
  const files = await post('/many', 'files', { 'b.bin': large, 'c.bin': small });
  assert.match(files.find((file) => file.key === 'uploads/b.bin').etag, /-3"$/);
  await same(stored('uploads/b.bin'), large);
  await same(stored('uploads/c.bin'), small);
});
listener.close();
