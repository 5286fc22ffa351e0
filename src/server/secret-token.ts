import type { TokenSource } from '../gitee/token.js';
import type { Secret } from './config/secret.js';
import type { Redactor } from './logging/redact.js';

/** The Gitee token of the configuration; a rotated one is masked in logs before it is used. */
export class SecretTokenSource implements TokenSource {
  constructor(
    private readonly secret: Secret,
    private readonly redactor: Redactor,
  ) {}

  current(): string {
    return this.secret.reveal();
  }

  async reload(): Promise<boolean> {
    const changed = await this.secret.refresh();
    if (changed) this.redactor.register(this.secret.reveal());
    return changed;
  }
}
