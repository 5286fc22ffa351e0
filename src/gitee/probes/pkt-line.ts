/**
 * Reads the lines of a ref advertisement (git Documentation/gitprotocol-common.adoc, pkt-line): four hex digits
 * with the length of the whole line, `0000` between sections. Stops where the text is none, or is cut.
 */
export function pktLines(bytes: Buffer): string[] {
  const lines: string[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const digits = bytes.toString('latin1', at, at + 4);
    if (!/^[0-9a-f]{4}$/i.test(digits)) break;
    const lengthBytes = Number.parseInt(digits, 16);
    // 0000 flush, 0001 delimiter, 0002 end of response: no content.
    if (lengthBytes < 4) at += 4;
    else {
      if (at + lengthBytes > bytes.length) break;
      lines.push(bytes.toString('utf8', at + 4, at + lengthBytes).replace(/\n$/, ''));
      at += lengthBytes;
    }
  }
  return lines;
}

/** Capabilities behind the NUL of the first ref (protocol versions 0 and 1, and receive-pack). */
export function firstLineCapabilities(lines: readonly string[]): string[] {
  const line = lines.find((text) => text.includes('\0'));
  return line === undefined
    ? []
    : line
        .slice(line.indexOf('\0') + 1)
        .split(' ')
        .filter((word) => word !== '');
}
