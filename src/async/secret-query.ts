/**
 * Strikes the values of secret query parameters out of a text: of a request target, of a URL in an error message.
 * A parameter counts by its decoded name, since whoever reads a query decodes it first: `X-Amz-%53ignature` lets
 * somebody in as well as `X-Amz-Signature` does.
 */

const MASK = '***';

/** Lower case. SigV2 and OAuth names too: such requests are refused, or sent by mistake, and logged all the same. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  'x-amz-signature',
  'x-amz-security-token',
  'x-amz-credential',
  'signature',
  'awsaccesskeyid',
  'access_token',
  'refresh_token',
  'id_token',
  'private_token',
  'client_secret',
  'password',
  'code',
]);

/** A text that was encoded more often than this is nobody's parameter. */
const DECODED_TIMES_MAX = 4;

/**
 * Separator, name, `=`, value. All of them may be encoded: a target whose `?` is encoded holds its query in its
 * path, where no verifier looks for it and a log shows it. Names have a bound, so that the search stays linear.
 */
const PARAMETER =
  /(^|[?&;]|%(?:25)*(?:3f|26|3b))((?:(?!%(?:25)*(?:3f|26|3b|3d))[^=?&;\s"'<>]){1,256})(=|%(?:25)*3d)((?:(?!%(?:25)*26)[^&\s"'<>])+)/gi;

/** True where the value of a query parameter of this name lets somebody in, however the name is spelled. */
function isSecretParameter(name: string): boolean {
  let decoded = name;
  for (let i = 0; i < DECODED_TIMES_MAX; i++) {
    if (SECRET_PARAMETERS.has(decoded.trim().toLowerCase())) return true;
    const next = decodeLeniently(decoded);
    if (next === decoded) return false;
    decoded = next;
  }
  return SECRET_PARAMETERS.has(decoded.trim().toLowerCase());
}

/** The text with the value of every secret parameter replaced by `***`. */
export function maskQuerySecrets(text: string): string {
  // Nearly every text of a log: no parameter is without an equals sign, as it is or encoded.
  if (!text.includes('=') && !text.includes('%')) return text;
  return text.replace(PARAMETER, (whole, separator: string, name: string, equals: string) =>
    isSecretParameter(name) ? `${separator}${name}${equals}${MASK}` : whole,
  );
}

/** All secret names are ASCII: an escape that is malformed, or of another character, stays as it is. */
function decodeLeniently(text: string): string {
  return text
    .replaceAll('+', ' ')
    .replaceAll(/%([0-7][0-9a-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
