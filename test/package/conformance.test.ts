import { describe, expect, it } from "vitest";
import { capabilities, roomVersions } from "../../scripts/capabilities.mjs";
import { collect, parseClaims, parseVersions, render } from "../../scripts/conformance.mjs";
import { root } from "./support.js";

function report(...tests: readonly (readonly [folder: string, status: string, fullName: string])[]) {
  const testResults = tests.map(([folder, status, fullName]) => ({
    name: `${root}test/${folder}/some.test.ts`,
    assertionResults: [{ status, fullName }],
  }));
  return { numTotalTests: tests.length, testResults };
}

/** Put together here, so that the titles in this file claim nothing. */
const tag = (body: string) => ["judges something [cap", `${body}]`].join(":");

describe("the conformance page", () => {
  it("reads versions as lists and ranges", () => {
    expect(parseVersions("1-3,12,I.1")).toEqual(["1", "2", "3", "12", "I.1"]);
    expect(parseVersions("1-12,I.1")).toEqual(roomVersions);
    for (const wrong of ["13", "3-1", "1-13", "", "I.2", "v1"]) expect(() => parseVersions(wrong)).toThrow();
  });

  it("refuses a tag that it does not know", () => {
    for (const wrong of ["nothing", "redaction v:13", "redaction v:", "redaction 1", ""]) {
      expect(() => parseClaims(tag(wrong)), wrong).toThrow();
    }
    expect(parseClaims("says nothing")).toEqual([]);
  });

  it("claims what a passing test shows, by the kind of test", () => {
    const claims = collect(report(["vectors", "passed", tag("redaction v:1,I.1")], ["unit", "passed", tag("base64")]));
    expect([...claims].sort()).toEqual(["base64 any U", "redaction 1 V", "redaction I.1 V"]);
  });

  it("claims nothing from tests that were skipped or failed, or that another test contradicts", () => {
    const claims = collect(
      report(
        ["vectors", "passed", tag("redaction v:1-2")],
        ["unit", "failed", tag("redaction v:2")],
        ["unit", "skipped", tag("redaction v:3")],
        ["unit", "todo", tag("redaction v:4")],
      ),
    );
    expect([...claims]).toEqual(["redaction 1 V"]);
  });

  it("lists every capability, and says so where nothing is shown", () => {
    const page = render(new Set(["redaction 12 V", "redaction 12 U"]), "What is not done.");
    const rows = page.split("\n").filter((line) => /^\| \d/.test(line));
    expect(rows).toHaveLength(capabilities.size);
    expect(rows.filter((row) => row.endsWith("| not shown |"))).toHaveLength(capabilities.size - 1);
    expect(rows.find((row) => row.includes("`redaction`"))).toContain("| VU |  |  |");
    expect(page.endsWith("\n\nWhat is not done.\n")).toBe(true);
  });

  it("follows the inventory, every row once", () => {
    const rows = [...capabilities.values()].map(({ row }) => row);
    expect(rows).toEqual(Array.from({ length: 87 }, (_, i) => i + 1));
  });
});
