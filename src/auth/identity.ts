/** What the token service must learn from Gitee, and what the login page must be able to change here. */

/** What Gitee lets somebody do with a repository; each word includes those before it. */
export type RepositoryPermission = 'none' | 'pull' | 'push' | 'admin';

/** Who a Gitee token belongs to and what its owner may do. One call to Gitee each; nothing is remembered. */
export interface GiteeIdentity {
  /** Whose token it is. Rejects RemoteError (cause says bad token vs. unreachable). */
  user(token: string, signal: AbortSignal): Promise<{ id: number; login: string; name: string }>;
  /** What the token's owner may do with owner/name; 'none' where Gitee says 404/403. */
  permission(token: string, repository: string, signal: AbortSignal): Promise<RepositoryPermission>;
  /** May everybody read it. Asked with the gateway's own token. */
  isPublic(repository: string, signal: AbortSignal): Promise<boolean>;
}

/** Access of people who signed in on the login page, so that a docker password can act with their rights. */
export interface OAuthGrants {
  /** A live access token of this login, refreshed where needed; undefined: no grant, or it was revoked at Gitee. */
  accessToken(login: string, signal: AbortSignal): Promise<string | undefined>;
}

/** Passwords that the gateway itself makes for people, to be typed into `docker login`. */
export interface DockerPasswords {
  /** Makes a new docker password for this login (the old one ends); shown once. */
  issue(login: string, giteeUserId: number): Promise<string>;
  /** Ends it and every session that began with it. Doing it twice is fine. */
  revoke(login: string): Promise<void>;
}
