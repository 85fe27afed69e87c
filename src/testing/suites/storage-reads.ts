/** What was put is read back: by id, as a state, as a stream, as changes. */
import type { StoredEvent, TimelineRange } from "../../ports/storage.js";
import { expectEqual, expectSameSet, expectTrue, unkept } from "./check.js";
import { commit } from "./storage-commit.js";
import type { StorageCheck } from "./storage-commit.js";
import {
  awkwardJson,
  batch,
  event,
  fullBatch,
  group,
  idsOf,
  intent,
  laxJson,
  membership,
  pending,
  record,
  rejected,
  ROOM,
  softFailed,
  waiting,
} from "./storage-rows.js";

export const readChecks: readonly StorageCheck[] = [
  [
    "an empty storage answers that nothing is there",
    async (storage) => {
      expectEqual(await storage.roomIds(), [], "roomIds");
      expectEqual(await storage.openRoom(ROOM), undefined, "openRoom");
      expectEqual(await storage.changesSince(ROOM, 0), undefined, "changesSince");
      expectEqual(await storage.readEvents(ROOM, ["$a"]), [], "readEvents");
      expectEqual(await storage.readTimeline(ROOM, { from: 0, direction: "forwards", limit: 9 }), [], "readTimeline");
      expectEqual(await storage.readStateGroups(ROOM, [1]), [], "readStateGroups");
      expectEqual(await storage.outboxDestinations(), [], "outboxDestinations");
      expectEqual(await storage.readOutbox("two.example", 9), [], "readOutbox");
      expectEqual(await storage.readTransaction("two.example", "t"), undefined, "readTransaction");
      expectEqual(await storage.readOutside(), [], "readOutside");
      expectEqual(await storage.readOutside("@a:one.example"), [], "readOutside of a user");
      expectEqual(await storage.readIntents(), [], "readIntents");
    },
  ],
  [
    "a room is opened as it was committed",
    async (storage) => {
      const first = fullBatch(undefined, "a");
      await commit(storage, first);
      const opened = (await storage.openRoom(ROOM)) ?? unkept("openRoom does not find a room that was committed");
      expectEqual(opened, { record: first.record, pending: first.pending.put, waiting: first.waiting }, "openRoom");
      const later = record(2, {
        forwardExtremities: [],
        firstPosition: -7,
        lastPosition: 12,
        liveDepth: 99,
        lastGroup: 5,
      });
      await commit(storage, batch(1, { record: later }));
      expectEqual((await storage.openRoom(ROOM))?.record, later, "the record of the second commit");
      expectEqual(await storage.roomIds(), [ROOM], "roomIds");
      const partial = { eventId: "$join", position: 13, revision: 3, servers: ["two.example", "three.example"] };
      await commit(storage, batch(2, { record: record(3, { partial }) }));
      expectEqual((await storage.openRoom(ROOM))?.record, record(3, { partial }), "the record of a partial state");
      await commit(storage, batch(3, { record: record(4) }));
      expectEqual((await storage.openRoom(ROOM))?.record, record(4), "the record once the state is whole");
    },
  ],
  [
    "the rooms that have an event are found by its id, where the storage can tell",
    async (storage) => {
      if (storage.roomsWith === undefined) return;
      expectEqual(await storage.roomsWith("$a"), [], "roomsWith in an empty storage");
      const other = "!other:one.example";
      const inOther = { roomId: other, record: record(1, { roomId: other }) };
      await commit(
        storage,
        batch(undefined, { events: [event("a"), event("both")], pending: { put: [pending("p")], remove: [] } }),
      );
      await commit(
        storage,
        batch(undefined, { ...inOther, events: [event("both"), event("c", { verdict: rejected })] }),
      );
      expectEqual(await storage.roomsWith("$a"), [ROOM], "roomsWith");
      expectSameSet(await storage.roomsWith("$both"), [ROOM, other], "roomsWith of an id that two rooms have");
      expectEqual(await storage.roomsWith("$c"), [other], "roomsWith of a rejected event");
      expectEqual(await storage.roomsWith("$p"), [], "roomsWith of an event that is not decided");
      expectEqual(await storage.roomsWith("$none"), [], "roomsWith of an unknown event");
    },
  ],
  [
    "events are read back as they were put, and unknown ids are left out",
    async (storage) => {
      const events: readonly StoredEvent[] = [
        event("plain"),
        event("placed", { position: 1, stateBefore: 1, stateAfter: 2 }),
        event("redacted", { position: 2, redactedBy: "$redaction", hashMismatch: true }),
        event("soft", { position: 3, verdict: softFailed, stateBefore: 2, stateAfter: 2 }),
        event("bad", { verdict: rejected }),
        event("by-auth", { verdict: { standing: "accepted", rule: "v11 rule 4", basis: "auth-events" } }),
        event("for-policy", {
          verdict: {
            standing: "soft-failed",
            check: "policy",
            rule: "v11 rule 10",
            refusal: { code: "auth_rejected", reason: "blocked", events: ["$for-policy", "$x"] },
          },
        }),
      ];
      await commit(storage, batch(undefined, { events }));
      const ids = events.map(({ eventId }) => eventId);
      const read = await storage.readEvents(ROOM, ["$unknown", ...ids, "$also-unknown"]);
      expectSameSet(read, events, "readEvents");
      expectEqual(await storage.readEvents(ROOM, []), [], "readEvents of no ids");
      expectEqual(await storage.readEvents(ROOM, ["$unknown"]), [], "readEvents of an unknown id");
      // Ids are compared letter by letter: `$A` is another event than `$a`.
      expectEqual(await storage.readEvents(ROOM, ["$PLAIN", "$plain "]), [], "ids that differ in case or a space");
    },
  ],
  [
    "the JSON of an event comes back with every key, character and number",
    async (storage) => {
      const events = [event("awkward", { json: awkwardJson }), event("lax", { json: laxJson })];
      await commit(
        storage,
        batch(undefined, { events, pending: { put: [pending("p", { json: laxJson })], remove: [] } }),
      );
      expectSameSet(await storage.readEvents(ROOM, ["$awkward", "$lax"]), events, "readEvents");
      expectEqual((await storage.openRoom(ROOM))?.pending, [pending("p", { json: laxJson })], "pending events");
    },
  ],
  [
    "a row replaces the one of the same key",
    async (storage) => {
      await commit(storage, fullBatch(undefined, "a"));
      const second = batch(1, {
        events: [event("a", { position: 1, verdict: accepted2, redactedBy: "$r" })],
        groups: [group(1, undefined, { delta: [["m.room.name", "", "$name"]] })],
        pending: { put: [pending("a-pending", { waitsFor: ["$x", "$y"] })], remove: [] },
        waiting: [waiting("a-waited", ["$one", "$two"], { passed: true })],
        outside: { put: [membership("@a:one.example", { membership: "knock" })], remove: [] },
        intents: { put: [intent("a", { kind: "upgrade", data: {} })], remove: [] },
      });
      await commit(storage, second);
      expectEqual(await storage.readEvents(ROOM, ["$a"]), [...second.events], "the event");
      expectEqual(await storage.readStateGroups(ROOM, [1]), [...second.groups], "the group");
      const opened = await storage.openRoom(ROOM);
      expectEqual(opened?.pending, [...second.pending.put], "the pending event");
      expectEqual(opened?.waiting, [...second.waiting], "the waiting row");
      expectEqual(await storage.readOutside(), [...second.outside.put], "the outside membership");
      expectEqual(await storage.readIntents(), [...second.intents.put], "the intent");
      const all = await storage.readTimeline(ROOM, { from: -9, direction: "forwards", limit: 9 });
      expectEqual(all, [...second.events], "the timeline, where the event stands once");
    },
  ],
  [
    "pending events are put and taken away one by one",
    async (storage) => {
      const put = [pending("p1"), pending("p2", { waitsFor: [] }), pending("p3", { origin: "three.example" })];
      await commit(storage, batch(undefined, { pending: { put, remove: [] } }));
      await commit(storage, batch(1, { pending: { put: [pending("p4")], remove: ["$p1", "$never-there"] } }));
      const opened = await storage.openRoom(ROOM);
      expectSameSet(opened?.pending ?? [], [put[1], put[2], pending("p4")], "pending events");
      expectEqual(await storage.readEvents(ROOM, ["$p2"]), [], "a pending event asked for as an event");
    },
  ],
  [
    "a waiting row with nobody who waits is removed, and the kinds are apart",
    async (storage) => {
      const history = waiting("x", ["$a", "$b"]);
      const redaction = waiting("x", ["$c"], { kind: "redaction" });
      await commit(
        storage,
        batch(undefined, { waiting: [history, redaction, waiting("y", ["$d"], { passed: true })] }),
      );
      expectSameSet(
        (await storage.openRoom(ROOM))?.waiting ?? [],
        [history, redaction, waiting("y", ["$d"], { passed: true })],
        "waiting",
      );
      await commit(storage, batch(1, { waiting: [waiting("x", []), waiting("never", [])] }));
      expectSameSet(
        (await storage.openRoom(ROOM))?.waiting ?? [],
        [redaction, waiting("y", ["$d"], { passed: true })],
        "waiting",
      );
      await commit(storage, batch(2, { waiting: [waiting("x", [], { kind: "redaction" }), waiting("y", [])] }));
      expectEqual((await storage.openRoom(ROOM))?.waiting, [], "waiting");
      expectEqual((await storage.changesSince(ROOM, 0))?.waiting, [], "waiting in changesSince");
    },
  ],
  [
    "a state group is read with every group that it builds on",
    async (storage) => {
      const groups = [
        group(1, undefined, { place: 0, delta: [] }),
        group(2, 1),
        group(3, 2, {
          delta: [
            ["m.room.member", "@a:one.example", "$m"],
            ["m.room.topic", "", undefined],
          ],
        }),
        group(4, 1),
        group(5, undefined),
        group(6, 3),
      ];
      await commit(storage, batch(undefined, { groups: groups.slice(0, 3) }));
      await commit(storage, batch(1, { groups: groups.slice(3) }));
      const read = async (...wanted: number[]) => await storage.readStateGroups(ROOM, wanted);
      const those = (...wanted: number[]) => groups.filter((each) => wanted.includes(each.group));
      expectSameSet(await read(6), those(6, 3, 2, 1), "group 6 and its bases");
      expectSameSet(await read(4), those(4, 1), "group 4 and its base");
      expectSameSet(await read(5), those(5), "group 5, which has no base");
      expectSameSet(await read(3, 4, 6, 4), those(1, 2, 3, 4, 6), "several groups, each once");
      expectSameSet(await read(99, 2), those(2, 1), "an unknown group among others");
      expectEqual(await read(), [], "no groups");
    },
  ],
  [
    "the chain of a state group is read to its end, be it long",
    async (storage) => {
      const groups = Array.from({ length: 500 }, (_, at) => group(at + 1, at === 0 ? undefined : at));
      await commit(storage, batch(undefined, { groups }));
      expectSameSet(await storage.readStateGroups(ROOM, [500]), groups, "a chain of 500 groups");
    },
  ],
  [
    "the timeline is accepted events with a position, in order, both ways, from either side of zero",
    async (storage) => {
      const events = [
        ...[3, -2, 1, -4, 5, -1, 2].map((position) => event(`at${position}`, { position })),
        event("soft", { position: 4, verdict: softFailed }),
        event("bad", { position: -3, verdict: rejected }),
        event("placeless"),
      ];
      await commit(storage, batch(undefined, { events: events.slice(0, 5) }));
      await commit(storage, batch(1, { events: events.slice(5) }));
      const read = async (from: number, direction: TimelineRange["direction"], limit: number, wanted: number[]) => {
        const found = await storage.readTimeline(ROOM, { from, direction, limit });
        expectEqual(
          found.map(({ position }) => position),
          wanted,
          `${limit} positions ${direction} from ${from}`,
        );
      };
      await read(-100, "forwards", 100, [-4, -2, -1, 1, 2, 3, 5]);
      await read(100, "backwards", 100, [5, 3, 2, 1, -1, -2, -4]);
      await read(-2, "forwards", 3, [-2, -1, 1]);
      await read(-3, "forwards", 2, [-2, -1]);
      await read(4, "forwards", 9, [5]);
      await read(6, "forwards", 9, []);
      await read(4, "backwards", 2, [3, 2]);
      await read(1, "backwards", 2, [1, -1]);
      await read(-3, "backwards", 9, [-4]);
      await read(-5, "backwards", 9, []);
      await read(0, "forwards", 1, [1]);
      await read(0, "backwards", 1, [-1]);
      await read(-100, "forwards", 0, []);
      const found = await storage.readTimeline(ROOM, { from: 3, direction: "forwards", limit: 1 });
      expectEqual(found, [event("at3", { position: 3 })], "the event itself");
    },
  ],
  [
    "the timeline follows an event whose verdict or position changes",
    async (storage) => {
      const soft = event("x", { position: 2, verdict: softFailed });
      await commit(
        storage,
        batch(undefined, { events: [event("a", { position: 1 }), soft, event("c", { position: 3 })] }),
      );
      const timeline = async () =>
        idsOf(await storage.readTimeline(ROOM, { from: -9, direction: "forwards", limit: 9 }));
      expectEqual(await timeline(), ["$a", "$c"], "the timeline without a soft-failed event");
      await commit(storage, batch(1, { events: [event("x", { position: 2 })] }));
      expectEqual(await timeline(), ["$a", "$x", "$c"], "the timeline when it was accepted after all");
      await commit(storage, batch(2, { events: [event("a", { position: -1 }), event("c")] }));
      expectEqual(await timeline(), ["$a", "$x"], "the timeline after one moved and one lost its position");
      await commit(storage, batch(3, { events: [event("x", { position: 2, verdict: rejected })] }));
      expectEqual(await timeline(), ["$a"], "the timeline after a rejection");
    },
  ],
  [
    "a long timeline put in any order is read by any range",
    async (storage) => {
      // 1009 is prime, so the multiples of 457 come through all positions in a scattered order.
      const positions = Array.from({ length: 1009 }, (_, at) => ((at * 457) % 1009) - 504).filter((at) => at !== 0);
      for (let at = 0, revision: number | undefined; at < positions.length; at += 100, revision = (revision ?? 0) + 1) {
        const events = positions.slice(at, at + 100).map((position) => event(`at${position}`, { position }));
        await commit(storage, batch(revision, { events }));
      }
      const sorted = [...positions].sort((a, b) => a - b);
      for (let from = -520; from <= 520; from += 13) {
        const up = await storage.readTimeline(ROOM, { from, direction: "forwards", limit: 7 });
        const above = sorted.filter((position) => position >= from);
        expectEqual(
          up.map(({ position }) => position),
          above.slice(0, 7),
          `7 positions forwards from ${from}`,
        );
        const down = await storage.readTimeline(ROOM, { from, direction: "backwards", limit: 7 });
        const below = sorted.filter((position) => position <= from).reverse();
        expectEqual(
          down.map(({ position }) => position),
          below.slice(0, 7),
          `7 positions backwards from ${from}`,
        );
      }
    },
  ],
  [
    "the changes since a revision are every event put after it, once and as it is now",
    async (storage) => {
      await commit(storage, batch(undefined, { events: [event("a"), event("b")] }));
      await commit(storage, batch(1, { events: [event("c")], pending: { put: [pending("p")], remove: [] } }));
      await commit(storage, batch(2, { events: [event("a", { redactedBy: "$r" }), event("r")] }));
      await commit(storage, batch(3, { waiting: [waiting("w", ["$a"])] }));
      const last = batch(4, { events: [event("c", { position: 1 }), event("d")] });
      await commit(storage, last);
      const now = new Map(
        [event("a", { redactedBy: "$r" }), event("b"), event("c", { position: 1 }), event("d"), event("r")].map(
          (each) => [each.eventId, each],
        ),
      );
      const since = [["a", "b", "c", "d", "r"], ["a", "c", "d", "r"], ["a", "c", "d", "r"], ["c", "d"], ["c", "d"], []];
      for (const [revision, ids] of since.entries()) {
        const changes = (await storage.changesSince(ROOM, revision)) ?? unkept("changesSince does not find the room");
        const wanted = ids.map((id) => now.get(`$${id}`));
        expectSameSet(changes.events, wanted, `events put after revision ${revision}`);
        expectEqual(changes.record, last.record, "the record in changesSince");
        expectEqual(changes.pending, [pending("p")], "pending events in changesSince");
        expectEqual(changes.waiting, [waiting("w", ["$a"])], "waiting rows in changesSince");
      }
    },
  ],
  [
    "the changes are complete after a long life with many replaced rows",
    async (storage) => {
      for (let revision = 1; revision <= 600; revision++) {
        const events = [event(`e${revision % 7}`, { stateAfter: revision }), event(`n${revision}`)];
        await commit(storage, batch(revision === 1 ? undefined : revision - 1, { events }));
      }
      for (const revision of [0, 1, 5, 300, 590, 598, 599, 600]) {
        const changes = await storage.changesSince(ROOM, revision);
        const ids = new Set(idsOf(changes?.events ?? []));
        expectEqual(ids.size, changes?.events.length, "events, each once");
        for (let put = revision + 1; put <= 600; put++) {
          expectTrue(
            ids.has(`$e${put % 7}`) && ids.has(`$n${put}`),
            `what revision ${put} put is missing since ${revision}`,
          );
        }
        expectTrue(!ids.has(`$n${revision}`), `what revision ${revision} put is among what came after it`);
      }
    },
  ],
];

const accepted2 = { standing: "accepted", rule: "v11 rule 4", basis: "auth-events" } as const;
