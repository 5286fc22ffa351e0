import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  UploadPartCommand,
  type CompletedPart,
  type CompleteMultipartUploadCommandInput,
  type CompleteMultipartUploadCommandOutput,
  type CopyPartResult,
  type CreateMultipartUploadCommandInput,
  type UploadPartCommandInput,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import type { S3Bucket } from './s3-bucket.js';

/** What Complete wants to hear of a part: its ETag, and its checksum where it has one. */
export function completedPart(
  PartNumber: number,
  answer: UploadPartCommandOutput | CopyPartResult,
): CompletedPart & { PartNumber: number; ETag: string } {
  const sums = Object.entries(answer).filter(([name]) => name.startsWith('Checksum'));
  return { PartNumber, ETag: answer.ETag!, ...Object.fromEntries(sums) };
}

/** The steps of a multipart upload to one bucket, by the AWS SDK. */
export class MultipartClient {
  constructor(
    private readonly bucket: S3Bucket,
    readonly Bucket = 'files',
  ) {}

  /** @returns the upload id. */
  async create(Key: string, more: Partial<CreateMultipartUploadCommandInput> = {}): Promise<string> {
    const { Bucket } = this;
    return (await this.bucket.s3.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))).UploadId!;
  }

  /** Sends a part. @returns what Complete wants to hear of it. */
  async part(
    Key: string,
    UploadId: string,
    PartNumber: number,
    Body: Buffer | string,
    more: Partial<UploadPartCommandInput> = {},
  ): Promise<CompletedPart & { PartNumber: number; ETag: string }> {
    const { Bucket } = this;
    const request = new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more });
    return completedPart(PartNumber, await this.bucket.s3.send(request));
  }

  complete(
    Key: string,
    UploadId: string,
    Parts: CompletedPart[],
    more: Partial<CompleteMultipartUploadCommandInput> = {},
  ): Promise<CompleteMultipartUploadCommandOutput> {
    const { Bucket } = this;
    return this.bucket.s3.send(
      new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }),
    );
  }

  abort(Key: string, UploadId: string): Promise<unknown> {
    return this.bucket.s3.send(new AbortMultipartUploadCommand({ Bucket: this.Bucket, Key, UploadId }));
  }

  /** Bytes of an object of any bucket. */
  async bytes(Key: string, Bucket = this.Bucket): Promise<Buffer> {
    const answer = await this.bucket.s3.send(new GetObjectCommand({ Bucket, Key }));
    return Buffer.from(await answer.Body!.transformToByteArray());
  }
}
