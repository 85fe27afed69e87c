/** The README's examples are what people copy: they compile under the strict settings and they run. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");
const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");

/** Compiler messages for the text as a module of this package, which imports the built declarations. */
function compile(text: string): readonly string[] {
  const file = `${root}readme-example.ts`;
  const options: ts.CompilerOptions = {
    strict: true,
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
    skipLibCheck: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const withExample: ts.CompilerHost = {
    ...host,
    readFile: (name) => (name === file ? text : host.readFile(name)),
    fileExists: (name) => name === file || host.fileExists(name),
    getSourceFile: (name, target, ...rest) =>
      name === file ? ts.createSourceFile(name, text, target) : host.getSourceFile(name, target, ...rest),
  };
  const program = ts.createProgram([file], options, withExample);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"));
}

describe("README", () => {
  it("has its examples", () => {
    expect(examples).toHaveLength(2);
    expect(examples[0]?.trim().split("\n").length).toBeLessThanOrEqual(11);
  });

  it.each(examples.map((text, at) => [at + 1, text] as const))("example %i compiles and runs", (_at, text) => {
    expect(compile(text)).toEqual([]);
    const plain = ts.transpileModule(text, {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    });
    const run = spawnSync(process.execPath, ["--input-type=module", "--eval", plain.outputText], {
      cwd: root,
      encoding: "utf8",
    });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });

  it("would notice an example that does not compile", () => {
    expect(compile('import { version } from "roomdag"; version(10);')).toHaveLength(1);
  });
});
