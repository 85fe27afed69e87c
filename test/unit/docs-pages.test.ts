/** Pages that list what the code has: each entry of a type is on its page, and nothing else is. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { defaultLimits } from "../../src/engine/index.js";

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

describe("docs/security.md", () => {
  const page = read("docs/security.md");
  const rows = table(page, "Limit", "Default", "Unit");

  it("lists each limit with the default that it has", () => {
    const listed = rows.map(([name = "", value = ""]) => [name.replaceAll("`", ""), Number(value.replaceAll(",", ""))]);
    expect(Object.fromEntries(listed)).toEqual(defaultLimits);
    expect(rows).toHaveLength(Object.keys(defaultLimits).length);
  });

  it("says in milliseconds what the code calls milliseconds", () => {
    const source = read("src/engine/limits.ts");
    const doc = source.slice(source.indexOf("export interface Limits"), source.indexOf("export const"));
    const inTime = [...doc.matchAll(/\/\*\*([^*]*(?:\*(?!\/)[^*]*)*)\*\/\n((?: {2}readonly \w+: number;\n)+)/g)]
      .filter(([, comment = ""]) => /milliseconds/i.test(comment))
      .flatMap(([, , fields = ""]) => [...fields.matchAll(/readonly (\w+)/g)].map((match) => match[1] ?? ""));
    expect(inTime).toContain("retryLongest");
    expect(sorted(rows.filter(([, , unit]) => unit === "ms").map(([name = ""]) => name.replaceAll("`", "")))).toEqual(
      sorted(inTime),
    );
  });

  it("lists each hook of a host's policy", () => {
    const source = read("src/ports/policy.ts");
    const hooks = [...source.matchAll(/^ {2}(check\w+)\?/gm)].map((match) => match[1] ?? "");
    expect(hooks.length).toBeGreaterThan(3);
    expect(quoted(table(page, "Hook", "Asked"), 0)).toEqual(sorted(hooks));
  });
});

describe("links", () => {
  const pages = ["README.md", "SECURITY.md", "docs/verdicts.md", "docs/security.md"];

  it.each(pages)("of %s lead to files and headings that there are", (path) => {
    const folder = path.replace(/[^/]*$/, "");
    for (const [, target = "", anchor] of read(path).matchAll(/\]\(([^)#]*)(?:#([^)]*))?\)/g)) {
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
