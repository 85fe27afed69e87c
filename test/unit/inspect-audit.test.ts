/** Audits: every kind of finding, and what tells rollbacks from resets. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { auditReport, checkRoom, formatAudit, plainAudit, readDump, readScenario } from "../../src/inspect/index.js";
import type { Dump, DumpEvent, Finding, RoomAudit, Scenario } from "../../src/inspect/index.js";
import { isObject } from "../../src/json/index.js";
import type { JsonObject } from "../../src/json/index.js";

const opening = `
create: alice creates
alice: alice joins
levels: alice power alice=100 bob=50
open: alice rules public
bob: bob joins
`;

function scenarioOf(text: string, roomVersion = "11"): Scenario {
  const scenario = readScenario(opening + text, { roomVersion });
  if (!scenario.ok) throw new Error(scenario.error.reason);
  return scenario.value;
}

function auditOf(dump: Dump): RoomAudit {
  const report = checkRoom(dump);
  if (!report.ok) throw new Error(report.error.reason);
  return auditReport(report.value);
}

function recorded(name: string): Dump {
  const dump = readDump(readFileSync(new URL(`../../fixtures/rooms/${name}.json`, import.meta.url), "utf8"));
  if (!dump.ok) throw new Error(dump.error.reason);
  return dump.value;
}

interface Told {
  readonly kind: Finding["kind"];
  readonly event: string | undefined;
  readonly winner: string | undefined;
  readonly causes: readonly string[];
  readonly avoidedBy: readonly string[];
}

/** The losses with names instead of ids. */
function lossesOf({ dump }: Scenario): readonly Told[] {
  const name = (id: string | undefined): string | undefined => (id === undefined ? undefined : dump.names?.get(id));
  return auditOf(dump).findings.flatMap(({ kind, loss }) =>
    loss === undefined
      ? []
      : [
          {
            kind,
            event: name(loss.eventId),
            winner: name(loss.winner),
            causes: loss.causes.map(({ how, by, type }) => `${how} ${name(by) ?? "-"} ${type.slice("m.room.".length)}`),
            avoidedBy: loss.avoidedBy,
          },
        ],
  );
}

/** The scenario with some events changed behind its back. */
function changed({ dump, ids }: Scenario, name: string, change: (event: DumpEvent) => DumpEvent | DumpEvent[]): Dump {
  const events = dump.events.flatMap((event) => (event.givenId === ids.get(name) ? change(event) : [event]));
  return { ...dump, events };
}

const jsonOf = ({ json }: DumpEvent): JsonObject => {
  if (!isObject(json)) throw new Error("this is no object");
  return json;
};

const kindsOf = (audit: RoomAudit): readonly string[] => audit.findings.map((one) => `${one.severity} ${one.kind}`);

describe("what resolution took back", () => {
  it("nothing, where nobody disagrees, and where one branch has not caught up", () => {
    const { dump } = scenarioOf(`
name: bob names "one"
next: bob names "two"
late: alice says "x" after name
merge: alice says "y" after next, late`);
    const audit = auditOf(dump);
    expect({ findings: audit.findings, worst: audit.worst, merges: audit.merges }).toEqual({
      findings: [],
      worst: undefined,
      merges: 1,
    });
  });

  it("what follows from a revocation is rolled back with it, each with its cause", () => {
    const scenario = scenarioOf(`
carol: carol joins
demote: alice power bob=0
raise: bob power carol=50 after carol
topic: carol topics "x"
merge: alice says "y" after demote, topic`);
    expect(lossesOf(scenario)).toEqual([
      {
        kind: "rollback",
        event: "raise",
        winner: "demote",
        causes: ["revoked demote power_levels"],
        avoidedBy: ["heard-sooner"],
      },
      {
        kind: "rollback",
        event: "topic",
        winner: undefined,
        causes: ["revoked demote power_levels"],
        avoidedBy: ["heard-sooner"],
      },
    ]);
  });

  it("a ban takes back what the banned one did, and what he let others do", () => {
    const scenario = scenarioOf(`
ban: alice bans bob
invite: bob invites carol after bob
merge: alice says "y" after ban, invite`);
    expect(lossesOf(scenario)).toMatchObject([{ kind: "rollback", event: "invite", causes: ["revoked ban member"] }]);
  });

  it("a creator who was demoted before version 12 would have kept her power in it", () => {
    const text = `
all: alice power bob=100 alice=100
down: alice power alice=0
late: alice topics "x" after all
merge: bob says "y" after down, late`;
    expect(lossesOf(scenarioOf(text))).toMatchObject([
      { kind: "rollback", event: "late", avoidedBy: ["creator-power", "heard-sooner"] },
    ]);
    expect(lossesOf(scenarioOf(text, "12"))).toEqual([]);
  });

  it("an older event put last by a clock is a reset in every version, and right clocks avoid it", () => {
    const text = `
old: alice names "old" at 70
new: bob names "new" at 10
fork: bob says "x" after old at 75
merge: alice says "y" after new, fork at 80`;
    for (const id of ["2", "6", "11", "12"]) {
      expect(lossesOf(scenarioOf(text, id))).toEqual([
        {
          kind: "reset",
          event: "new",
          winner: "old",
          causes: ["order old name"],
          avoidedBy: ["newer-states", "clocks"],
        },
      ]);
    }
  });

  it("the same loss is told once and counted", () => {
    const { dump } = scenarioOf(`
name: alice names "one"
other: bob names "two" after bob at 100
one: alice says "1" after name, other at 101
two: bob says "2" after name, other at 102
three: bob says "3" after name, other at 103`);
    const audit = auditOf(dump);
    expect(audit.merges).toBe(3);
    expect(audit.findings.map(({ kind, again }) => [kind, again])).toEqual([["overwritten", 2]]);
  });

  it("version 1 resets what it judges without the members, and a later version does not", () => {
    const text = `
more: alice power bob=60
rename: alice {"type":"m.room.member"}`;
    expect(readScenario(opening + text).ok).toBe(false);
    const fork = `
carol: carol joins
nick: alice joins {"displayname":"Alice"} after bob
mine: alice power bob=60 after nick
other: bob power carol=40 after carol
merge: bob says "y" after mine, other`;
    const one = lossesOf(scenarioOf(fork, "1"));
    expect(one).toMatchObject([{ kind: "reset", event: "mine", winner: "other", causes: ["gone - member"] }]);
    expect(lossesOf(scenarioOf(fork, "11"))).toMatchObject([{ kind: "overwritten" }]);
  });
});

describe("events that should not be as they are", () => {
  it("one that the rules refuse: an error where the server accepted it, a warning where nothing is said", () => {
    const scenario = scenarioOf(`bad: carol topics "x"`);
    expect(kindsOf(auditOf(scenario.dump))).toEqual(["warning admitted"]);
    const accepted = changed(scenario, "bad", (event) => ({ ...event, recorded: { rejected: false } }));
    expect(kindsOf(auditOf(accepted))).toEqual(["error admitted"]);
    const rejected = changed(scenario, "bad", (event) => ({ ...event, recorded: { rejected: true } }));
    expect(kindsOf(auditOf(rejected))).toEqual([]);
  });

  it("one that the server rejected and the rules accept", () => {
    const audit = auditOf(scenarioOf(`good: bob topics "x" rejected`).dump);
    expect(audit.findings).toMatchObject([{ kind: "barred", severity: "error" }]);
  });

  it("a depth that does not follow, one too small beside a gap, and none that may be right", () => {
    const deep = auditOf(scenarioOf(`deep: bob says "x" depth 9007199254740990\nnext: bob says "y"`).dump);
    expect(deep.findings.map(({ kind, reason }) => [kind, reason])).toEqual([
      ["depth", "says depth 9007199254740990, and by its previous events it is 6"],
    ]);
    const given = "given create, alice, levels, open, bob";
    const beside = (depth: number): RoomAudit =>
      auditOf(scenarioOf(`gap: bob says "x" after ?gone, bob ${given} depth ${depth}`).dump);
    expect(beside(5).findings).toMatchObject([
      { kind: "depth", reason: expect.stringContaining("at least 6") as string },
    ]);
    expect(beside(50).findings).toEqual([]);
  });

  it("one sender, one place, one key, two events", () => {
    const scenario = scenarioOf(
      `one: bob topics "a"\ntwo: bob topics "b" after bob\nmerge: bob says "x" after one, two`,
    );
    const found = auditOf(scenario.dump).findings.find(({ kind }) => kind === "equivocation");
    expect(found?.events).toEqual(["one", "two"].map((name) => scenario.ids.get(name)));
    // Two messages are no contradiction.
    const said = auditOf(scenarioOf(`one: bob says "a"\ntwo: bob says "b" after bob`).dump);
    expect(said.findings).toEqual([]);
  });

  it("one id with two bodies; another signature or age is none", () => {
    const scenario = scenarioOf(`topic: bob topics "a"`);
    const twice = (change: JsonObject): Dump =>
      changed(scenario, "topic", (event) => [
        event,
        { ...event, json: { ...jsonOf(event), ...change }, where: "again" },
      ]);
    expect(kindsOf(auditOf(twice({ content: { topic: "b" } })))).toEqual(["error two-bodies"]);
    expect(auditOf(twice({ signatures: { x: { "ed25519:1": "AAAA" } } })).findings).toEqual([]);
    expect(auditOf(twice({ unsigned: { age: 1 } })).findings).toEqual([]);
    const one = auditOf(twice({ content: { topic: "b" } })).findings[0];
    expect(one?.events).toEqual([scenario.ids.get("topic")]);
  });

  it("forward extremities that pile up, now and once", () => {
    const ends = Array.from({ length: 12 }, (_, n) => `m${n}: bob says "${n}" after bob`).join("\n");
    expect(auditOf(scenarioOf(ends).dump).findings).toMatchObject([{ kind: "extremities", severity: "warning" }]);
    const names = Array.from({ length: 12 }, (_, n) => `m${n}`).join(", ");
    const merged = auditOf(scenarioOf(`${ends}\nmerge: bob says "all" after ${names}`).dump);
    expect(kindsOf(merged)).toEqual(["note extremities"]);
    expect(merged.findings[0]?.reason).toContain("12 forward extremities");
  });

  it("an entry that is no event, and a state that is not what the events make", () => {
    const scenario = scenarioOf(`topic: bob topics "a"\nlast: bob says "x"`);
    const broken = changed(scenario, "last", (event) => ({ ...event, json: { ...jsonOf(event), depth: "six" } }));
    expect(kindsOf(auditOf(broken))).toEqual(["warning invalid"]);
    const ids = ["create", "alice", "levels", "open", "bob"].map((name) => scenario.ids.get(name) ?? "");
    const before = scenario.ids.get("last");
    const recorded = { ...scenario.dump, states: [{ name: "state", before, members: ids, partial: false }] };
    const audit = auditOf(recorded);
    expect(audit.findings).toMatchObject([{ kind: "state", severity: "error" }]);
    expect(audit.findings[0]?.events).toEqual([before, scenario.ids.get("topic")]);
  });
});

describe("audits told", () => {
  const { dump } = scenarioOf(`
old: alice names "old" at 70
new: bob names "new\\u001b[31m" at 10
fork: bob says "x" after old at 75
note: alice topics "1" after old at 76
note2: bob topics "2" after old at 77
merge: alice says "y" after new, fork, note, note2 at 80`);
  const audit = auditOf(dump);

  it("with the worst first, by name, with the step and what would have avoided it", () => {
    const names = dump.names ?? new Map<string, string>();
    const text = formatAudit("room", audit, { names });
    expect(text).toBe(
      [
        "room: room version 11, 11 events, 1 merges",
        "  error reset  m.room.name: new was reset and old stands; an older event was put after it: old (m.room.name)",
        "      where: resolution v2 of the previous events of merge, check 1 (mainline)",
        "      avoided: it stands if no branch holds a state older than the events that it knows",
        "      avoided: it stands if the clocks of the senders' servers agree with the order of the events",
        "  1 error, 1 note",
      ].join("\n"),
    );
    expect(formatAudit("room", audit, { names, notes: true })).toContain(
      "  note overwritten  m.room.topic: note2 stands",
    );
    expect(formatAudit("room", audit, { colour: true })).toContain("\u001b[31merror reset\u001b[0m");
  });

  it("with as much of each id as tells it from others, where the file has no names", () => {
    const ids = [...audit.report.received.events.keys()];
    const whole = audit.findings.flatMap(({ events }) => events);
    const text = formatAudit("room", audit, { notes: true });
    const short = text.match(/\$\S+…/g) ?? [];
    expect(short.length).toBeGreaterThan(3);
    for (const id of short) expect(ids.filter((other) => other.startsWith(id.slice(0, -1)))).toHaveLength(1);
    for (const id of whole) expect(text).not.toContain(id);
    expect(JSON.stringify(plainAudit(audit))).toContain(whole[0]);
    // Versions 1 and 2 let servers choose ids; those of one server begin alike.
    const chosen = auditOf(recorded("fork-v1-a"));
    const first = chosen.findings[0]?.events[0] ?? "";
    expect(formatAudit("room", chosen)).toContain(`${first.slice(0, 17)}… was rolled back`);
  });

  it("with no more than five events to a line", () => {
    const lines = Array.from({ length: 12 }, (_, at) => `n${at}: alice says "${at}" after bob`);
    const many = scenarioOf(lines.join("\n"));
    const text = formatAudit("room", auditOf(many.dump), { names: many.dump.names ?? new Map() });
    expect(text).toMatch(/warning extremities {2}(?:n\d+, ){4}n\d+ and 7 more: 12 forward extremities/);
  });

  it("as plain data that JSON can hold", () => {
    const plain = JSON.parse(JSON.stringify(plainAudit(audit))) as { worst: string; findings: { loss: JsonObject }[] };
    expect(plain.worst).toBe("error");
    expect(plain.findings[0]?.loss).toMatchObject({
      type: "m.room.name",
      state_key: "",
      algorithm: "v2",
      causes: [{ how: "order" }],
      avoided_by: ["newer-states", "clocks"],
    });
  });
});
