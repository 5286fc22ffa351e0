/**
 * Answers of API v5, as strict as they need to be (docs/facts/gitee.md §1.2). Only fields that somebody reads stand
 * here; a hook's `password` must never be one of them.
 */
import { z } from 'zod';

export const userSchema = z.object({
  id: z.number(),
  login: z.string(),
  name: z.string().nullish(),
  email: z.string().nullish(),
});
export type User = z.infer<typeof userSchema>;

export const repositorySchema = z.object({
  /** The identity of the repository: names change. */
  id: z.number(),
  full_name: z.string(),
  path: z.string().nullish(),
  name: z.string().nullish(),
  namespace: z.object({ type: z.string().nullish(), path: z.string().nullish() }).nullish(),
  private: z.boolean().nullish(),
  public: z.boolean().nullish(),
  /** Open to the enterprise's own people. */
  internal: z.boolean().nullish(),
  default_branch: z.string().nullish(),
  /** null: owned by no enterprise. */
  enterprise: z.object({ path: z.string().nullish() }).nullish(),
  /** 开始 (active), 暂停 (paused), 关闭 (closed). */
  status: z.string().nullish(),
  empty_repo: z.boolean().nullish(),
  permission: z
    .object({ pull: z.boolean().nullish(), push: z.boolean().nullish(), admin: z.boolean().nullish() })
    .nullish(),
});
export type Repository = z.infer<typeof repositorySchema>;

/** `GET …/collaborators/{login}/permission`; which words it knows is not written anywhere. */
export const collaboratorPermissionSchema = z.object({ permission: z.string().nullish() });

export const branchSchema = z.object({
  name: z.string(),
  commit: z.object({ sha: z.string() }),
  protected: z.boolean().nullish(),
});
export type Branch = z.infer<typeof branchSchema>;

export const pushConfigSchema = z.object({
  restrict_push_own_commit: z.boolean().nullish(),
  restrict_author_email_suffix: z.boolean().nullish(),
  author_email_suffix: z.string().nullish(),
  restrict_commit_message: z.boolean().nullish(),
  commit_message_regex: z.string().nullish(),
  restrict_file_size: z.boolean().nullish(),
  /** MB */
  max_file_size: z.number().nullish(),
  except_manager: z.boolean().nullish(),
});
export type PushConfig = z.infer<typeof pushConfigSchema>;

export const hookSchema = z.object({
  id: z.number(),
  url: z.string(),
  encryption_type: z.number().nullish(),
  push_events: z.boolean().nullish(),
  /** Status of the last delivery. */
  result_code: z.number().nullish(),
});
export type Hook = z.infer<typeof hookSchema>;

const entrySchema = z.object({
  type: z.string(),
  path: z.string(),
  name: z.string().nullish(),
  sha: z.string().nullish(),
  size: z.number().nullish(),
});
export const contentsSchema = z.union([
  z.array(entrySchema),
  entrySchema.extend({ encoding: z.string().nullish(), content: z.string().nullish() }),
]);

export type Contents =
  | { readonly kind: 'file'; readonly sha: string | undefined; readonly bytes: Uint8Array }
  | { readonly kind: 'directory'; readonly names: readonly string[] };
