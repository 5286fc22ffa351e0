/** The message of our commits: a subject and trailers (git-interpret-trailers(1)), and how to read them back. */

export type Trailer = readonly [name: string, value: string];

/** @throws RangeError where a part has a line break: it could forge a trailer. */
export function formatMessage(subject: string, trailers: readonly Trailer[]): string {
  for (const part of [subject, ...trailers.flat()])
    if (/[\u0000\n\r]/.test(part))
      throw new RangeError(`a line break in a commit message: ${JSON.stringify(part.slice(0, 80))}`);
  const lines = trailers.map(([name, value]) => `${name}: ${value}\n`);
  return lines.length === 0 ? `${subject}\n` : `${subject}\n\n${lines.join('')}`;
}

/** The trailers of a message: the `Name: value` lines of its last paragraph, never those quoted before. */
export function parseTrailers(message: string): Map<string, string> {
  const paragraphs = message.trimEnd().split(/\n\s*\n/);
  const trailers = new Map<string, string>();
  if (paragraphs.length < 2) return trailers;
  for (const line of (paragraphs.at(-1) ?? '').split('\n')) {
    const match = /^([A-Za-z][A-Za-z0-9-]*): *(.*)$/.exec(line);
    if (match) trailers.set(match[1]!, match[2]!);
  }
  return trailers;
}
