/**
 * Many uploads that begin at the same time ask together: one call of the batch API for all of them, instead of
 * a round trip each. Memory: one entry per upload that has not been answered.
 */
import { abortable } from '../../async/abort.js';
import type { Chunk } from '../../format/extent.js';
import { RemoteError } from '../errors.js';
import type { BatchObject } from './batch-schema.js';

/** What begins within this time asks together; a hundredth of a round trip to a Gitee that is far away. */
const JOIN_MS = 4;
/** Calls at once; what comes meanwhile is joined. */
const CALLS_MAX = 4;

interface Question {
  readonly chunk: Chunk;
  readonly answer: (object: BatchObject) => void;
  readonly fail: (error: Error) => void;
  isOver: boolean;
  /** Called when its caller gave up. */
  onLeft: () => void;
}

/** Asks about at most `sizeMax` chunks in one call, and answers in their order. */
export interface BatchCalls {
  readonly sizeMax: number;
  ask(chunks: readonly Chunk[], signal: AbortSignal): Promise<BatchObject[]>;
}

export class JoinedQuestions {
  #waiting: Question[] = [];
  #calls = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly batch: BatchCalls) {}

  /** @throws RemoteError as the call does; the signal's reason */
  ask(chunk: Chunk, signal?: AbortSignal): Promise<BatchObject> {
    return abortable(signal, (resolve, reject) => {
      const question: Question = {
        chunk,
        isOver: false,
        onLeft: () => {},
        answer: (object) => {
          question.isOver = true;
          resolve(object);
        },
        fail: (error) => {
          question.isOver = true;
          reject(error);
        },
      };
      this.#waiting.push(question);
      this.#timer ??= setTimeout(() => this.#callAll(), JOIN_MS);
      return () => {
        question.isOver = true;
        question.onLeft();
      };
    });
  }

  #callAll(): void {
    this.#timer = undefined;
    this.#waiting = this.#waiting.filter(({ isOver }) => !isOver);
    while (this.#waiting.length > 0 && this.#calls < CALLS_MAX) {
      const questions = this.#waiting.splice(0, Math.max(1, this.batch.sizeMax));
      this.#calls += 1;
      void this.#call(questions).finally(() => {
        this.#calls -= 1;
        if (!this.#timer) this.#callAll();
      });
    }
  }

  /** Whom a failure names fails alone: the others are asked about without it. */
  async #call(all: readonly Question[]): Promise<void> {
    const stop = new AbortController();
    const onLeft = () => {
      if (all.every(({ isOver }) => isOver)) stop.abort(new Error('nobody waits for the answer any more'));
    };
    for (const question of all) question.onLeft = onLeft;
    for (let questions = all; questions.length > 0;) {
      try {
        const objects = await this.batch.ask(
          questions.map(({ chunk }) => chunk),
          stop.signal,
        );
        questions.forEach((question, i) => question.answer(objects[i]!));
        return;
      } catch (error) {
        const named = new Set(error instanceof RemoteError ? error.oids : []);
        const guilty = questions.filter(({ chunk }) => named.has(chunk.oid));
        if (guilty.length === 0 || guilty.length === questions.length) {
          for (const question of questions) question.fail(error as Error);
          return;
        }
        for (const question of guilty) question.fail(error as Error);
        questions = questions.filter((question) => !guilty.includes(question) && !question.isOver);
      }
    }
  }
}
