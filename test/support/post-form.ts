/** Forms as a browser would send them, signed by arithmetic of their own. */
import { createHmac } from 'node:crypto';

interface FormFile {
  /** undefined: the part has none. */
  readonly filename?: string;
  readonly contentType?: string;
  readonly content: Buffer | string;
}
export type FormPart = readonly [name: string, value: string | FormFile];

export interface FormSigner {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
}

export const BOUNDARY = '----FormBoundary7MA4YWxkTrZu0gW';
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** The bytes of a form. */
export function formBody(parts: readonly FormPart[], boundary = BOUNDARY): Buffer {
  const pieces: Buffer[] = [];
  for (const [name, value] of parts) {
    const file = typeof value === 'string' ? undefined : value;
    const filename = file?.filename === undefined ? '' : `; filename="${file.filename}"`;
    const type = file?.contentType === undefined ? '' : `Content-Type: ${file.contentType}\r\n`;
    pieces.push(
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${filename}\r\n${type}\r\n`,
      ),
      Buffer.from(file ? file.content : (value as string)),
      Buffer.from('\r\n'),
    );
  }
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

const hmac = (key: Buffer | string, text: string) => createHmac('sha256', key).update(text).digest();

/** AWS: "Calculating a Signature": HMAC of the policy in base64 under the signing key. */
function signatureOf(policy: string, signer: FormSigner, date: string): string {
  const key = [date, signer.region, 's3', 'aws4_request'].reduce<Buffer | string>(
    (k, text) => hmac(k, text),
    `AWS4${signer.secretAccessKey}`,
  );
  return hmac(key, policy).toString('hex');
}

/** The fields that sign a policy; `document` as an object, or as the text itself. */
export function signedFields(
  signer: FormSigner,
  document: object | string,
  now = new Date(),
): [string, string][] {
  const stamp = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const date = stamp.slice(0, 8);
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  const policy = Buffer.from(text).toString('base64');
  return [
    ['x-amz-algorithm', 'AWS4-HMAC-SHA256'],
    ['x-amz-credential', `${signer.accessKeyId}/${date}/${signer.region}/s3/aws4_request`],
    ['x-amz-date', stamp],
    ['policy', policy],
    ['x-amz-signature', signatureOf(policy, signer, date)],
  ];
}

/** The conditions that every policy needs for the fields of signedFields(). */
export const SIGNING_CONDITIONS = [
  ['starts-with', '$x-amz-algorithm', ''],
  ['starts-with', '$x-amz-credential', ''],
  ['starts-with', '$x-amz-date', ''],
] as const;

export interface FormPlan {
  readonly bucket: string;
  readonly key: string;
  /** Further fields; each gets a condition that it is what it is, unless `conditions` is given. */
  readonly fields?: readonly (readonly [string, string])[];
  /** Beside those of bucket, key and signature. */
  readonly conditions?: readonly unknown[];
  readonly keyCondition?: unknown;
  readonly file?: FormFile;
  readonly expiration?: string;
  readonly now?: Date;
}

/** The parts of a form whose policy covers exactly what it has. */
export function signedForm(signer: FormSigner, plan: FormPlan): FormPart[] {
  const fields = plan.fields ?? [];
  const document = {
    expiration: plan.expiration ?? new Date(Date.now() + 600_000).toISOString(),
    conditions: [
      { bucket: plan.bucket },
      plan.keyCondition ?? ['starts-with', '$key', ''],
      ...SIGNING_CONDITIONS,
      ...(plan.conditions ?? fields.map(([name, value]) => ({ [name]: value }))),
    ],
  };
  return [
    ['key', plan.key],
    ...fields,
    ...signedFields(signer, document, plan.now),
    ['file', plan.file ?? { filename: 'pic.jpg', contentType: 'image/jpeg', content: 'the file' }],
  ];
}
