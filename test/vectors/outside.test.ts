/**
 * Cases on which two outside implementations agree, put through the line protocol that anyone else
 * would use. One test a case, so that a failure names it.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { answerLine } from "../../src/inspect/oracle.js";

/** Cases that were recorded wrongly, by event id, with the answer that the recorded server really gives. */
const errata = JSON.parse(readFileSync(new URL("../../fixtures/vectors/errata.json", import.meta.url), "utf8")) as {
  readonly auth: Readonly<Record<string, { readonly ok: boolean; readonly rule: string }>>;
};

interface Case {
  readonly op: string;
  readonly room_version?: string;
  readonly event?: { readonly event_id?: string };
  readonly expect: { readonly ok?: unknown; readonly error?: true };
}

function load(name: string): readonly (readonly [line: string, parsed: Case])[] {
  const text = readFileSync(new URL(`../../fixtures/vectors/${name}.jsonl`, import.meta.url), "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => [line, JSON.parse(line) as Case]);
}

interface Answer {
  readonly ok?: unknown;
  readonly error?: string;
}

/** What the recorded peers answer to `redact` and `sign` leaves keys out that this library keeps in place. */
function comparable(op: string, answer: unknown): unknown {
  const value = answer as Record<string, unknown>;
  if (op === "redact") return Object.fromEntries(Object.entries(value).filter(([key]) => key !== "unsigned"));
  if (op === "auth") return value["allowed"];
  return value;
}

/** The capability that an operation shows, by room version where the inventory tells them apart. */
function capability(op: string, roomVersion: string): string {
  const resolution = roomVersion === "1" ? "resolution-v1" : roomVersion === "12" ? "resolution-v2.1" : "resolution-v2";
  const names: Readonly<Record<string, string>> = {
    redact: "redaction",
    content_hash: "content-hash",
    event_id: "event-id",
    sign: "signing",
    canonical: "canonical-json",
    auth: "auth-membership",
    resolve: resolution,
  };
  return names[op] ?? op;
}

for (const file of ["plain", "auth", "resolve"]) {
  const groups = new Map<string, (readonly [string, Case])[]>();
  for (const entry of load(file)) {
    const key = `${entry[1].op} ${entry[1].room_version ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  for (const [key, cases] of groups) {
    const [op = "", roomVersion = ""] = key.split(" ");
    const scope = roomVersion === "" ? "" : ` v:${roomVersion}`;
    describe(`${key.trim()} [cap:${capability(op, roomVersion)}${scope}]`, () => {
      it.each(cases.map(([line, parsed], index) => [index, line, parsed] as const))(
        "case %i",
        (_index, line, parsed) => {
          const answer = JSON.parse(answerLine(line)) as Answer;
          if (parsed.expect.error === true) {
            expect(answer.error).toBeTypeOf("string");
            return;
          }
          expect(answer.error).toBeUndefined();
          const ok = comparable(op, answer.ok);
          const erratum = op === "auth" ? errata.auth[parsed.event?.event_id ?? ""] : undefined;
          if (erratum !== undefined) {
            expect(erratum.ok).not.toBe(parsed.expect.ok);
            expect(answer.ok).toMatchObject({ allowed: erratum.ok, rule: erratum.rule });
            return;
          }
          if (op === "sign") expect(ok).toMatchObject(parsed.expect.ok as object);
          else if (op === "resolve")
            expect([...(ok as string[])].sort()).toEqual([...(parsed.expect.ok as string[])].sort());
          else expect(ok).toEqual(parsed.expect.ok);
        },
      );
    });
  }
}
