import { assert, step } from './scenario.mjs';

// As the document has it:
import pl from 'nodejs-polars';

const cloudOptions = {
  aws_endpoint_url: 'http://s3.example.com',
  aws_allow_http: 'true', // not behind Nginx
  aws_region: 'us-east-1',
  aws_access_key_id: 'ACCESS_KEY_ID',
  aws_secret_access_key: 'SECRET_ACCESS_KEY',
};
// Until here.

const frame = pl.DataFrame({
  id: Array.from({ length: 200_000 }, (_, i) => i),
  half: Array.from({ length: 200_000 }, (_, i) => Math.sin(i)),
});
await step('parquet', async () => {
  await frame.lazy().sinkParquet('s3://files/own/a.parquet', { cloudOptions }).collect();
  const read = await pl.scanParquet('s3://files/own/a.parquet', { cloudOptions }).collect();
  assert.ok(read.frameEqual(frame));
  const few = await pl
    .scanParquet('s3://files/own/*.parquet', { cloudOptions })
    .filter(pl.col('id').lt(10))
    .select('half')
    .collect();
  assert.equal(few.height, 10);
});
