/** I.1 is version 10 with extensible content: nothing about format, authorisation or resolution differs. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { answerLine } from "../../src/inspect/oracle.js";
import type { JsonObject } from "../../src/json/value.js";

interface Request {
  readonly op: string;
  readonly room_version?: string;
}

function requests(name: string): readonly Request[] {
  const text = readFileSync(new URL(`../../fixtures/vectors/${name}.jsonl`, import.meta.url), "utf8");
  const all = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Request]));
  return all.filter(({ room_version }) => room_version === "10");
}

describe("what version 10 answers, restamped [cap:version-i1 v:I.1]", () => {
  it.each(["plain", "auth", "resolve"])("%s", (name) => {
    const cases = requests(name);
    expect(cases.length).toBeGreaterThan(20);
    for (const request of cases) {
      const ten = answerLine(JSON.stringify(request));
      const restamped = answerLine(JSON.stringify({ ...request, room_version: "I.1" }));
      expect(JSON.parse(restamped) as JsonObject).toEqual(JSON.parse(ten.replace('"v10 rule ', '"I.1 rule ')));
    }
  });
});
