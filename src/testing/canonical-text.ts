/**
 * Text of JSON values by the letter of the spec (appendices, "Canonical JSON"), for comparing and for
 * messages. It recurses and takes only what was generated here.
 */
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\f": "\\f",
  "\r": "\\r",
};

/** Keys in the order of their code points. Values that JSON does not have are named in angle brackets. */
export function canonicalText(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((entry: unknown) => canonicalText(entry)).join(",")}]`;
  if (typeof value !== "object") return `<${typeof value}>`;
  const entries = Object.entries(value).sort(([a], [b]) => (pointsOf(a) < pointsOf(b) ? -1 : 1));
  return `{${entries.map(([key, entry]) => `${quoted(key)}:${canonicalText(entry)}`).join(",")}}`;
}

/** Six hexadecimal digits a code point, so that comparing units compares code points. */
function pointsOf(text: string): string {
  return [...text].map((character) => (character.codePointAt(0) ?? 0).toString(16).padStart(6, "0")).join("");
}

function quoted(text: string): string {
  const escaped = [...text].map((character) => {
    const code = character.codePointAt(0) ?? 0;
    if (Object.hasOwn(SHORT, character)) return SHORT[character] ?? "";
    return code < 0x20 ? `\\u${code.toString(16).padStart(4, "0")}` : character;
  });
  return `"${escaped.join("")}"`;
}
