/** The examples are run as they stand, over the built package, and their types are checked as a user's would be. */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { root } from "./support.js";

const folder = `${root}examples/minimal-messenger`;

function play(...given: readonly string[]): readonly string[] {
  const run = spawnSync(process.execPath, [`${folder}/main.mjs`, ...given], { cwd: root, encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  return run.stdout.trimEnd().split("\n");
}

interface Kept {
  readonly full: number;
  readonly messenger: number;
  readonly states: number;
  readonly kilobytes: number;
}

/** What the example tells of its storages: after the talk, and in the end. */
function keptIn(lines: readonly string[]): readonly [Kept, Kept] {
  const told = lines.flatMap((line) => {
    const found = /keeps (\d+) events, the messenger (\d+) events and (\d+) states, (\d+) kB$/.exec(line);
    const [full = NaN, messenger = NaN, states = NaN, kilobytes = NaN] = (found ?? []).slice(1).map(Number);
    return found === null ? [] : [{ full, messenger, states, kilobytes }];
  });
  const [first, second] = told;
  if (first === undefined || second === undefined || told.length > 2) throw new Error("it tells twice");
  return [first, second];
}

describe("the minimal messenger", () => {
  const lines = play();
  const shown = lines.filter((line) => line.startsWith("   [messenger]"));

  it("agrees with two full servers in the end", () => {
    expect(lines.at(-1)).toMatch(/^All three agree: topic "Black tea", state [0-9a-f]{12}\.$/);
  });

  it("keeps far fewer events than they do, and no more after hundreds of messages", () => {
    const [few, end] = keptIn(lines);
    expect(few.messenger).toBeLessThan(few.full);
    expect(end.full).toBeGreaterThan(few.full + 10);
    const [many, last] = keptIn(play("170"));
    expect(many.full).toBe(few.full + 3 * (170 - 6));
    // The room's state, the levels and the membership that were replaced, and the last five events.
    expect(few.messenger).toBe(14);
    expect(many.messenger).toBe(few.messenger);
    // Bob's leave and two more joins and levels came to the auth chain; no message did.
    expect(last.messenger).toBe(end.messenger);
    expect(last.messenger).toBeLessThanOrEqual(20);
    expect(last.states).toBe(end.states);
    for (const { states } of [few, end, many, last]) expect(states).toBeLessThanOrEqual(3);
    // What is on disk is these, a minute of transactions, fifty messages, and the ids of five hundred events.
    expect(last.kilobytes).toBeLessThan(80);
  });

  it("shows every message once, its own and those of others, across restarts and a fork", () => {
    const texts = shown.map((line) => line.replace(/^ {3}\[messenger\] \d+ /, ""));
    expect(new Set(texts).size).toBe(texts.length);
    expect(shown.map((line) => Number(/\d+/.exec(line)?.[0]))).toEqual(texts.map((_, at) => at + 1));
    const rounds = (count: number, say: (round: number) => string): string[] =>
      Array.from({ length: count }, (_, at) => say(at + 1));
    expect(texts).toEqual(
      expect.arrayContaining([
        ...rounds(6, (round) => `@alice:one.example: cup ${round}`),
        ...rounds(6, (round) => `@bob:two.example: and another, ${round}`),
        ...rounds(6, (round) => `anna: cheers, ${round}`),
        ...rounds(8, (round) => `@alice:one.example: still here, ${round}`),
        "@bob:two.example: Hello?",
        "@alice:one.example: All of us.",
      ]),
    );
  });

  it("has the others redact what it takes back", () => {
    expect(lines).toContain("   bob sees it taken back");
  });

  it("asks others for what it forgot, and for the state where its memory ends", () => {
    const [before = "", after = ""] = lines.filter((line) => line.includes("asked the others"));
    expect(before).toMatch(/ 0 times for what it lacked, 0 times for a whole state$/);
    expect(Number(/(\d+) times for what/.exec(after)?.[1])).toBeGreaterThan(1);
    expect(Number(/(\d+) times for a whole/.exec(after)?.[1])).toBeGreaterThan(0);
  });

  it("does the same each time", () => {
    expect(play()).toEqual(lines);
  });

  it("has types that hold", () => {
    const files = readdirSync(folder).filter((name) => name.endsWith(".mjs"));
    expect(files.length).toBeGreaterThan(2);
    for (const name of files) expect(readFileSync(`${folder}/${name}`, "utf8")).toMatch(/^\/\/ @ts-check\n/);
    const options: ts.CompilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      allowJs: true,
      checkJs: true,
      noEmit: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2023,
      lib: ["lib.es2023.d.ts"],
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      types: ["node"],
    };
    const program = ts.createProgram(
      files.map((name) => `${folder}/${name}`),
      options,
    );
    const messages = ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
      const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
      return `${file?.fileName.replace(root, "") ?? ""}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
    expect(messages).toEqual([]);
  });
});
