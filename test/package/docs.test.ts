/** The examples in docs that say what they print do print it. */
import { describe, expect, it } from "vitest";
import { blocksOf, compile, play } from "./markdown.js";
import { readText } from "./support.js";

describe("docs/verdicts.md", () => {
  const page = readText("docs/verdicts.md");
  const examples = blocksOf(page, "ts");
  const outputs = blocksOf(page, "text");

  it("has an output for each example", () => {
    expect(examples.length).toBe(2);
    expect(outputs).toHaveLength(examples.length);
  });

  it.each(examples.map((text, at) => [at + 1, text, outputs[at]] as const))(
    "example %i compiles, and prints what is said",
    async (_at, text, output) => {
      expect(compile(text)).toEqual([]);
      expect(await play(text)).toBe(output);
    },
  );
});
