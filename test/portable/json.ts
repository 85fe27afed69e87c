/**
 * V8 15.0 (Deno 2.9.6) misreads keys that begin with an escape (src/json/parse.ts), and tests read their vectors with
 * `JSON.parse`. Where it does, texts with escapes are read by the library, which has noticed.
 */
import { JsonFloat, parseLax } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";

const platform = JSON.parse;

function misreads(): boolean {
  platform('{"b":0,"\\\\":0}');
  return !Object.hasOwn(platform('{"b":0,"\\n":0}') as object, "\n");
}

function plain(value: JsonValue): unknown {
  if (value instanceof JsonFloat) return value.value;
  if (typeof value === "bigint") return Number(value);
  if (Array.isArray(value)) return (value as readonly JsonValue[]).map(plain);
  if (typeof value !== "object" || value === null) return value;
  const object: object = {};
  for (const [key, held] of Object.entries(value)) {
    Object.defineProperty(object, key, { value: plain(held), enumerable: true, writable: true, configurable: true });
  }
  return object;
}

if (misreads()) {
  // The library looks at the platform's parser once, and has to see that one.
  parseLax('{"\\n":0}');
  JSON.parse = (text: string, reviver?: Parameters<typeof platform>[1]): unknown => {
    const parsed = text.includes("\\") && reviver === undefined ? parseLax(text) : undefined;
    return parsed?.ok === true ? plain(parsed.value) : platform(text, reviver);
  };
}
