import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import ts from "typescript";
import { expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Loads modules into a context that has the language and nothing of any platform. */
function load(entry: string): unknown {
  const context = createContext(Object.create(null) as object);
  const loaded = new Map<string, { exports: unknown }>();
  const locate = (from: string, name: string): string => {
    if (!name.startsWith(".")) return resolve(root, "node_modules", name.endsWith(".js") ? name : `${name}/index.js`);
    const path = resolve(dirname(from), name);
    return existsSync(path) ? path : path.replace(/\.js$/, ".ts");
  };
  const require = (path: string): unknown => {
    const known = loaded.get(path);
    if (known) return known.exports;
    const module = { exports: {} as unknown };
    loaded.set(path, module);
    const code = ts.transpileModule(readFileSync(path, "utf8"), {
      compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
    }).outputText;
    const run = runInContext(`(function (require, module, exports) {${code}\n})`, context) as (
      require: (name: string) => unknown,
      module: { exports: unknown },
      exports: unknown,
    ) => void;
    run((name) => require(locate(path, name)), module, module.exports);
    return module.exports;
  };
  for (const name of ["crypto", "TextEncoder", "Buffer", "process", "atob", "console"]) {
    expect(runInContext(`typeof ${name}`, context)).toBe(name === "console" ? "object" : "undefined");
  }
  return require(resolve(root, entry));
}

it("works in a context without crypto, TextEncoder, Buffer or process", () => {
  const crypto = load("src/crypto/index.ts") as typeof import("../../src/crypto/index.js");
  const seed = crypto.decodeBase64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1") ?? new Uint8Array(0);
  const key = crypto.publicKeyFromSeed(seed);
  expect(crypto.encodeUnpadded(key)).toBe("XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI");
  const signature = crypto.sign(Uint8Array.of(1, 2), seed);
  expect(crypto.verify(signature, Uint8Array.of(1, 2), key)).toBe(true);
  expect(crypto.verify(signature, Uint8Array.of(1, 3), key)).toBe(false);
  expect(crypto.selfTest(crypto.coreProvider)).toBe(true);
});

it("leaves noble's hook as it was", async () => {
  const { hashes } = await import("@noble/ed25519");
  const { sign } = await import("../../src/crypto/index.js");
  const mine = (): Uint8Array => new Uint8Array(64);
  hashes.sha512 = mine as typeof hashes.sha512;
  sign(new Uint8Array(0), new Uint8Array(32));
  expect(hashes.sha512).toBe(mine);
  hashes.sha512 = undefined;
});
