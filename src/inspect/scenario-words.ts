/** The words of a scenario's line: names, quoted strings and JSON, each where it ends. */
import { refuse, ok } from "../errors.js";
import type { Result } from "../errors.js";
import { parseLax } from "../json/parse.js";
import { isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";

/** One word. */
export type Word =
  | { readonly kind: "name"; readonly text: string }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "json"; readonly value: JsonObject };

const SPACE = /[ \t\r]+/y;
const NAME = /[^ \t\r"{}#][^ \t\r"]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/y;
/** What JSON can be skipped by, to find where an object ends. */
const IN_JSON = /[^"{}[\]]+|"(?:[^"\\]|\\.)*"/y;

/** The words of a line; what comes after a `#` that begins a word is a remark. */
export function wordsOf(line: string): Result<readonly Word[]> {
  const words: Word[] = [];
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(line)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  while (at < line.length) {
    if (match(SPACE) !== undefined) continue;
    const char = line[at];
    if (char === "#") break;
    if (char === "{") {
      const end = endOfObject(line, at);
      const value = end === undefined ? undefined : parseLax(line.slice(at, end));
      if (end === undefined || value === undefined) return refuse("bad_json", "a JSON object does not end");
      if (!value.ok) return refuse("bad_json", value.error.reason);
      if (!isObject(value.value)) return refuse("bad_json", "this is no JSON object");
      words.push({ kind: "json", value: value.value });
      at = end;
      continue;
    }
    if (char === '"') {
      const source = match(STRING);
      const value = source === undefined ? undefined : parseLax(source);
      if (value?.ok !== true || typeof value.value !== "string") return refuse("bad_json", "a string does not end");
      words.push({ kind: "string", text: value.value });
      continue;
    }
    const name = match(NAME);
    if (name === undefined) return refuse("bad_format", `${JSON.stringify(char)} begins no word`);
    words.push({ kind: "name", text: name });
  }
  return ok(words);
}

function endOfObject(line: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < line.length;) {
    const char = line[at];
    if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") depth--;
    else {
      IN_JSON.lastIndex = at;
      const skipped = IN_JSON.exec(line)?.[0];
      if (skipped === undefined) return undefined;
      at += skipped.length;
      continue;
    }
    at++;
    if (depth === 0) return at;
  }
  return undefined;
}
