/** The examples of a page: each as a module beside the host of examples/host, over the built package. */
import { spawnSync } from "node:child_process";
import { build } from "esbuild";
import ts from "typescript";
import { root } from "./support.js";

const folder = `${root}examples/host`;

/** The code blocks of a language, in order. */
export function blocksOf(page: string, language: string): readonly string[] {
  return [...page.matchAll(/```([a-z]*)\n([\s\S]*?)```/g)].flatMap(([, name, text = ""]) =>
    name === language ? [text] : [],
  );
}

/** Compiler messages for the text under strict settings, over the built declarations. */
export function compile(text: string): readonly string[] {
  const file = `${folder}/example.ts`;
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

/** What the text prints. Throws with what it says if it fails or complains. */
export async function play(text: string): Promise<string> {
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
  if (run.status !== 0 || run.stderr !== "") throw new Error(`the example failed: ${run.stderr}`);
  return run.stdout;
}
