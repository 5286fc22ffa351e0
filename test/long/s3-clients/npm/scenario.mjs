/**
 * What the scenarios of npm packages share. A scenario runs in the home directory of its client, beside the packages,
 * against the gateway; it prints a line of JSON for each step (npm-client.ts).
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

export { assert };
export const MIB = 1024 * 1024;
export const endpoint = 'http://s3.example.com';
export const bucket = 'files';
/** Of objects that the runner has put there: more than one page of any list. */
export const manyPrefix = 'many/';
export const MANY = 1100;

/** Bytes that follow from their seed. */
export function bytesOf(size, seed) {
  const bytes = Buffer.allocUnsafe(size);
  for (let at = 0, n = 0; at < size; n += 1) {
    const block = createHash('sha512').update(`${seed} ${n}`).digest();
    at += block.copy(bytes, at);
  }
  return bytes;
}

export const small = bytesOf(5000, 'small');
/** Three parts of 5 MiB and less. */
export const large = bytesOf(12 * MIB + 1, 'large');

/** A step that works, or fails with what is thrown. */
export async function step(name, run) {
  let error;
  try {
    await run();
  } catch (thrown) {
    error = (thrown?.stack ?? String(thrown)).slice(0, 4000);
  }
  console.log(JSON.stringify({ step: name, ...(error === undefined ? {} : { error }) }));
}

/** Buffers, arrays, streams, answers of fetch: the same bytes, or it throws. */
export async function same(got, wanted) {
  const digest = (of) => `${of.length} bytes, sha256 ${createHash('sha256').update(of).digest('hex')}`;
  assert.equal(digest(await toBuffer(await got)), digest(Buffer.from(wanted)));
}

async function toBuffer(from) {
  if (typeof from === 'string') return Buffer.from(from);
  if (from instanceof ArrayBuffer) return Buffer.from(from);
  if (ArrayBuffer.isView(from)) return Buffer.from(from.buffer, from.byteOffset, from.byteLength);
  if (typeof from.arrayBuffer === 'function') return Buffer.from(await from.arrayBuffer());
  const pieces = [];
  for await (const piece of from) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}

/** Of a call that must fail, with words that `looks` finds. */
export async function refused(call, looks) {
  let error;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error !== undefined, 'it was not refused');
  const { name, message, code, Code, status, statusCode, body, $metadata } = error;
  assert.match(
    [name, message, code, Code, status, statusCode, $metadata?.httpStatusCode, body].join(' '),
    looks,
  );
}

/** An answer of fetch that must be 2xx. */
export async function ok(answer) {
  const got = await answer;
  if (!got.ok) throw new Error(`${got.status} ${await got.text()}`);
  return got;
}

/** The fields of a presigned form, and bytes, as a browser sends them. */
export function sendForm(url, fields, bytes) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append('file', new Blob([bytes]), 'file.bin');
  return ok(fetch(url, { method: 'POST', body: form }));
}
