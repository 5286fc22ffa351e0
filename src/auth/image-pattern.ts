/**
 * Patterns of image names: `*` stands for any characters within a component, `**` for any at all; everything else
 * stands for itself, and the whole name must match.
 */
export class ImagePattern {
  readonly #expression: RegExp;
  readonly #rank: readonly [number, number, number];

  constructor(readonly text: string) {
    // Neighbouring stars are one: `***` would else take quadratic time for nothing.
    const source = text
      .replace(/\*{2,}/g, '**')
      .replace(/\*\*|\*|[.+?^${}()|[\]\\]/g, (token) =>
        token === '**' ? '.*' : token === '*' ? '[^/]*' : `\\${token}`,
      );
    this.#expression = new RegExp(`^${source}$`, 'su');
    const literal = text.replaceAll('*', '').length;
    const star = text.indexOf('*');
    this.#rank = [star < 0 ? 1 : 0, star < 0 ? literal : star, literal];
  }

  matches(name: string): boolean {
    return this.#expression.test(name);
  }

  /** Above 0: this one says more exactly which images it means. Without stars, then longer start, then longer text. */
  compareTo(other: ImagePattern): number {
    for (const [i, mine] of this.#rank.entries()) {
      const difference = mine - other.#rank[i]!;
      if (difference !== 0) return difference;
    }
    return 0;
  }
}
