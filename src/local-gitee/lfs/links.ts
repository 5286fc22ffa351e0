import { createHmac, timingSafeEqual } from 'node:crypto';

export interface LinkClaim {
  readonly method: 'GET' | 'PUT' | 'POST';
  readonly projectId: number;
  readonly oid: string;
  readonly sizeBytes: number;
  readonly expiresSeconds: number;
}

export type LinkVerdict = 'good' | 'expired' | 'forged';

/**
 * Signed links to objects, in Gitee's form:
 * `/api/lfs/storage/projects/{project_id}/{oid}?Expires={unix}&Signature={base64}&FileName={name}`.
 * The signature covers the verb and, in `Size`, the size that the batch was asked for.
 */
export class Links {
  constructor(private readonly secret: string) {}

  data(base: string, claim: LinkClaim): string {
    const query = new URLSearchParams({
      Expires: String(claim.expiresSeconds),
      Signature: this.#signature(claim).toString('base64'),
      FileName: claim.oid,
      Size: String(claim.sizeBytes),
    });
    return `${base}/api/lfs/storage/projects/${claim.projectId}/${claim.oid}?${query.toString()}`;
  }

  /** The opaque value of a header that an upload or a verify call must carry: who drops the `header` map is found out. */
  ticket(claim: LinkClaim): string {
    return createHmac('sha256', this.secret)
      .update(`ticket\n${text(claim)}`)
      .digest('hex')
      .slice(0, 32);
  }

  check(claim: LinkClaim, signature: string, nowMs: number): LinkVerdict {
    const given = Buffer.from(signature, 'base64');
    const right = this.#signature(claim);
    if (given.length !== right.length || !timingSafeEqual(given, right)) return 'forged';
    return claim.expiresSeconds * 1000 <= nowMs ? 'expired' : 'good';
  }

  #signature(claim: LinkClaim): Buffer {
    return createHmac('sha256', this.secret).update(text(claim)).digest();
  }
}

function text(claim: LinkClaim): string {
  return [claim.method, claim.projectId, claim.oid, claim.sizeBytes, claim.expiresSeconds].join('\n');
}
