import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readText, root, run } from "./support.js";

/** Every file of the repository, committed or about to be. */
const files = run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
  .split("\0")
  .filter((path) => path !== "" && existsSync(root + path));

describe("the repository", () => {
  it("names no machine's paths and no registry's host", () => {
    // In two halves, so that this file is not its own finding.
    const traces = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "registry." + "npmjs"];
    const found = files.flatMap((path) => {
      const text = readFileSync(root + path, "latin1");
      return traces.filter((trace) => text.includes(trace)).map((trace) => `${path}: ${trace}`);
    });
    expect(files).toContain("package.json");
    expect(found).toEqual([]);
  });

  it("locks versions and contents, not the hosts they came from", () => {
    interface Entry {
      readonly resolved?: string;
      readonly integrity?: string;
      readonly link?: boolean;
    }
    const lock = JSON.parse(readText("package-lock.json")) as { readonly packages: Readonly<Record<string, Entry>> };
    const installed = Object.entries(lock.packages).filter(([path]) => path !== "");
    expect(installed.length).toBeGreaterThan(100);
    expect(installed.filter(([, { resolved }]) => resolved !== undefined)).toEqual([]);
    // What is bundled inside another package is covered by that package's integrity.
    const unlocked = installed.filter(([, { integrity }]) => integrity === undefined);
    expect(unlocked.filter(([, entry]) => !("inBundle" in entry))).toEqual([]);
  });

  it("locks the builds for every platform, without which `npm ci` stops", () => {
    interface Entry {
      readonly optionalDependencies?: Readonly<Record<string, string>>;
    }
    const lock = JSON.parse(readText("package-lock.json")) as { readonly packages: Readonly<Record<string, Entry>> };
    const locked = new Set(Object.keys(lock.packages).map((path) => path.replace(/^.*node_modules\//, "")));
    const wanted = Object.values(lock.packages).flatMap(({ optionalDependencies = {} }) =>
      Object.keys(optionalDependencies),
    );
    expect(wanted.length).toBeGreaterThan(20);
    expect(wanted.filter((name) => !locked.has(name))).toEqual([]);
  });

  it("depends at run time on what was agreed, at exact versions", () => {
    const { dependencies } = JSON.parse(readText("package.json")) as { readonly dependencies: Record<string, string> };
    expect(Object.keys(dependencies).sort()).toEqual([
      "@noble/ed25519",
      "@noble/hashes",
      "fast-json-stable-stringify",
      "immer",
    ]);
    expect(Object.values(dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });
});
