/**
 * The batch answer, as strict as it needs to be: git-lfs docs/api/batch.md, and what other servers do
 * (docs/facts/gitee.md §2.1). `null` stands for "not there" with some of them.
 */
import { z } from 'zod';

const actionSchema = z.object({
  href: z.string().min(1),
  header: z.record(z.string(), z.coerce.string()).nullish(),
  expires_in: z.number().nullish(),
  expires_at: z.string().nullish(),
});
export type BatchAction = z.infer<typeof actionSchema>;

const objectSchema = z.object({
  oid: z.string(),
  size: z.number().nullish(),
  authenticated: z.boolean().nullish(),
  actions: z
    .object({
      upload: actionSchema.nullish(),
      verify: actionSchema.nullish(),
      download: actionSchema.nullish(),
    })
    .nullish(),
  error: z.object({ code: z.number(), message: z.string().nullish() }).nullish(),
});
export type BatchObject = z.infer<typeof objectSchema>;

const batchSchema = z.object({
  // We offer `basic` only; a server that names another one means something that we cannot do.
  transfer: z.literal('basic').or(z.literal('')).nullish(),
  objects: z.array(objectSchema),
});

/** The objects of a batch answer, or undefined where it is not one. */
export function parseBatch(text: string): BatchObject[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = batchSchema.safeParse(json);
  return result.success ? result.data.objects : undefined;
}
