/**
 * Replays recorded S3 traffic of registry 2.7.1 (test/fixtures/registry-traffic) against any endpoint and says
 * where the answers differ from the recording or from what the driver's code reads without looking.
 *
 * Bodies were not recorded, only their sizes: bytes of that size are sent. Upload ids, UUIDs and digests are
 * replaced consistently; Complete sends the ETags that were answered, DeleteObjects what was listed last, as the
 * driver does. Scenarios share a bucket and run in the order of their numbers.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { seededBytes } from './bytes.js';
import { WireClient, encodePath, type S3Answer, type S3Target } from './s3-client.js';

export interface ReplayOptions extends S3Target {
  readonly bucket: string;
  /** `rootdirectory` of the registry, without slashes. */
  readonly root: string;
}

export interface RecordedRequest {
  readonly sequence: number;
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: string;
  readonly bodyBytes: number;
  readonly status: string;
  readonly note: string;
}

export interface ReplayedRequest {
  readonly recorded: RecordedRequest;
  readonly answer: S3Answer;
  /** Sentences; empty where all is as it must be. */
  readonly differences: readonly string[];
}

async function readRecording(file: string): Promise<RecordedRequest[]> {
  const [head = '', ...lines] = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const names = head.split('\t');
  return lines.map((line) => {
    const cells = line.split('\t');
    const cell = (name: string) => cells[names.indexOf(name)] ?? '';
    return {
      sequence: Number(cell('seq')),
      operation: cell('operation'),
      method: cell('method'),
      path: cell('path'),
      query: cell('query'),
      headers: cell('notable_request_headers'),
      bodyBytes: Number(cell('request_body_bytes')),
      status: cell('status'),
      note: cell('note'),
    };
  });
}

export class Replay {
  readonly #client: WireClient;
  readonly #uuids = new Map<string, string>();
  readonly #uploadIds = new Map<string, string>();
  /** Uploads created and not yet met under a recorded name, by path. */
  readonly #created: { path: string; uploadId: string }[] = [];
  readonly #parts = new Map<string, Map<number, string>>();
  #listedKeys: string[] = [];

  constructor(private readonly options: ReplayOptions) {
    this.#client = new WireClient(options);
  }

  /**
   * Replays all scenarios of a folder in order and gives a sentence for each difference.
   * @param skip numbers of scenarios to leave out, such as '03' (it sends 170 MB).
   */
  async folder(
    folder: string,
    skip: readonly string[] = [],
  ): Promise<{ requests: number; differences: string[] }> {
    const files = (await readdir(folder))
      .filter((name) => /^2\.7\.1-\d+b?-.*\.tsv$/.test(name))
      .sort(byScenario);
    const differences: string[] = [];
    let requests = 0;
    for (const file of files) {
      if (skip.includes(numberOf(file))) continue;
      for (const { recorded, differences: found } of await this.scenario(
        await readRecording(path.join(folder, file)),
        file,
      )) {
        requests += 1;
        for (const difference of found)
          differences.push(
            `${file} ${recorded.sequence} ${recorded.operation} ${recorded.path} ${recorded.query}: ${difference}`,
          );
      }
    }
    return { requests, differences };
  }

  /** Replays one scenario; state of the bucket goes on, names of uploads are new unless it carries one on. */
  async scenario(rows: readonly RecordedRequest[], file: string): Promise<ReplayedRequest[]> {
    const continued = CONTINUES[numberOf(file)];
    const name = continued ?? numberOf(file);
    if (continued === undefined) {
      this.#uuids.clear();
      this.#uploadIds.clear();
      this.#created.length = 0;
    }
    const replayed: ReplayedRequest[] = [];
    for (const recorded of rows) {
      const answer = await this.#send(recorded, name);
      this.#learn(recorded, answer, name);
      replayed.push({
        recorded,
        answer,
        differences: [
          ...differencesFromRecording(recorded, answer),
          ...unmetNeeds(recorded.operation, answer),
        ],
      });
    }
    return replayed;
  }

  async #send(recorded: RecordedRequest, scenario: string): Promise<S3Answer> {
    const { method, operation } = recorded;
    const target = encodePath(this.#expand(recorded.path, scenario));
    if (operation.endsWith('(presigned)')) {
      const url = await this.#client.presign({ method, path: target });
      return await this.#client.raw(method, url, this.#headers(recorded, scenario));
    }
    const query: Record<string, string> = {};
    for (const pair of recorded.query === '' ? [] : recorded.query.split('&')) {
      const equals = pair.indexOf('=');
      query[pair.slice(0, equals)] = this.#expand(pair.slice(equals + 1), scenario, recorded.path);
    }
    const body = this.#body(recorded, query['uploadId']);
    const headers = { ...CONSTANT_HEADERS[operation], ...this.#headers(recorded, scenario) };
    if (body !== undefined && operation !== 'CompleteMultipartUpload')
      headers['content-md5'] = createHash('md5').update(body).digest('base64');
    const { expect, ...signed } = headers;
    return await this.#client.send({
      method,
      path: target,
      query,
      headers: signed,
      ...(body === undefined ? {} : { body }),
      ...(expect === undefined ? {} : { unsignedHeaders: { expect } }),
    });
  }

  #headers(recorded: RecordedRequest, scenario: string): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const item of recorded.headers === '' ? [] : recorded.headers.split('; ')) {
      const equals = item.indexOf('=');
      // The driver does not encode the copy source.
      headers[item.slice(0, equals)] = this.#expand(item.slice(equals + 1), scenario);
    }
    return headers;
  }

  #body(recorded: RecordedRequest, uploadId: string | undefined): Buffer | undefined {
    switch (recorded.operation) {
      case 'PutObject':
      case 'UploadPart':
        // The same bytes for the same place every time, so that a repeated push is a repeated push.
        return seededBytes(`${recorded.path}?${recorded.query}`, recorded.bodyBytes);
      case 'DeleteObjects':
        return Buffer.from(
          `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${this.#listedKeys
            .map((key) => `<Object><Key>${key}</Key></Object>`)
            .join('')}<Quiet>false</Quiet></Delete>`,
        );
      case 'CompleteMultipartUpload': {
        const parts = [...(this.#parts.get(uploadId ?? '') ?? [])].sort(([a], [b]) => a - b);
        return Buffer.from(
          `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts
            .map(
              ([number, etag]) =>
                `<Part><ETag>${etag.replaceAll('"', '&#34;')}</ETag><PartNumber>${number}</PartNumber></Part>`,
            )
            .join('')}</CompleteMultipartUpload>`,
        );
      }
      default:
        return undefined;
    }
  }

  /** Keeps what later requests of the driver are made of. */
  #learn(recorded: RecordedRequest, answer: S3Answer, scenario: string): void {
    const target = this.#expand(recorded.path, scenario);
    const uploadId = /uploadId=(\{id\d+\})/.exec(recorded.query)?.[1];
    const number = Number(/partNumber=(\d+)/.exec(recorded.query)?.[1] ?? 0);
    if (recorded.operation === 'CreateMultipartUpload')
      this.#created.push({ path: target, uploadId: answer.xml('UploadId') ?? '' });
    if (recorded.operation === 'ListObjects') this.#listedKeys = answer.xmlAll('Key');
    const etag =
      recorded.operation === 'UploadPart'
        ? answer.headers.etag
        : recorded.operation === 'UploadPartCopy'
          ? answer.xml('ETag')
          : undefined;
    if (uploadId === undefined || etag === undefined) return;
    const id = this.#uploadIds.get(uploadId) ?? '';
    const parts = this.#parts.get(id) ?? new Map<number, string>();
    this.#parts.set(id, parts.set(number, etag));
  }

  #expand(text: string, scenario: string, forPath = ''): string {
    return text
      .replaceAll('{bucket}', this.options.bucket)
      .replaceAll('{root}', this.options.root)
      .replace(/(^|\/)D\//g, '$1docker/registry/v2/')
      .replace(/([0-9a-f]{12})\.\./g, (_whole, start: string) => start.padEnd(64, '0'))
      .replace(/\{uuid\d+\}/g, (token) => this.#uuid(token, scenario))
      .replace(/\{id\d+\}/g, (token) => this.#uploadId(token, this.#expand(forPath, scenario)));
  }

  #uuid(token: string, scenario: string): string {
    const known = this.#uuids.get(token);
    if (known !== undefined) return known;
    const hex = createHash('sha256').update(`${scenario} ${token}`).digest('hex');
    const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
    this.#uuids.set(token, uuid);
    return uuid;
  }

  #uploadId(token: string, target: string): string {
    const known = this.#uploadIds.get(token);
    if (known !== undefined) return known;
    const at = this.#created.findIndex((upload) => upload.path === target);
    const id = at < 0 ? 'unknown' : this.#created.splice(at, 1)[0]!.uploadId;
    this.#uploadIds.set(token, id);
    return id;
  }
}

const numberOf = (file: string): string => /^2\.7\.1-(\d+b?)-/.exec(file)?.[1] ?? file;
const byScenario = (a: string, b: string): number => (numberOf(a) < numberOf(b) ? -1 : 1);

/** Scenarios that go on with the upload of an earlier one. */
const CONTINUES: Readonly<Record<string, string>> = { '08': '07' };

/** Headers that the driver always sends (headers-by-operation of the recording). */
const CONSTANT_HEADERS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  PutObject: {
    'content-type': 'application/octet-stream',
    'x-amz-acl': 'private',
    'x-amz-storage-class': 'STANDARD',
  },
  CreateMultipartUpload: {
    'content-type': 'application/octet-stream',
    'x-amz-acl': 'private',
    'x-amz-storage-class': 'STANDARD',
  },
  CopyObject: {
    'content-type': 'application/octet-stream',
    'x-amz-acl': 'private',
    'x-amz-storage-class': 'STANDARD',
  },
};

/** Counts and fields that the recording notes: `contents=1 truncated=false`, `cr=bytes 0-70/71`, `code=NoSuchKey`. */
const NOTED: readonly (readonly [RegExp, (answer: S3Answer) => string])[] = [
  [/\bcontents=(\d+)/, (a) => String(a.xmlAll('Contents').length)],
  [/\bprefixes=(\d+)/, (a) => String(a.xmlAll('CommonPrefixes').length)],
  [/\buploads=(\d+)/, (a) => String(a.xmlAll('Upload').length)],
  [/\bparts=(\d+) truncated/, (a) => String(a.xmlAll('Part').length)],
  [/\bdeleted=(\d+)/, (a) => String(a.xmlAll('Deleted').length)],
  [/\btruncated=(\w+)/, (a) => a.xml('IsTruncated') ?? ''],
  [/^cr=(.*)$/, (a) => a.headers['content-range'] ?? ''],
  [/\bcode=(\w+)/, (a) => a.xml('Code') ?? ''],
];

function differencesFromRecording(recorded: RecordedRequest, answer: S3Answer): string[] {
  const differences: string[] = [];
  const status = recorded.status.replace(/\D+$/, '');
  if (isEmptyComplete(recorded)) {
    // The emulator answered MalformedXML as S3 does, and the push of an empty blob failed; ours lets it pass.
    return answer.status === 200
      ? []
      : [`an empty upload cannot be completed: ${answer.status} ${answer.text}`];
  }
  // That scenario goes on with an abort, which finds nothing to abort once Complete has worked.
  if (recorded.operation === 'AbortMultipartUpload' && answer.status === 404) return [];
  if (String(answer.status) !== status) differences.push(`status ${answer.status}, recorded ${status}`);
  for (const [pattern, actual] of NOTED) {
    const noted = pattern.exec(recorded.note)?.[1];
    if (noted !== undefined && actual(answer) !== noted)
      differences.push(`${pattern.source}: ${actual(answer)}, recorded ${noted}`);
  }
  return differences;
}

const isEmptyComplete = (recorded: RecordedRequest): boolean =>
  recorded.operation === 'CompleteMultipartUpload' && recorded.note.includes('MalformedXML');

/** What the driver's code reads without looking whether it is there (docs/facts/registry-driver.md §1). */
function unmetNeeds(operation: string, answer: S3Answer): string[] {
  const missing: string[] = [];
  const need = (condition: boolean, sentence: string) => {
    if (!condition) missing.push(sentence);
  };
  if (answer.status === 404 && answer.headers['content-length'] !== '0')
    need(answer.xml('Code') !== undefined, '404 without an XML code');
  if (answer.status !== 200) return missing;
  const isTruncated = answer.xml('IsTruncated');
  if (operation.startsWith('List')) need(isTruncated === 'true' || isTruncated === 'false', 'no IsTruncated');
  if (operation === 'ListObjects' && isTruncated === 'true')
    need(!!answer.xml('NextMarker'), 'no NextMarker');
  if (operation === 'ListObjectsV2') {
    const count = answer.xmlAll('Contents').length + answer.xmlAll('CommonPrefixes').length;
    need(answer.xml('KeyCount') === String(count), 'KeyCount is not the number of entries');
    need(
      (answer.xml('NextContinuationToken') === undefined) === (isTruncated === 'false'),
      'NextContinuationToken',
    );
  }
  for (const entry of answer.xmlAll('Contents'))
    for (const field of ['Key', 'Size', 'LastModified'])
      need(entry.includes(`<${field}>`), `Contents without ${field}`);
  for (const part of operation === 'ListParts' ? answer.xmlAll('Part') : [])
    for (const field of ['PartNumber', 'ETag', 'Size'])
      need(part.includes(`<${field}>`), `Part without ${field}`);
  const keys = operation.startsWith('ListObjects') ? answer.xmlAll('Key') : [];
  need(
    keys.every((key, i) => i === 0 || Buffer.compare(Buffer.from(keys[i - 1]!), Buffer.from(key)) < 0),
    'keys are not in byte order',
  );
  if (operation === 'UploadPart') need(/^".+"$/.test(answer.headers.etag ?? ''), 'no ETag header');
  if (operation === 'UploadPartCopy') need(answer.xml('ETag') !== undefined, 'no ETag in CopyPartResult');
  if (operation === 'CreateMultipartUpload') need(!!answer.xml('UploadId'), 'no UploadId');
  return missing;
}
