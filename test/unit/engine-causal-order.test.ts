/** The order in which many events are decided, and how often everything else gets its turn meanwhile. */
import { fc, test } from "@fast-check/vitest";
import { describe, expect, it } from "vitest";
import { createManualClock } from "../../src/adapters/memory/index.js";
import type { ManualClock } from "../../src/adapters/memory/index.js";
import { inCausalOrder } from "../../src/engine/causal-order.js";
import type { Candidate, Mode } from "../../src/engine/decide.js";
import { defaultLimits } from "../../src/engine/limits.js";
import { RoomMemory } from "../../src/engine/memory.js";
import { Settling } from "../../src/engine/settle.js";
import { Workspace } from "../../src/engine/workspace.js";
import { readPdu } from "../../src/event/format.js";
import type { EventId } from "../../src/ids/brands.js";
import type { Receipt } from "../../src/ports/index.js";
import { roomOf, seeded, shuffled, Story, tampered, testServer, versionOf, visible } from "../support/engine.js";
import type { TestServer } from "../support/engine.js";
import { basePdu, valueOf } from "../support/event.js";
import { ALICE, BOB, CAROL, given, ME, PEER, serve, SlowKeys, turns } from "../support/joining.js";

// ---- the order ------------------------------------------------------------------------------------------

/** Numbers up to 11 may be among the candidates; those from 12 on never are. */
interface Drawn {
  readonly id: number;
  readonly prev: readonly number[];
  readonly auth: readonly number[];
  readonly given: readonly number[] | undefined;
  readonly mode: Mode;
}

const [INSIDE, ALL] = [12, 16];
const admitted = { kind: "candidate", hashMismatch: false, origin: PEER, policy: undefined } as const;
const eventIdOf = (number: number): EventId => `$e${number}:a.example` as EventId;

/** In room version 1 an event has whatever id it says, so that citations may go round in circles. */
function candidateOf({ id, prev, auth, given: state, mode }: Drawn): Candidate {
  const cited = (numbers: readonly number[]): [string, { sha256: string }][] =>
    numbers.map((number) => [eventIdOf(number), { sha256: "A".repeat(43) }]);
  const json = basePdu("1", { event_id: eventIdOf(id), prev_events: cited(prev), auth_events: cited(auth) });
  const event = valueOf(readPdu(versionOf("1").rules, json, { counts: "tolerated" }));
  const candidate: Candidate = { ...admitted, event, mode };
  return state === undefined ? candidate : { ...candidate, givenState: state.map(eventIdOf) };
}

const numbers = (most: number): fc.Arbitrary<number[]> => fc.uniqueArray(fc.nat(most - 1), { maxLength: 4 });
const mode = fc.constantFrom<Mode>("live", "history", "import");
/** Anything: ids that come twice, events that cite themselves, and circles. */
const anything: fc.Arbitrary<readonly Drawn[]> = fc.array(
  fc.record({
    id: fc.nat(INSIDE - 1),
    prev: numbers(ALL),
    auth: numbers(ALL),
    given: fc.option(numbers(INSIDE), { nil: undefined, freq: 3 }),
    mode,
  }),
  { maxLength: 16 },
);
/** Each cites what has a smaller number, in any order of input. */
const acyclic: fc.Arbitrary<readonly Drawn[]> = anything.chain((drawn) => {
  const older = (id: number, cited: readonly number[]): readonly number[] =>
    cited.filter((other) => other < id || other >= INSIDE);
  return fc.shuffledSubarray(
    drawn.map((one) => ({
      ...one,
      prev: older(one.id, one.prev),
      auth: older(one.id, one.auth),
      given: one.given && older(one.id, one.given),
    })),
  );
});

const idOf = ({ event }: Candidate): string => event.eventId;

describe("the causal order of candidates", () => {
  test.prop([fc.oneof(anything, acyclic)])("has each id once, in its last copy, and ends in every circle", (drawn) => {
    const candidates = drawn.map(candidateOf);
    const { ordered } = inCausalOrder(candidates);
    expect(ordered.map(idOf).sort()).toEqual([...new Set(candidates.map(idOf))].sort());
    for (const one of ordered) expect(one).toBe(candidates.findLast((other) => idOf(other) === idOf(one)));
  });

  test.prop([fc.oneof(anything, acyclic)])("names what is cited and not among them", (drawn) => {
    const candidates = drawn.map(candidateOf);
    const among = new Set(candidates.map(idOf));
    const outside = (ids: readonly string[]): readonly string[] => ids.filter((id) => !among.has(id));
    const { ordered, authority, previous } = inCausalOrder(candidates);
    expect(authority).toEqual(new Set(ordered.flatMap(({ event }) => outside(event.authEvents))));
    const placed = ordered.filter((one) => one.mode !== "import");
    expect(previous).toEqual(new Set(placed.flatMap(({ event }) => outside(event.prevEvents))));
  });

  test.prop([acyclic])("has each after whatever it cites, where citations form no circle", (drawn) => {
    const { ordered } = inCausalOrder(drawn.map(candidateOf));
    const placeOf = new Map(ordered.map((one, place) => [idOf(one), place]));
    for (const [place, { event, givenState = [] }] of ordered.entries()) {
      for (const id of [...event.prevEvents, ...event.authEvents, ...givenState]) {
        expect(placeOf.get(id) ?? -1).toBeLessThan(place);
      }
    }
  });

  it("is found for a chain of 50,000 events that come newest first, and for a circle of as many", () => {
    const count = 50_000;
    const story = new Story("1").open();
    const one = story.pdu("create");
    const chain = (last: number): readonly Candidate[] =>
      Array.from({ length: count }, (_, at) => {
        const event = { ...one, eventId: eventIdOf(at), prevEvents: [eventIdOf(at === 0 ? last : at - 1)] };
        return { ...admitted, event, mode: "history" as const };
      }).reverse();
    const straight = inCausalOrder(chain(count));
    expect(straight.ordered.map(idOf)).toEqual(Array.from({ length: count }, (_, at) => eventIdOf(at)));
    expect([...straight.previous]).toEqual([eventIdOf(count)]);
    const round = inCausalOrder(chain(count - 1));
    expect(new Set(round.ordered).size).toBe(count);
    expect(round.previous.size).toBe(0);
  });
});

// ---- turns ----------------------------------------------------------------------------------------------

/** A room with forks, redactions, and events that are refused. */
function eventful(): Story {
  const story = new Story("10")
    .open({ users: { [ALICE]: 100, [BOB]: 50 } })
    .member("bob", BOB, "join")
    .member("carol", CAROL, "join")
    .state("one", "m.room.name", BOB, { name: "one" })
    .say("spoken", CAROL)
    .state("two", "m.room.name", ALICE, { name: "two" }, { prev: ["one"] });
  return story
    .tell(
      "unsay",
      { type: "m.room.redaction", sender: ALICE, redacts: story.id("spoken") },
      { prev: ["spoken", "two"] },
    )
    .state("no", "m.room.topic", CAROL, { topic: "not hers to set" })
    .member("ban", CAROL, "ban", { by: ALICE, prev: ["unsay"] })
    .say("evade", CAROL, { prev: ["unsay"] })
    .say("end", BOB, { prev: ["ban", "evade"] });
}

/** Everything that a settling of these comes to, with turns for others after so many decisions. */
function settled(story: Story, names: readonly string[], most: number): { turns: number; outcome: unknown } {
  const { version, roomId } = story;
  const memory = new RoomMemory(roomId, version, defaultLimits);
  const ws = new Workspace(memory);
  for (const name of names) ws.absent.add(story.id(name));
  const candidates = names.map((name): Candidate => ({ ...admitted, event: story.pdu(name), mode: "live" }));
  const settling = new Settling(ws, inCausalOrder(candidates).ordered, 0);
  let count = 0;
  for (let stop = settling.run(most); stop !== undefined; stop = settling.run(most)) {
    if (stop !== "more") throw new Error(`it lacks ${stop.events.join()}`);
    count++;
  }
  const decided = [...ws.decided.values()].map(({ event, before, after, position, redactedBy, verdict }) => {
    const [ofBefore, ofAfter] = [before, after].map((one) => one && ws.index.idsOf(one.state).sort());
    return [event.eventId, ofBefore, ofAfter, position, redactedBy, verdict];
  });
  const verdicts = names.map((name) => settling.verdict(story.id(name)));
  const { live, late } = settling;
  return { turns: count, outcome: { decided, verdicts, live, late, ends: [...ws.extremities.keys()] } };
}

describe("a settling that gives others their turn", () => {
  it.each([1, 2, 3, 7])("after %i decisions comes to the same, in any order of its events", (most) => {
    for (let seed = 0; seed < 5; seed++) {
      const story = eventful();
      const names = seed === 0 ? story.names : shuffled(story.names, seeded(seed));
      const whole = settled(story, names, Number.MAX_SAFE_INTEGER);
      const parts = settled(story, names, most);
      expect(parts.outcome).toEqual(whole.outcome);
      // Thirteen events and one redaction, whose last part ends without a turn.
      expect([whole.turns, parts.turns]).toEqual([0, Math.ceil((story.names.length + 1) / most) - 1]);
    }
  });
});

/** A server at which something happens whenever it gives others their turn. */
function taking(story: Story, turn: () => Promise<void>): TestServer {
  const manual = createManualClock(1_700_000_000_000);
  const sleep: ManualClock["sleep"] = async (ms, cancel) => {
    if (ms === 0) await turn();
    await manual.sleep(ms, cancel);
  };
  return testServer({ ring: story.ring, clock: { ...manual, sleep } });
}

describe("more events than are decided in a row", () => {
  it("are decided as if they came in parts, and another room has its turn between", async () => {
    const story = eventful();
    const started = story.jsons();
    const names = Array.from({ length: 2_600 }, (_, at) => `say${at}`);
    // Carol is banned, and every third of Bob's follows none of hers.
    for (const [at, name] of names.entries()) {
      story.say(name, at % 3 === 2 ? CAROL : BOB, { prev: [at < 3 ? "end" : `say${at - 3}`] });
    }
    const events = story.jsons(...names).map((json, at) => (at % 100 === 0 ? tampered(json) : json));
    const ids = names.map((name) => story.id(name));

    const other = new Story("10", story.ring).open({ creator: BOB });
    const [verified, stored]: [number[], number[]] = [[], []];
    let aside = 0;
    const server = taking(story, async () => {
      verified.push(server.keys.asked.verifications - aside);
      stored.push((await server.storage.readEvents(story.roomId, ids)).length);
      if (aside > 0) other.say(`turn${aside}`, BOB);
      const next = other.jsons(...other.names.slice(aside));
      await (await roomOf(server, other)).receive(next, { origin: PEER });
      aside += next.length;
    });
    const room = await roomOf(server, story);
    await room.receive(started, { origin: PEER });
    const receipts = await room.receive(events, { origin: PEER });
    // Five while they are read, 512 at a time, and one after 2,000 were decided.
    expect(verified.map((count) => count - started.length)).toEqual([512, 1024, 1536, 2048, 2560, 2600]);
    expect(new Set(stored)).toEqual(new Set([0]));
    expect(aside).toBe(9);
    for (const name of other.names) expect(await (await roomOf(server, other)).event(other.id(name))).toBeDefined();

    const parted = await roomOf(testServer({ ring: story.ring }), story);
    await parted.receive(started, { origin: PEER });
    const inParts: Receipt[] = [];
    for (let at = 0; at < events.length; at += 60) {
      inParts.push(...(await parted.receive(events.slice(at, at + 60), { origin: PEER })));
    }
    expect(receipts).toEqual(inParts);
    const { control: ofWhole, ...whole } = (await visible(room, ids)) as { readonly control: { revision: number } };
    const { control: ofParts, ...parts } = (await visible(parted, ids)) as { readonly control: { revision: number } };
    expect(whole).toEqual(parts);
    expect({ ...ofWhole, revision: 0 }).toEqual({ ...ofParts, revision: 0 });
  });

  it("are decided in turns while the signatures of a join are verified", async () => {
    const story = new Story("10").open({ users: { [ALICE]: 100 } });
    const members = Array.from({ length: 2_100 }, (_, at) => `m${at}`);
    for (const name of members) story.member(name, `@${name}:a.example`, "join");
    story.member("me", ME, "join");
    const slow = new SlowKeys(story);
    const waiting: number[] = [];
    const manual = createManualClock(1_700_000_000_000);
    const sleep: ManualClock["sleep"] = (ms, cancel) => {
      waiting.push(slow.waiting);
      return manual.sleep(ms, cancel);
    };
    const room = await serve(story, { keys: slow.keys, clock: { ...manual, sleep } });
    slow.hold();
    const chain = ["create", "join", "levels", "rules"];
    const joining = room.importJoin(given(story, { state: [...chain, ...members], chain }));
    await turns();
    slow.answerFirst();
    await turns();
    // Four between five parts that are read, and one when all of them are with the Keys port.
    expect(waiting).toEqual([1, 2, 3, 4, 5]);
    slow.release();
    expect(await joining).toMatchObject({ ok: true });
    expect(room.control.counts.join).toBe(members.length + 2);
  });
});
