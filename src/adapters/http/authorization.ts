/** `Authorization` headers that a platform has put together into one. */

/**
 * Each header by itself. Platforms join several by a comma, which also parts the parameters of one; a new one begins
 * where a scheme does: a word with a space after it, outside of quotes.
 */
export function splitAuthorization(header: string | null): readonly string[] {
  if (header === null) return [];
  const parts: string[] = [];
  let [start, quoted] = [0, false];
  for (let at = 0; at < header.length; at++) {
    const character = header[at];
    if (quoted && character === "\\") at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && character === "," && SCHEME.test(header.slice(at + 1, at + 1 + LONGEST_SCHEME))) {
      parts.push(header.slice(start, at).trim());
      start = at + 1;
    }
  }
  return [...parts, header.slice(start).trim()].filter((part) => part !== "");
}

/** No parameter: those have `=` after their name, and Matrix's have no space before it. */
const SCHEME = /^[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+ +(?![ =])/;
const LONGEST_SCHEME = 64;
