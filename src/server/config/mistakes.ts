/** One thing that is wrong with the configuration, by the name that an operator knows it by. */
export interface Mistake {
  /** `buckets[0].name`, with the variable where the value came from the environment. */
  readonly name: string;
  readonly message: string;
}

/** The configuration is wrong; all mistakes at once, and no secret among them. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly mistakes: readonly Mistake[]) {
    super(
      `the configuration has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}:\n` +
        mistakes.map((m) => `  ${m.name}: ${m.message}`).join('\n'),
    );
  }
}
