/** docs/http.md lists each limit of those who ask and those who answer, with the default and the unit that it has. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { defaultHttpClientLimits, defaultHttpHandlerLimits } from "../../src/adapters/http/index.js";
import { defaultListenLimits, defaultNodeConnectorLimits } from "../../src/adapters/node-http/index.js";

const page = readFileSync(new URL("../../docs/http.md", import.meta.url), "utf8");

/** The rows of the table with this first column: name, default, unit. */
function rowsOf(header: string): readonly (readonly [string, number, string])[] {
  const [, after = ""] = page.split(`| ${header} | Default | Unit | Bounds |\n`);
  const lines = after.split("\n").slice(1);
  const end = lines.findIndex((line) => !line.startsWith("|"));
  return lines.slice(0, end).map((line) => {
    const [, name = "", value = "", unit = ""] = line.split("|").map((cell) => cell.trim());
    return [name.replaceAll("`", ""), Number(value.replaceAll(",", "")), unit];
  });
}

describe("docs/http.md", () => {
  it.each([
    ["Limit of a client", defaultHttpClientLimits],
    ["Limit of a connector", defaultNodeConnectorLimits],
    ["Limit of a handler", defaultHttpHandlerLimits],
    ["Limit of a listener", defaultListenLimits],
  ] as const)("lists what the code has: %s", (header, defaults) => {
    const rows = rowsOf(header);
    expect(rows.map(([name, value]) => [name, value])).toEqual(Object.entries(defaults));
    for (const [name, , unit] of rows) {
      const expected = /Bytes$/.test(name)
        ? "bytes"
        : /Time$|^retry/.test(name)
          ? "ms"
          : /^(?:requests|connections|servers)$/;
      expect(unit, name).toMatch(expected);
    }
  });
});
