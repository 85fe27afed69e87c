/** Stored rooms as recordings: what inspection makes of them is what the engine made of them. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { recordingOf } from "../../src/engine/index.js";
import { auditRoom, checkRoom, graphOf, readDump, readRecording } from "../../src/inspect/index.js";
import type { RoomAudit } from "../../src/inspect/index.js";
import { encodeCanonical } from "../../src/json/canonical.js";
import type { JsonObject } from "../../src/json/value.js";
import type { Storage, StoredEvent } from "../../src/ports/index.js";
import { arbScript, runSimulation } from "../../src/testing/simulation/index.js";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function recorded(storage: Storage, roomId: string): Promise<JsonObject> {
  const recording = await recordingOf(storage, roomId);
  if (recording === undefined) throw new Error(`${roomId} is not stored`);
  return recording;
}

function audited(recording: JsonObject): RoomAudit {
  const dump = readRecording(recording);
  if (!dump.ok) throw new Error(dump.error.reason);
  const audit = auditRoom(dump.value, { signatures: "assumed" });
  if (!audit.ok) throw new Error(audit.error.reason);
  return audit.value;
}

/** Rooms that servers of simulations hold, once everything was said. */
async function rooms(numRuns: number): Promise<readonly (readonly [storage: Storage, roomId: string])[]> {
  const found: (readonly [Storage, string])[] = [];
  for (const script of fc.sample(arbScript(), { seed: 41, numRuns })) {
    await runSimulation(
      { ...script, disks: "instant" },
      {
        settle,
        inspect: async ({ honest }) => {
          for (const { storage } of honest) {
            for (const roomId of await storage.roomIds()) found.push([storage, roomId]);
          }
        },
      },
    );
  }
  return found;
}

function standingOf({ verdict }: StoredEvent): string {
  return verdict.standing;
}

/** Findings about what a server did, and not about what others sent it. */
const ofTheServer = ["admitted", "barred", "state", "two-bodies", "invalid"];

describe("a recording of a stored room", () => {
  it("is judged as the engine judged the room, through partitions, crashes and a hostile peer", async () => {
    const standings = new Map<string, number>();
    let gaps = 0;
    for (const [storage, roomId] of await rooms(16)) {
      const { report, findings } = audited(await recorded(storage, roomId));
      const stored = await storage.changesSince(roomId, 0);
      if (stored === undefined) throw new Error("the room is gone");
      expect(findings.filter(({ kind, severity }) => ofTheServer.includes(kind) && severity === "error")).toEqual([]);
      expect(findings.filter(({ reason }) => reason.startsWith("the recorded forward extremities"))).toEqual([]);
      expect([...report.tips].sort()).toEqual(stored.record.forwardExtremities);
      expect(report.comparisons.at(-1)).toMatchObject({ name: "current state", outcome: { outcome: "agrees" } });
      gaps += report.comparisons.filter(({ outcome }) => outcome.outcome === "used").length;
      const drawn = new Map(graphOf(report).events.map(({ eventId, standing }) => [eventId, standing]));
      for (const row of stored.events) {
        const standing = standingOf(row);
        expect(drawn.get(row.eventId)).toBe(standing);
        standings.set(standing, (standings.get(standing) ?? 0) + 1);
      }
    }
    expect([...standings.keys()].sort()).toEqual(["accepted", "rejected", "soft-failed"]);
    expect(gaps).toBeGreaterThan(0);
  });

  it("reads the same as text", async () => {
    const [room] = await rooms(1);
    if (room === undefined) throw new Error("the simulation made no room");
    const recording = await recorded(...room);
    const [value, text] = [readRecording(recording), readDump(encodeCanonical(recording))];
    expect(text).toEqual(value);
    expect(value.ok && checkRoom(value.value, { signatures: "assumed" }).ok).toBe(true);
  });

  it("has the events in the order of the timeline, those that came as part of a state before them", async () => {
    for (const [storage, roomId] of await rooms(4)) {
      const stored = await storage.changesSince(roomId, 0);
      const positions = new Map(stored?.events.map(({ eventId, position }) => [eventId, position ?? -Infinity]));
      const dump = readRecording(await recorded(storage, roomId));
      const order = dump.ok ? dump.value.events.flatMap(({ givenId }) => positions.get(givenId ?? "") ?? []) : [];
      expect(order).toHaveLength(positions.size);
      expect(order).toEqual([...order].sort((a, b) => (a === b ? 0 : a - b)));
    }
  });

  it("tells forward extremities and a current state that are not what the events make", async () => {
    const [room] = await rooms(1);
    if (room === undefined) throw new Error("the simulation made no room");
    const recording = await recorded(...room);
    const create = audited(recording).report.events[0]?.eventId ?? "";
    const damaged = { ...recording, states: [{ after: [create], state_ids: [] }] };
    const { findings, worst } = audited(damaged);
    expect(worst).toBe("error");
    const reasons = findings.map(({ kind, reason }) => `${kind}: ${reason}`);
    expect(reasons).toContain("extremities: the recorded forward extremities are not the ends of what is recorded");
    expect(reasons.join("\n")).toMatch(/state: current state: 1 events only in what its history makes, 0 only in/);
  });

  it("is none where the room is not stored", async () => {
    expect(await recordingOf(createMemoryStorage(), "!none:one.example")).toBeUndefined();
  });
});
