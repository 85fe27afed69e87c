/** Audits and replays of the recorded rooms. */
import { describe, expect, it } from "vitest";
import { auditReport, replayReportAs } from "../../src/inspect/index.js";
import { reportOf, rooms, roomText, versionIn } from "./support.js";

/**
 * Room version 1 judges power levels while memberships in conflict count as absent, and Synapse did so in this
 * room: two concurrent changes of the levels, and the sender of one has changed her profile on her branch.
 */
const knownResets: ReadonlyMap<string, readonly string[]> = new Map([
  ["fork-v1-r1.json", ["m.room.power_levels gone m.room.member"]],
]);

describe.each(rooms)("%s", (name) => {
  const report = reportOf(roomText(name), { signatures: "assumed" });

  it("has no reset but where its version is known to reset, and every rollback has a revocation", () => {
    const { findings } = auditReport(report);
    const resets = findings.flatMap(({ kind, loss }) =>
      kind === "reset"
        ? [`${loss?.type ?? ""} ${loss?.causes.map(({ how, type }) => `${how} ${type}`).join() ?? ""}`]
        : [],
    );
    expect(resets).toEqual(knownResets.get(name) ?? []);
    for (const { kind, loss } of findings) {
      if (kind !== "rollback") continue;
      expect(loss?.refusal).toBeDefined();
      expect(loss?.causes).not.toEqual([]);
      expect(loss?.causes.every(({ how }) => how.startsWith("revoked") || how === "consequence")).toBe(true);
    }
  });

  it("has nothing else wrong but the depth that the second server gave to the event that merges", () => {
    const others = auditReport(report).findings.filter(({ loss }) => loss === undefined);
    const merge = report.forks.find(({ before }) => before !== undefined)?.before;
    expect(others.map(({ kind, events }) => [kind, events[0]])).toEqual(
      name.startsWith("fork-") ? [["depth", merge]] : [],
    );
  });

  it("replayed as its own version, is the same", () => {
    const replayed = replayReportAs(report, versionIn(name));
    expect(replayed.ok && [replayed.value.same, replayed.value.adaptations]).toEqual([true, []]);
  });

  it("replayed as version 12, has every difference explained", () => {
    const replayed = replayReportAs(report, "12");
    if (!replayed.ok) throw new Error(replayed.error.reason);
    const { verdicts, states, ids } = replayed.value;
    expect(ids.size).toBeGreaterThan(0);
    for (const { after, rule, reason } of verdicts) {
      expect(reason).not.toBe("");
      if (after.verdict.startsWith("rejected")) expect(rule).toMatch(/^v12 rule /);
    }
    for (const { reason } of states) expect(reason).toMatch(/resolution|follows from/);
  });
});
