/** The cookies of the login page. */
import type { Request, Response } from 'express';

/** Sessions and logins by cookies that no script reads and no other site sends along with a form. */
export class Cookies {
  /** @param secure where people come by https: RFC 6265bis `__Host-` then binds a cookie to this host alone. */
  constructor(private readonly secure: boolean) {}

  get(request: Request, name: string): string | undefined {
    const full = this.#name(name);
    for (const pair of (request.headers.cookie ?? '').split(';')) {
      const [key, ...value] = pair.split('=');
      if (key?.trim() === full) return value.join('=').trim();
    }
    return undefined;
  }

  /** @param value of base64url letters; '' ends the cookie. */
  set(response: Response, name: string, value: string, maxAgeSeconds: number): void {
    const attributes = [
      `${this.#name(name)}=${value}`,
      'Path=/',
      `Max-Age=${value === '' ? 0 : maxAgeSeconds}`,
      'HttpOnly',
      // Lax, not Strict: the way back from Gitee is a navigation from another site.
      'SameSite=Lax',
      ...(this.secure ? ['Secure'] : []),
    ];
    response.append('Set-Cookie', attributes.join('; '));
  }

  #name(name: string): string {
    return `${this.secure ? '__Host-' : ''}gitee-s3-${name}`;
  }
}
