/** What went wrong with a file, as the system call names it. */

/** The system call's name for what went wrong (`ENOENT`), if it has one. Errors of another realm count too. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

export function isNotFound(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}

export function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** What the file operation gives; undefined where the file is not there. Rejects with every other failure. */
export async function unlessMissing<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
