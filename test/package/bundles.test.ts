import vm from "node:vm";
import { readdirSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { type Bundle, bundle, coreEntries, readText, root } from "./support.js";

/** What a platform adds to the language. */
const ambient = [
  "process",
  "Buffer",
  "require",
  "module",
  "fetch",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "queueMicrotask",
  "TextEncoder",
  "TextDecoder",
  "crypto",
  "performance",
  "URL",
  "structuredClone",
  "window",
  "self",
  "console",
  "atob",
];

/** An object for each entry: `ids/index` → `ids`, `versions/v12` → `versions_v12`. */
const local = (entry: string): string => entry.replace(/\/index$/, "").replace("/", "_");

/** Runs inside the context: answers a vector, as a line of JSON, by the facade alone. */
const answer = `
  globalThis.answer = (line) => {
    const { op, room_version, event, ...rest } = JSON.parse(line);
    if (op === "canonical") return JSON.stringify(bundled.json.encodeCanonical(rest.value));
    const api = bundled.index.version(room_version);
    const operations = {
      redact: () => api.redact(event),
      content_hash: () => api.contentHash(event),
      event_id: () => api.eventId(event),
      sign: () => {
        const seed = bundled.crypto.decodeBase64(rest.seed);
        const { hashes, signatures } = api.sign(event, { server: rest.server, keyId: rest.key_id, seed });
        return { hashes, signatures };
      },
      auth: () => {
        const { verdict } = api.authorize(event, { authEvents: rest.auth_events, create: rest.create });
        return verdict === "allowed";
      },
      resolve: () => api.resolve({ stateSets: rest.state_sets, events: rest.events }).state,
    };
    return JSON.stringify(operations[op]());
  };`;

interface Vector {
  readonly op: string;
  readonly room_version?: string;
  readonly expect: { readonly ok?: unknown };
}

/** A few vectors of each kind and room version; the tests of the sources run them all. */
function sample(): ReadonlyMap<string, readonly string[]> {
  const byKind = new Map<string, string[]>();
  for (const file of ["plain", "auth", "resolve"]) {
    for (const line of readText(`fixtures/vectors/${file}.jsonl`).split("\n")) {
      if (line === "") continue;
      const { op, room_version = "-", expect: expected } = JSON.parse(line) as Vector;
      if (expected.ok === undefined) continue;
      const kind = `${op} ${room_version}`;
      const lines = byKind.get(kind) ?? [];
      if (lines.length < 4) byKind.set(kind, [...lines, line]);
    }
  }
  return byKind;
}

describe("the core without a platform", () => {
  let context: vm.Context;
  const evaluate = (script: string): unknown => vm.runInContext(script, context, { timeout: 60_000 });
  const vectors = sample();

  beforeAll(async () => {
    const source = coreEntries.map((entry) => `export * as ${local(entry)} from "./dist/${entry}.js";`).join("\n");
    const { text } = await bundle(source, "iife");
    const bare = Object.create(null) as vm.Context;
    context = vm.createContext(bare, { codeGeneration: { strings: false, wasm: false } });
    // V8 gives every context a console of its own, which is no part of the language.
    evaluate("delete globalThis.console;");
    evaluate(text);
    evaluate(answer);
  });

  it("really has none", () => {
    expect(ambient.filter((name) => evaluate(`typeof ${name}`) !== "undefined")).toEqual([]);
  });

  it("is tried with every operation", () => {
    const operations = new Set([...vectors.keys()].map((kind) => kind.split(" ")[0]));
    expect([...operations].sort()).toEqual([
      "auth",
      "canonical",
      "content_hash",
      "event_id",
      "redact",
      "resolve",
      "sign",
    ]);
  });

  it.each([...vectors])("answers %s as recorded", (_, lines) => {
    for (const line of lines) {
      const answered: unknown = JSON.parse(String(evaluate(`answer(${JSON.stringify(line)})`)));
      expect(answered).toEqual((JSON.parse(line) as Vector).expect.ok);
    }
  });

  it("hashes bytes", () => {
    // SHA-256 of the empty message, from FIPS 180-4's examples.
    expect(evaluate(`bundled.crypto.encodeUnpadded(bundled.crypto.sha256(new Uint8Array(0)))`)).toBe(
      "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
    );
  });
});

describe("a bundle of version 12 alone", () => {
  let alone: Bundle;
  let everything: Bundle;

  /** Functions that only the resolver of version 1 defines. */
  const resolverOfV1 = functionsIn("src/stateres/v1.ts");

  function functionsIn(path: string): readonly string[] {
    const elsewhere = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts") && `src/${name}` !== path)
      .map((name) => readText(`src/${name}`))
      .join("\n");
    return [...readText(path).matchAll(/^(?:export )?function (\w+)/gm)]
      .map(([, name = ""]) => name)
      .filter((name) => !elsewhere.includes(`function ${name}(`));
  }

  beforeAll(async () => {
    alone = await bundle(`export { v12 } from "./dist/versions/v12.js";`, "esm");
    everything = await bundle(`export * from "./dist/versions/index.js";`, "esm");
  });

  const holds = ({ text }: Bundle, names: readonly string[]) =>
    names.filter((name) => new RegExp(`\\bfunction ${name}\\b`).test(text));

  it("carries no resolver of version 1", () => {
    expect(resolverOfV1.length).toBeGreaterThan(0);
    expect(holds(everything, resolverOfV1)).toEqual(resolverOfV1);
    expect(holds(alone, resolverOfV1)).toEqual([]);
  });

  it("carries no SHA-1", () => {
    expect(everything.text).toMatch(/sha1/i);
    expect(alone.text).not.toMatch(/sha1/i);
  });

  it("is smaller", () => {
    expect(alone.text.length).toBeLessThan(everything.text.length);
  });
});
