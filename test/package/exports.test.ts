import { readdirSync, statSync } from "node:fs";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { intendedFolders, libraryEntries } from "../../scripts/entries.mjs";
import { builtEntries, bundle, coreEntries, nodeEntries, readText, root, run, specifier } from "./support.js";

interface Manifest {
  readonly exports: Readonly<Record<string, unknown>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readText("package.json")) as Manifest;

/** Compiles a user's file that imports every entry, with nothing from the platform and with libraries checked. */
function compileUser(moduleResolution: ts.ModuleResolutionKind, module: ts.ModuleKind, entries: readonly string[]) {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts"],
    types: [],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    moduleResolution,
    module,
  };
  const file = `${root}user-of-the-package.mts`;
  const names = entries.map((_, index) => `entry${index}`);
  const lines = entries.map((entry, index) => `import * as entry${index} from "${specifier(entry)}";`);
  const text = [...lines, `export const all: readonly object[] = [${names.join(", ")}];`].join("\n");
  const host = ts.createCompilerHost(options);
  const userHost: ts.CompilerHost = {
    ...host,
    fileExists: (path) => path === file || host.fileExists(path),
    getSourceFile: (path, language, ...rest) =>
      path === file ? ts.createSourceFile(path, text, language) : host.getSourceFile(path, language, ...rest),
  };
  const program = ts.createProgram([file], options, userHost);
  return ts
    .getPreEmitDiagnostics(program)
    .map(
      ({ messageText, file: where }) =>
        `${where?.fileName.replace(root, "") ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
}

describe("the exports of the package", () => {
  it("are one subpath an entry", () => {
    const subpaths = Object.keys(manifest.exports);
    expect(subpaths.sort()).toEqual(
      [".", "./package.json", "./versions/*", ...intendedFolders.map((name) => `./${name}`)].sort(),
    );
  });

  it("each have a source", () => {
    const sources = Object.keys(libraryEntries());
    expect(intendedFolders.filter((name) => !sources.includes(`${name}/index`))).toEqual([]);
    expect(sources).toContain("index");
    const versions = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "i1"];
    expect(sources).toEqual(expect.arrayContaining(versions.map((version) => `versions/${version}`)));
  });

  it("load in Node and export something", () => {
    const specifiers = builtEntries.map(specifier);
    const script = `
      const counts = {};
      for (const name of ${JSON.stringify(specifiers)}) counts[name] = Object.keys(await import(name)).length;
      console.log(JSON.stringify(counts));`;
    const output = run(process.execPath, ["--input-type=module", "--eval", script]);
    const counts = JSON.parse(output) as Readonly<Record<string, number>>;
    expect(Object.keys(counts)).toEqual(specifiers);
    // Ports are types: there is nothing to load.
    expect(Object.entries(counts).filter(([, count]) => count === 0)).toEqual([["roomdag/ports", 0]]);
  });

  it.each([
    ["bundler", ts.ModuleResolutionKind.Bundler, ts.ModuleKind.ESNext],
    ["nodenext", ts.ModuleResolutionKind.NodeNext, ts.ModuleKind.NodeNext],
  ])("have declarations that need neither DOM nor Node types (%s)", (_, resolution, module) => {
    expect(compileUser(resolution, module, coreEntries)).toEqual([]);
  });

  it("have declarations that a wrong use fails against", () => {
    expect(compileUser(ts.ModuleResolutionKind.NodeNext, ts.ModuleKind.NodeNext, ["no-such-entry"])).not.toEqual([]);
  });
});

describe("the files of the package", () => {
  const packed = JSON.parse(run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"])) as readonly [
    { readonly files: readonly { readonly path: string }[] },
  ];
  const paths = packed[0].files.map(({ path }) => path);

  it("are the build and the papers, no sources or tests", () => {
    const page = ["dist/page/room.css", "dist/page/hashes.json"];
    const expected = /^(?:dist\/.*\.(?:js|d\.ts|js\.map)|[A-Z]+(?:\.md)?|package\.json)$/;
    expect(paths.filter((path) => !expected.test(path)).sort()).toEqual([...page].sort());
    expect(paths).toEqual(expect.arrayContaining(["LICENSE", "CHANGELOG.md", "package.json", "dist/index.js"]));
  });

  it("use no module of a platform outside the command line and the adapters for Node", async () => {
    expect(nodeEntries).toEqual(["adapters/node-crypto/index", "adapters/node-http/index"]);
    const portable = builtEntries.filter((entry) => !nodeEntries.includes(entry));
    const lines = portable.map((entry, index) => `export * as entry${index} from "./dist/${entry}.js";`);
    const { metafile } = await bundle(lines.join("\n"), "esm", ["node:*", "@noble/*", "fast-check"]);
    const imported = Object.values(metafile.outputs)
      .flatMap(({ imports }) => imports)
      .filter(({ external }) => external === true)
      .map(({ path }) => path);
    const packages = imported.map((path) =>
      path
        .split("/")
        .slice(0, path.startsWith("@") ? 2 : 1)
        .join("/"),
    );
    const allowed = [...Object.keys(manifest.dependencies), "fast-check"];
    expect(packages.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(packages).not.toContain("fast-json-stable-stringify");
  });

  it("hold no CommonJS", () => {
    const paths = readdirSync(`${root}dist`, { recursive: true, encoding: "utf8" });
    const scripts = paths.filter((path) => path.endsWith(".js"));
    expect(scripts.length).toBeGreaterThan(builtEntries.length);
    const commonJs = /\brequire\(|__require\b|__commonJS\b|\bmodule\.exports\b/;
    expect(scripts.filter((path) => commonJs.test(readText(`dist/${path}`)))).toEqual([]);
  });

  it("include an executable command", () => {
    const command = manifest.bin["roomdag"] ?? "";
    expect(readText(command).startsWith("#!/usr/bin/env node\n")).toBe(true);
    expect(statSync(root + command).mode & 0o111).toBe(0o111);
  });
});
