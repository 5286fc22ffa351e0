/**
 * Lines of a `.gitattributes` that name a path literally (gitattributes(5), gitignore(5)). Written so that git and
 * git-lfs, which has a parser of its own, read the same.
 */

/** `<literal path><glob> <attributes>`; the literal part may hold any characters of an escaped path. */
export function attributeLine(literal: string, glob: string, attributes: string): string {
  // At the start of a line, `"` opens a quoted pattern, `#` a comment, `!` a negation, `[attr]` a macro. A
  // leading slash changes nothing for a pattern that has one inside, and hides them all.
  const anchor = /^["#![]/.test(literal) ? '/' : '';
  return `${anchor}${literal.replace(/[*?[\] ]/g, bracketed)}${glob} ${attributes}`;
}

/**
 * A blank would end the pattern; quoting is read by git but not in the same way by git-lfs, so we write what
 * `git lfs track` writes. No other white space of ASCII can occur: escaping takes control characters away.
 */
function bracketed(character: string): string {
  if (character === ' ') return '[[:space:]]';
  return character === ']' ? '\\]' : `[${character}]`;
}
