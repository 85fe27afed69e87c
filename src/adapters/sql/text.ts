/**
 * Names in columns of their own. Ids, state keys and event types are any text; PostgreSQL holds no U+0000, drivers cut
 * text at it, and none of them holds half of a surrogate pair. Usual names are kept as they are.
 */

const ESCAPE = "\u0001";
const UNUSUAL = /[\u0000\u0001\ud800-\udfff]/u;
const EACH_UNUSUAL = /[\u0000\u0001\ud800-\udfff]/gu;
const EACH_ESCAPED = /\u0001([0-9a-f]{4})/g;

/** Text that every database holds, other text for each name: U+0001 and four digits stand for what it may not hold. */
export function escapeName(name: string): string {
  if (!UNUSUAL.test(name)) return name;
  return name.replace(EACH_UNUSUAL, (unit) => ESCAPE + unit.charCodeAt(0).toString(16).padStart(4, "0"));
}

export function unescapeName(text: string): string {
  if (!text.includes(ESCAPE)) return text;
  return text.replace(EACH_ESCAPED, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
