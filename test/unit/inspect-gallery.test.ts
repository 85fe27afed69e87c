/** The gallery: every expectation of every text, in every version that it names. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { auditReport, checkRoom, readScenario, softFailures } from "../../src/inspect/index.js";
import type { Expectation, RoomAudit, Scenario } from "../../src/inspect/index.js";
import { referenceResolve } from "../../src/testing/index.js";

const folder = fileURLToPath(new URL("../../fixtures/gallery/", import.meta.url));
const names = readdirSync(folder).filter((name) => name.endsWith(".txt"));

function scenarioOf(text: string, roomVersion?: string): Scenario {
  const scenario = readScenario(text, roomVersion === undefined ? {} : { roomVersion });
  if (!scenario.ok) throw new Error(scenario.error.reason);
  return scenario.value;
}

function auditOf({ dump }: Scenario): RoomAudit {
  const report = checkRoom(dump);
  if (!report.ok) throw new Error(report.error.reason);
  return auditReport(report.value);
}

function stateAfter({ report: { replay } }: RoomAudit, events: readonly string[]): readonly string[] {
  const after = replay.stateAfter(events);
  return after?.verdict === "resolved" ? replay.index.idsOf(after.state) : [];
}

const resolvedAt = (audit: RoomAudit, parents: readonly string[]): readonly string[] =>
  [...stateAfter(audit, parents)].sort();

/** The same by the resolver that follows the letter and shares no line with the library's. */
function byReference(audit: RoomAudit, parents: readonly string[]): readonly string[] {
  const { replay } = audit.report;
  const ids = replay.order.filter((id) => replay.index.get(id) !== undefined);
  return referenceResolve({
    room_version: audit.roomVersion,
    state_sets: parents.map((id) => stateAfter(audit, [id])),
    events: ids.map((id) => ({ ...replay.pdu(id)!.json, event_id: id })),
  });
}

type Loss = "reset" | "rollback" | "overwritten";
const losses: readonly string[] = ["reset", "rollback", "overwritten"] satisfies readonly Loss[];

describe.each(names)("%s", (name) => {
  const text = readFileSync(folder + name, "utf8");
  const { expectations, title, lesson, source } = scenarioOf(text);
  const versions = [...new Set(expectations.flatMap((one) => one.versions))];

  it("has a title, a lesson of three sentences and a source", () => {
    expect(title).toMatch(/^[A-Z]/);
    expect(lesson).toHaveLength(3);
    expect(source).toHaveLength(1);
    for (const sentence of [...lesson, ...source]) expect(sentence).toMatch(/\.$/);
  });

  it.each(versions)("is as expected in room version %s", (version) => {
    const scenario = scenarioOf(text, version);
    const audit = auditOf(scenario);
    const idOf = (event: string): string => scenario.ids.get(event) ?? "";
    const nameOf = (id: string | undefined): string => scenario.dump.names?.get(id ?? "") ?? String(id);
    const expected = expectations.filter((one) => one.versions.includes(version));
    const softFailed = softFailures(audit.report);
    const said = (kind: Expectation["expects"]): readonly string[] =>
      expected.flatMap((one) => (one.expects === kind && "name" in one ? [one.name ?? ""] : [])).sort();
    for (const one of expected) {
      if (one.expects === "state") {
        const entry = audit.report.state?.find((at) => at.type === one.type && at.stateKey === one.stateKey);
        expect([one.type, one.stateKey, nameOf(entry?.eventId)]).toEqual([
          one.type,
          one.stateKey,
          one.name ?? "undefined",
        ]);
      } else if (one.expects === "accepted" || one.expects === "rejected") {
        const verdict = audit.report.replay.verdicts.get(idOf(one.name))?.verdict;
        expect([one.name, verdict]).toEqual([one.name, expect.stringContaining(one.expects)]);
      }
    }
    const found = audit.findings.flatMap(({ kind, loss }) =>
      loss === undefined ? [] : [`${kind} ${nameOf(loss.eventId)}`],
    );
    expect(found.sort()).toEqual(
      losses.flatMap((kind) => said(kind as Loss).map((event) => `${kind} ${event}`)).sort(),
    );
    if (said("soft-failed").length > 0) expect([...softFailed.keys()].map(nameOf)).toEqual(said("soft-failed"));
    for (const { parents } of audit.report.forks)
      expect(resolvedAt(audit, parents)).toEqual(byReference(audit, parents));
    // Nothing else is wrong with these rooms.
    expect(audit.findings.filter(({ loss }) => loss === undefined)).toEqual([]);
  });
});
