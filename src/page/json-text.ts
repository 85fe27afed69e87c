/** JSON for people to read: indented, with the numbers as they were written. */
import { JsonFloat, isArray, isObject } from "../json/value.js";
import type { JsonValue } from "../json/value.js";

/** Nobody reads deeper, and the page's stack is not endless. */
const DEEPEST = 60;
const LONGEST = 200_000;

/** Any JSON value, indented; what is nested too deep or too long is cut, with a mark. */
export function jsonText(value: JsonValue): string {
  const parts: string[] = [];
  write(value, "", 0, parts);
  const text = parts.join("");
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} characters more` : text;
}

function write(value: JsonValue, indent: string, depth: number, parts: string[]): void {
  if (isArray(value))
    list(
      "[]",
      value.map((entry) => ["", entry] as const),
      indent,
      depth,
      parts,
    );
  else if (isObject(value)) {
    const entries = Object.entries(value).map(([key, entry]) => [`${JSON.stringify(key)}: `, entry] as const);
    list("{}", entries, indent, depth, parts);
  } else if (value instanceof JsonFloat) parts.push(value.source);
  else parts.push(typeof value === "bigint" ? String(value) : JSON.stringify(value));
}

function list(
  [open = "", close = ""]: string,
  entries: readonly (readonly [string, JsonValue])[],
  indent: string,
  depth: number,
  parts: string[],
): void {
  if (entries.length === 0 || depth >= DEEPEST) {
    parts.push(open, entries.length === 0 ? "" : " … ", close);
    return;
  }
  const inner = `${indent}  `;
  parts.push(open);
  entries.forEach(([name, value], at) => {
    parts.push(at === 0 ? "\n" : ",\n", inner, name);
    write(value, inner, depth + 1, parts);
  });
  parts.push("\n", indent, close);
}
