/** The README's main job, as it is run: the built command line over every recorded room. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { root } from "./support.js";

const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

describe("npm start", () => {
  it("agrees with every recorded room, and with those restamped as I.1 [cap:receipt v:1-12,I.1]", () => {
    const [node, ...args] = scripts["start"]?.split(" ") ?? [];
    expect(node).toBe("node");
    const run = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
    const lines = run.stdout.trimEnd().split("\n");
    const files = lines.filter((line) => /\.json\s+version \S+\s/.test(line));
    expect(files).toHaveLength(56);
    expect(files.filter((line) => !line.includes("state agrees"))).toEqual([]);
    expect(lines.at(-1)).toMatch(/^All 56 files agree\. /);
  });

  it("restamps version 10 as I.1 as the fixtures have it [cap:version-i1 v:I.1]", () => {
    const run = spawnSync(process.execPath, ["scripts/restamp.mjs", "--check"], { cwd: root, encoding: "utf8" });
    expect(run.stderr).toBe("");
    expect(run.status).toBe(0);
  });
});
