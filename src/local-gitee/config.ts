import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const name = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, 'letters, digits, "_", "-" and "."');
const positive = z.number().positive();

/** Sizes in MB of 1,048,576 bytes, as Gitee prints them. What is not given is not limited. */
export const limitsSchema = z.strictObject({
  /** One git blob. */
  fileMb: positive.optional(),
  /** The repository's objects on disk. */
  repoMb: positive.optional(),
  /** The repository's LFS objects together. */
  lfsMb: positive.optional(),
  /** One LFS object. */
  lfsObjectMb: positive.optional(),
});
export type Limits = z.infer<typeof limitsSchema>;

export const protectedBranchSchema = z.strictObject({
  name: z.string().min(1),
  mode: z.enum(['standard', 'review']),
});
export type ProtectedBranch = z.infer<typeof protectedBranchSchema>;

export const permissionSchema = z.enum(['pull', 'push', 'admin']);
export type Permission = z.infer<typeof permissionSchema>;

/** One repository, in the configuration and in `POST /_local/repositories`. */
export const repositorySchema = z.strictObject({
  owner: name,
  name,
  id: z.number().int().positive().optional(),
  private: z.boolean().default(true),
  /** Whether the owner is a paid enterprise. */
  enterprise: z.boolean().default(false),
  lfs: z.boolean().default(false),
  closed: z.boolean().default(false),
  collaborators: z.record(name, permissionSchema).default({}),
  limits: limitsSchema.default({}),
  protectedBranches: z.array(protectedBranchSchema).default([]),
});
export type RepositorySeed = z.infer<typeof repositorySchema>;

export const tokenSchema = z.strictObject({
  token: z.string().min(8),
  scopes: z.array(z.string()).default(['user_info', 'projects']),
});

const accountSchema = z.strictObject({
  id: z.number().int().positive().optional(),
  login: name,
  name: z.string().optional(),
  email: z.string().nullable().default(null),
  tokens: z.array(tokenSchema).default([]),
  password: z.string().min(1).optional(),
});

const clientSchema = z.strictObject({
  id: z.string().min(1),
  secret: z.string().min(1),
  redirectUris: z.array(z.string()).min(1),
  /** Lets `?auto_approve=<login>` stand for the user's click. For tests only. */
  autoApprove: z.boolean().default(false),
});
export type OauthClient = z.infer<typeof clientSchema>;

const configSchema = z.strictObject({
  adminToken: z.string().min(16).optional(),
  accounts: z.array(accountSchema).default([]),
  repositories: z.array(repositorySchema).default([]),
  oauthClients: z.array(clientSchema).default([]),
  /** API calls a minute. */
  rateLimit: z
    .strictObject({ anonymous: positive.default(60), authenticated: positive.default(100_000) })
    .default({ anonymous: 60, authenticated: 100_000 }),
  /** Largest body of a push, Gitee's `client_max_body_size`. */
  pushBodyMb: positive.default(500),
  /** How long a link to an LFS object holds. */
  linkSeconds: positive.default(3600),
});
export type Config = z.infer<typeof configSchema>;

/** Reads a configuration. Throws an Error that names every mistake and echoes no value. */
export async function readConfig(file: string | undefined): Promise<Config> {
  return parseConfig(file === undefined ? {} : JSON.parse(await readFile(file, 'utf8')));
}

function parseConfig(value: unknown): Config {
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map((i) => `${i.path.join('.') || '(root)'}: ${i.message}`);
  throw new Error(`the configuration of local Gitee is wrong:\n${mistakes.join('\n')}`);
}
