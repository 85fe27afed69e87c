/** The README's examples are what people copy: they compile under the strict settings and they run. */
import { spawnSync } from "node:child_process";
import { build } from "esbuild";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { builtEntries, readText, root, specifier } from "./support.js";

const readme = readText("README.md");
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
const [core = "", host = ""] = examples;

/** Where `./host.js` is a host's ports. */
const folder = `${root}examples/host`;

/** Compiler messages for the text as a module of this package, which imports the built declarations. */
function compile(text: string): readonly string[] {
  const file = `${folder}/readme-example.ts`;
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    allowJs: true,
    checkJs: true,
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  };
  const plain = ts.createCompilerHost(options);
  const withExample: ts.CompilerHost = {
    ...plain,
    readFile: (name) => (name === file ? text : plain.readFile(name)),
    fileExists: (name) => name === file || plain.fileExists(name),
    getSourceFile: (name, target, ...rest) =>
      name === file ? ts.createSourceFile(name, text, target) : plain.getSourceFile(name, target, ...rest),
  };
  const program = ts.createProgram([file], options, withExample);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

/** What the text prints as a module beside the host's, over the built package. */
async function play(text: string): Promise<readonly string[]> {
  const bundled = await build({
    stdin: { contents: text, resolveDir: folder, loader: "ts" },
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    target: "es2023",
    write: false,
  });
  const code = bundled.outputFiles.map((file) => file.text).join("\n");
  const run = spawnSync(process.execPath, ["--input-type=module", "--eval", code], { cwd: root, encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  return run.stdout.trimEnd().split("\n");
}

describe("README", () => {
  it("has its examples, short", () => {
    expect(examples).toHaveLength(3);
    expect(core.trimEnd().split("\n").length).toBeLessThanOrEqual(11);
    expect(host.trimEnd().split("\n").length).toBeLessThanOrEqual(20);
    expect(readme.split("\n").length).toBeLessThanOrEqual(130);
  });

  it.each(examples.map((text, at) => [at + 1, text] as const))("example %i compiles and runs", async (_at, text) => {
    expect(compile(text)).toEqual([]);
    await play(text);
  });

  it("two servers over a host's own storage and transport end with one message and one state", async () => {
    const lines = await play(host);
    expect(lines).toHaveLength(2);
    const [one = "", two] = lines;
    expect(two).toBe(one);
    // The message; and in the state: create, two members, levels, join rules and history visibility at least.
    expect(one).toMatch(/^\$\S{43} (\$\S{43},){5,}\$\S{43}$/);
    const [message = "", state = ""] = one.split(" ");
    expect(state).not.toContain(message);
  });

  it("imports nothing in memory where it shows a host's own", () => {
    expect(host).not.toContain("adapters");
  });

  it("would notice an example that does not compile, or ends otherwise", async () => {
    expect(compile('import { version } from "roomdag"; version(10);')).toHaveLength(1);
    expect(compile(host.replace("openStorage(name)", "new Map()"))).toHaveLength(1);
    const [unsent = ""] = await play(host.replace(/^await two\.send.*\n/m, ""));
    const [latest = "", state] = unsent.split(" ");
    expect(state).toContain(latest);
  });

  it("lists every entry of the package", () => {
    const table = [...readme.matchAll(/^\| `(roomdag[a-z/]*)` \|/gm)].map((match) => match[1] ?? "");
    const versions = /^roomdag\/versions\/./;
    expect([...table].sort()).toEqual(
      builtEntries
        .map(specifier)
        .filter((name) => !versions.test(name))
        .sort(),
    );
  });
});

/** It is called a storage of the host's own: it keeps what a storage has to keep. */
describe("the storage of the README's host", () => {
  it("passes the suite, with a second handle on its rows", async () => {
    const lines = await play(`
      import { storageSuite } from "roomdag/testing";
      import { Database, storageOver } from "./host.js";
      const databases = new Map();
      const open = (db) => {
        const storage = storageOver(db);
        databases.set(storage, db);
        return storage;
      };
      const reopen = (storage) => open(databases.get(storage));
      for (const check of storageSuite({ create: () => open(new Database()), reopen })) {
        await check.run();
        console.log(check.name);
      }
    `);
    expect(lines.length).toBeGreaterThan(40);
  });
});
