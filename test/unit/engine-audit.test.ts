/** The audit of a storage: silent about what the engine wrote, and not about anything else. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import { auditStorage } from "../../src/engine/index.js";
import type { AuditFinding } from "../../src/engine/index.js";
import { createServer } from "../../src/federation/index.js";
import type { Batch, OutboxEntry, StateGroup, Storage, StoredEvent } from "../../src/ports/index.js";
import { arbScript, runSimulation } from "../../src/testing/simulation/index.js";

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const none: Omit<Batch, "roomId" | "expected" | "record"> = {
  events: [],
  groups: [],
  pending: { put: [], remove: [] },
  waiting: [],
  outbox: [],
  outside: { put: [], remove: [] },
  intents: { put: [], remove: [] },
};

/** A room of one user, a few messages, a redaction and a refused event. */
async function room() {
  const server = "one.example";
  const storage = createMemoryStorage();
  const directory = createKeyDirectory();
  const host = createServer({
    server,
    storage,
    transport: createMemoryNetwork().transport(server),
    keys: createMemoryKeys({ server, keyId: "ed25519:1", seed: new Uint8Array(32).fill(7) }, directory),
    clock: createManualClock(1_700_000_000_000),
    random: createSeededRandom("audit"),
  });
  const userId = "@ada:one.example";
  const made = await host.create({ version: "11", creator: userId, name: "Garden" });
  if (!made.ok) throw new Error(made.error.reason);
  const { roomId } = made.value;
  const message = { type: "m.room.message", content: { body: "Hello" } };
  const first = await host.send({ roomId, userId, ...message });
  const last = await host.send({ roomId, userId, ...message });
  if (!first.ok || !last.ok) throw new Error("a message was refused");
  const redacted = await host.redact({ roomId, userId, eventId: first.value.eventId });
  if (!redacted.ok) throw new Error(redacted.error.reason);
  const opened = await storage.changesSince(roomId, 0);
  if (opened === undefined) throw new Error("the room is not stored");
  const { record, events } = opened;
  const groups = await storage.readStateGroups(roomId, [record.stateGroup]);
  const put = (changes: Partial<Omit<Batch, "roomId" | "expected">>) =>
    storage.commit({
      ...none,
      ...changes,
      roomId,
      expected: record.revision,
      record: { ...record, ...changes.record, revision: record.revision + 1 },
    });
  const row = (type: string): StoredEvent => events.findLast(({ json }) => json["type"] === type)!;
  return { storage, roomId, record, events, groups, put, row };
}

async function findings(storage: Storage): Promise<readonly AuditFinding[]> {
  return (await auditStorage(storage)).findings;
}

describe("the audit of a storage", () => {
  it("finds nothing in what servers wrote through partitions, crashes and a hostile peer", async () => {
    const scripts = fc.sample(arbScript(), { seed: 20, numRuns: 20 });
    let events = 0;
    for (const script of scripts) {
      const found: (readonly [string, AuditFinding])[] = [];
      await runSimulation(
        { ...script, disks: "instant" },
        {
          settle,
          inspect: async ({ honest }) => {
            for (const { name, storage } of honest) {
              const report = await auditStorage(storage);
              events += report.events;
              for (const one of report.findings) found.push([name, one]);
            }
          },
        },
      );
      expect(found).toEqual([]);
    }
    expect(events).toBeGreaterThan(500);
  });

  it("counts what it looked at", async () => {
    const { storage, events } = await room();
    expect(await auditStorage(storage)).toEqual({
      rooms: 1,
      events: events.length,
      outbox: 0,
      partial: [],
      findings: [],
    });
  });

  it("says that a room which is asked for is not there", async () => {
    const report = await auditStorage(createMemoryStorage(), { roomId: "!none:one.example" });
    expect(report.findings.map(({ kind, roomId }) => [kind, roomId])).toEqual([["record", "!none:one.example"]]);
  });

  type Room = Awaited<ReturnType<typeof room>>;
  const damages: readonly (readonly [what: string, finds: RegExp, damage: (given: Room) => unknown])[] = [
    [
      "an event whose content was changed",
      /its content hash does not match/,
      ({ row, put }) => {
        const message = row("m.room.message");
        return put({ events: [{ ...message, json: { ...message.json, content: { body: "Goodbye" } } }] });
      },
    ],
    [
      "an event whose place in the graph was changed",
      /its id is \$/,
      ({ row, put }) => {
        const message = row("m.room.message");
        return put({ events: [{ ...message, json: { ...message.json, depth: 77 } }] });
      },
    ],
    [
      "a row that is no event",
      /is stored and is no event/,
      ({ row, put }) => put({ events: [{ ...row("m.room.message"), json: { type: "m.room.message" } }] }),
    ],
    [
      "a verdict that the rules do not give",
      /it is rejected \(never\), and the rules allow it/,
      ({ row, put }) =>
        put({
          events: [
            {
              ...row("m.room.message"),
              verdict: {
                standing: "rejected",
                check: "auth-events",
                refusal: { code: "auth_rejected", reason: "never", events: [] },
              },
            },
          ],
        }),
    ],
    [
      "a state that is another one's",
      /the state after it is not what its events make/,
      ({ row, put }) => put({ events: [{ ...row("m.room.message"), stateAfter: 1 }] }),
    ],
    [
      "a state group that is gone",
      /its state group 99 is not there/,
      ({ row, put }) => put({ events: [{ ...row("m.room.message"), stateBefore: 99 }] }),
    ],
    [
      "a state group that holds another event",
      /has it for m\.room\.topic/,
      ({ row, put, record, roomId: _ }) => {
        const { eventId } = row("m.room.name");
        const group: StateGroup = {
          group: record.lastGroup + 1,
          base: record.stateGroup,
          place: 1,
          delta: [["m.room.topic", "", eventId]],
        };
        return put({ groups: [group], record: { ...record, stateGroup: group.group, lastGroup: group.group } });
      },
    ],
    [
      "a current state that does not follow from the extremities",
      /the current state is not what its events make: m\.room\.name "" is nothing/,
      ({ put, record }) => {
        const group: StateGroup = {
          group: record.lastGroup + 1,
          base: record.stateGroup,
          place: 1,
          delta: [["m.room.name", "", undefined]],
        };
        return put({ groups: [group], record: { ...record, stateGroup: group.group, lastGroup: group.group } });
      },
    ],
    [
      "an extremity that something follows",
      /an accepted event follows it/,
      ({ row, put, record }) => put({ record: { ...record, forwardExtremities: [row("m.room.message").eventId] } }),
    ],
    [
      "an end of the graph that is no extremity",
      /nothing accepted follows it, and it is no forward extremity/,
      ({ row, put, record }) => put({ record: { ...record, forwardExtremities: [row("m.room.message").eventId] } }),
    ],
    [
      "an extremity that is not stored",
      /it is a forward extremity, and is not stored/,
      ({ put, record }) => put({ record: { ...record, forwardExtremities: ["$gone"] } }),
    ],
    [
      "a position that two events have",
      /two events have the position 1/,
      ({ row, put }) => put({ events: [{ ...row("m.room.message"), position: 1 }] }),
    ],
    [
      "a position beyond the last",
      /its position 700 is not within/,
      ({ row, put }) => put({ events: [{ ...row("m.room.message"), position: 700 }] }),
    ],
    [
      "a redaction that is none",
      /is no redaction of it/,
      ({ row, put }) => put({ events: [{ ...row("m.room.name"), redactedBy: row("m.room.message").eventId }] }),
    ],
    [
      "an undecided event that is decided",
      /it is undecided and decided/,
      ({ row, put }) => {
        const { eventId, json } = row("m.room.message");
        const pending = { eventId, json, hashMismatch: false, origin: "two.example", receivedAt: 1, bytes: 1 };
        return put({ pending: { put: [{ ...pending, waitsFor: ["$gone"] }], remove: [] } });
      },
    ],
    [
      "an undecided redaction that nobody made",
      /who waits for the redaction of \$later is not stored/,
      ({ put }) => put({ waiting: [{ kind: "redaction", eventId: "$later", by: ["$gone"], passed: false }] }),
    ],
    [
      "a queue that names an event which is not stored",
      /the queue for two\.example names an event that is not stored/,
      ({ put, roomId }) => {
        const entry: OutboxEntry = { destination: "two.example", roomId, eventId: "$gone" };
        return put({ outbox: [entry] });
      },
    ],
  ];

  it.each(damages)("finds %s", async (_what, finds, damage) => {
    const given = await room();
    expect(await damage(given)).toEqual({ committed: true });
    const found = await findings(given.storage);
    expect(found.map(({ reason }) => reason).join("\n")).toMatch(finds);
  });

  it("goes through a queue of more than a page", async () => {
    const { storage, roomId, put, row } = await room();
    const { eventId } = row("m.room.message");
    const outbox = Array.from({ length: 2_500 }, () => ({ destination: "two.example", roomId, eventId }));
    await put({ outbox: [...outbox, { destination: "two.example", roomId, eventId: "$gone" }] });
    const report = await auditStorage(storage);
    expect(report.outbox).toBe(2_501);
    expect(report.findings).toHaveLength(1);
  });
});
