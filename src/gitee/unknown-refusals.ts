/**
 * Whether a refusal for a reason that this version does not know is believed. A server in trouble, or a proxy before it,
 * answers one with 400 now and then, and then no more; one that stays needs an operator. Nobody can tell the one from the
 * other by what it says, so it is believed on its third time in a row. One of these stands before each kind of call that
 * can keep a bucket from Gitee (a push; a look at the branch; an upload; the question for what is there): that one gets
 * through says nothing of another.
 */
import { passing, RemoteError } from './errors.js';

const BELIEVED_AT = 3;

export class UnknownRefusals {
  #inARow = 0;
  /** Changes with each answer that counts: calls that were under way side by side are told the same, and are one. */
  #answers = 0;

  /** Makes the call; a refusal that it ends with is one that may pass, until it is believed. */
  async of<T>(call: () => Promise<T>): Promise<T> {
    const before = this.#answers;
    try {
      const result = await call();
      this.#answers += 1;
      this.#inARow = 0;
      return result;
    } catch (error) {
      // Whatever else goes wrong, like a line that breaks, says nothing of that.
      if (!(error instanceof RemoteError) || error.code !== 'refused') throw error;
      if (this.#answers === before) {
        this.#answers += 1;
        this.#inARow += 1;
      }
      throw this.#inARow < BELIEVED_AT ? passing(error) : error;
    }
  }
}
