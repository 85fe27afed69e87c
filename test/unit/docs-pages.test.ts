/** Pages that list what the code has: each entry of a type is on its page, and nothing else is. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import * as memory from "../../src/adapters/memory/index.js";
import { defaultLimits } from "../../src/engine/index.js";
import * as federation from "../../src/federation/index.js";
import * as testing from "../../src/testing/index.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string): string => readFileSync(root + path, "utf8");

/**
 * The strings of a union type: its members, or what `key` is in each of them.
 * @param path of the source file that declares it
 */
function union(path: string, name: string, key?: string): readonly string[] {
  const source = ts.createSourceFile(path, read(path), ts.ScriptTarget.ES2023);
  const declared = source.statements.find((one) => ts.isTypeAliasDeclaration(one) && one.name.text === name);
  if (declared === undefined || !ts.isTypeAliasDeclaration(declared)) throw new Error(`${path} declares no ${name}`);
  const { type } = declared;
  const members = ts.isUnionTypeNode(type) ? type.types : [type];
  return sorted(members.flatMap((member) => (key === undefined ? literals(member) : valuesOf(member, key))));
}

function literals(type: ts.TypeNode): readonly string[] {
  if (ts.isUnionTypeNode(type)) return type.types.flatMap(literals);
  return ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal) ? [type.literal.text] : [];
}

function valuesOf(type: ts.TypeNode, key: string): readonly string[] {
  if (!ts.isTypeLiteralNode(type)) throw new Error("a member of the union is no object");
  const property = type.members.find(
    (one) => ts.isPropertySignature(one) && ts.isIdentifier(one.name) && one.name.text === key,
  );
  const value = property !== undefined && ts.isPropertySignature(property) ? property.type : undefined;
  if (value === undefined) throw new Error(`a member of the union has no ${key}`);
  return literals(value);
}

function sorted(names: readonly string[]): readonly string[] {
  return [...new Set(names)].sort();
}

/** The cells of the table whose header begins with these columns, row by row. */
function table(page: string, ...columns: readonly string[]): readonly (readonly string[])[] {
  const lines = page.split("\n");
  const at = lines.findIndex((line) => line.startsWith(`| ${columns.join(" | ")} |`));
  if (at < 0) throw new Error(`there is no table of ${columns.join(", ")}`);
  const end = lines.findIndex((line, index) => index > at && !line.startsWith("|"));
  return lines.slice(at + 2, end).map((line) =>
    line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** What stands in backticks in some column. */
function quoted(rows: readonly (readonly string[])[], column: number): readonly string[] {
  return sorted(rows.flatMap((row) => [...(row[column] ?? "").matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? "")));
}

describe("docs/verdicts.md", () => {
  const page = read("docs/verdicts.md");
  const ports = "src/ports/verdict.ts";

  it("lists each refusal code, once", () => {
    const rows = table(page, "Code", "Meaning");
    const codes = union("src/errors.ts", "RefusalCode");
    expect(codes).toContain("auth_rejected");
    expect(quoted(rows, 0)).toEqual(codes);
    expect(rows).toHaveLength(codes.length);
  });

  it("gives the refusal of a check by codes that there are", () => {
    const codes = union("src/errors.ts", "RefusalCode");
    const named = quoted(table(page, "Check", "Question"), 3);
    expect(named.filter((code) => code !== "waitsFor" && !codes.includes(code))).toEqual([]);
  });

  it("has each verdict under one standing, and at the check that gives it", () => {
    const verdicts = union(ports, "Verdict", "verdict");
    const rows = table(page, "Standing", "Verdicts");
    expect(verdicts).toContain("policy-refused");
    expect(quoted(rows, 1)).toEqual(verdicts);
    expect(rows.flatMap((row) => quoted([row], 1))).toHaveLength(verdicts.length);
    const given = quoted(table(page, "Check", "Question"), 2).filter((one) => one !== "redacted: true");
    expect(sorted([...given, "accepted"])).toEqual(verdicts);
  });

  it("has each standing of a stored event, and two of its own", () => {
    const standings = sorted([...union(ports, "StoredVerdict", "standing"), "pending", "dropped"]);
    expect(quoted(table(page, "Standing", "Verdicts"), 0)).toEqual(standings);
    expect(quoted(table(page, "Standing", "State after it"), 0)).toEqual(standings);
  });

  it("has each basis, and each cause of a change of state", () => {
    expect(quoted(table(page, "`basis`", "Judged against"), 0)).toEqual(union(ports, "VerdictBasis"));
    const causes = union("src/ports/observer.ts", "StateCause", "cause");
    expect(causes).toContain("late-decision");
    expect(quoted(table(page, "`cause`", "When"), 0)).toEqual(causes);
  });

  it("says what each cause tells besides its events", () => {
    for (const [cause = "", , says = ""] of table(page, "`cause`", "When")) {
      const told = quoted([[says]], 0);
      const source = read("src/ports/observer.ts");
      const [, fields = ""] = new RegExp(`cause: ${cause.replaceAll("`", '"')};([^}]*)}`).exec(source) ?? [];
      const names = [...fields.matchAll(/readonly (\w+):/g)].map((match) => match[1] ?? "");
      expect(names).toContain("events");
      expect(told).toEqual(sorted(names.filter((name) => name !== "events")));
    }
  });
});

describe("docs/ports.md", () => {
  const page = read("docs/ports.md");
  const rows = table(page, "Port", "The host brings");
  const suites = Object.keys(testing).filter((name) => name.endsWith("Suite"));

  /** A port is an interface that has the name of its file; these two are what ports speak of. */
  const ports = readdirSync(`${root}src/ports`)
    .map((file) =>
      new RegExp(`^export interface (${file.replace(".ts", "")})\\b`, "im").exec(read(`src/ports/${file}`)),
    )
    .flatMap((match) => match?.[1] ?? [])
    .filter((name) => name !== "Cancel" && name !== "Operations");

  it("lists each port, with what it is in memory and its suite, and has a section on each", () => {
    expect(ports).toContain("Directory");
    expect(quoted(rows, 0)).toEqual(sorted(ports));
    for (const [port = "", , inMemory = "", suite = ""] of rows) {
      const [, maker = ""] = /^`(\w+)\(/.exec(inMemory) ?? [];
      expect(Object.keys(memory), port).toContain(maker);
      expect(suites, port).toContain(suite.replaceAll("`", ""));
      expect(page, port).toContain(`\n## ${port.replaceAll("`", "")}\n`);
    }
  });

  it("names each suite that there is, and no other", () => {
    const named = [...page.matchAll(/`(\w+Suite)\b/g)].map((match) => match[1] ?? "");
    expect(suites.length).toBeGreaterThan(ports.length);
    expect(sorted(named)).toEqual(sorted(suites));
  });

  it("names the kind of each intent", () => {
    const files = readdirSync(`${root}src/federation`, { recursive: true, encoding: "utf8" });
    const kinds = files
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) => [...read(`src/federation/${file}`).matchAll(/\bKIND = "(\w+)"|\bid: `(\w+) \$/g)])
      .map((match) => match[1] ?? match[2] ?? "");
    const [, bullet = ""] = /\n- \*\*Intents\*\*((?:.*\n(?! *- ))*)/.exec(page) ?? [];
    expect(kinds).toEqual(expect.arrayContaining(["completion", "edu", "join", "upgrade"]));
    expect(kinds.filter((kind) => !bullet.includes(`\`${kind}\``))).toEqual([]);
  });
});

describe("docs/security.md", () => {
  const page = read("docs/security.md");
  const rows = table(page, "Limit", "Given to", "Default", "Unit");
  const { defaultEduLimits, defaultKeyLimits } = federation;

  /** Each set of limits by the function that takes it, with the file and the interface that say what it is. */
  const sets: readonly (readonly [taker: string, limits: object, file: string, name: string])[] = [
    ["createServer", defaultLimits, "engine/limits.ts", "Limits"],
    ["createEdus", defaultEduLimits, "federation/edus/limits.ts", "EduLimits"],
    ["createKeyRing", defaultKeyLimits, "federation/keys/limits.ts", "KeyLimits"],
  ];
  const rowsOf = (taker: string) => rows.filter((row) => row[1] === `\`${taker}\``);

  // Those of the adapters for HTTP are in docs/http.md, which http-limits-docs.test.ts holds to the code.
  it("has every set of limits that there is in one table", () => {
    const files = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" });
    const defaults = files
      .map((file) => file.replaceAll("\\", "/"))
      .filter(
        (file) =>
          file.endsWith(".ts") &&
          !file.startsWith("adapters/") &&
          /^export const default\w*Limits\b/m.test(read(`src/${file}`)),
      );
    expect(sorted(defaults)).toEqual(sorted(sets.map(([, , file]) => file)));
    expect(quoted(rows, 1)).toEqual(sorted(sets.map(([taker]) => taker)));
    expect(rows).toHaveLength(sets.reduce((sum, [, limits]) => sum + Object.keys(limits).length, 0));
  });

  it.each(sets)("lists each limit of %s with the default that it has", (taker, limits) => {
    const listed = rowsOf(taker).map(([name = "", , value = ""]) => [
      name.replaceAll("`", ""),
      Number(value.replaceAll(",", "")),
    ]);
    expect(Object.fromEntries(listed)).toEqual(limits);
    expect(listed).toHaveLength(Object.keys(limits).length);
  });

  it.each(sets)("says in milliseconds what the code of %s calls milliseconds", (taker, _, file, name) => {
    const source = read(`src/${file}`);
    const doc = source.slice(source.indexOf(`export interface ${name}`), source.indexOf("export const"));
    const inTime = [...doc.matchAll(/\/\*\*([^*]*(?:\*(?!\/)[^*]*)*)\*\/\n((?: {2}readonly \w+: number;\n)+)/g)]
      .filter(([, comment = ""]) => /milliseconds/i.test(comment))
      .flatMap(([, , fields = ""]) => [...fields.matchAll(/readonly (\w+)/g)].map((match) => match[1] ?? ""));
    expect(inTime).toContain("retryLongest");
    const listed = rowsOf(taker).filter(([, , , unit]) => unit === "ms");
    expect(sorted(listed.map(([limit = ""]) => limit.replaceAll("`", "")))).toEqual(sorted(inTime));
  });

  it("lists each hook of a host's policy", () => {
    const source = read("src/ports/policy.ts");
    const hooks = [...source.matchAll(/^ {2}(check\w+)\?/gm)].map((match) => match[1] ?? "");
    expect(hooks.length).toBeGreaterThan(3);
    expect(quoted(table(page, "Hook", "Asked"), 0)).toEqual(sorted(hooks));
  });
});

describe("links", () => {
  const pages = ["README.md", "SECURITY.md", "CONTRIBUTING.md"].concat(
    readdirSync(`${root}docs`).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
  );

  it.each(pages)("of %s lead to files and headings that there are", (path) => {
    const folder = path.replace(/[^/]*$/, "");
    const prose = read(path).replace(/^```[^]*?^```/gm, "");
    for (const [, target = "", anchor] of prose.matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
      if (target.includes("://")) continue;
      const file = target === "" ? path : new URL(target, `file:///${folder}`).pathname.slice(1);
      expect(existsSync(root + file), `${target} in ${path}`).toBe(true);
      if (anchor === undefined) continue;
      const headings = [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, text = ""]) =>
        text
          .toLowerCase()
          .replace(/[^\w\- ]/g, "")
          .replaceAll(" ", "-"),
      );
      expect(headings).toContain(anchor);
    }
  });
});
