/** The token that the registry believes: a JWT as distribution's docs/spec/auth/jwt.md has it. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../../async/clock.js';
import type { ResourceScope } from './scopes.js';
import type { SigningKey } from './signing-key.js';

export interface RegistryTokenDeps {
  readonly key: SigningKey;
  readonly issuer: string;
  readonly service: string;
  /** Of a token that allows pulling only, and of one that allows more. */
  readonly ttlPullMs: number;
  readonly ttlPushMs: number;
  readonly clock: Clock;
}

export interface IssuedToken {
  readonly token: string;
  readonly issuedMs: number;
  readonly expiresInSeconds: number;
}

export class RegistryTokens {
  constructor(private readonly deps: RegistryTokenDeps) {}

  /** The `service` that every request must name. */
  get service(): string {
    return this.deps.service;
  }

  /** @param subject account; '' for anonymous. */
  issue(subject: string, access: readonly ResourceScope[]): IssuedToken {
    const { key, issuer, service, ttlPullMs, ttlPushMs, clock } = this.deps;
    // Clients do not renew a token within the upload of a layer: one that allows changes must outlast it.
    const changes = access.some(({ actions }) => actions.some((action) => action !== 'pull'));
    const issuedSeconds = Math.floor(clock.nowMs() / 1000);
    const expiresInSeconds = Math.floor((changes ? ttlPushMs : ttlPullMs) / 1000);
    const token = key.sign({
      iss: issuer,
      sub: subject,
      // One string: registry 2.x calls a token with a list malformed.
      aud: service,
      exp: issuedSeconds + expiresInSeconds,
      nbf: issuedSeconds,
      iat: issuedSeconds,
      jti: randomUUID(),
      access,
    });
    return { token, issuedMs: issuedSeconds * 1000, expiresInSeconds };
  }
}
