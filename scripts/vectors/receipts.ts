/** Receipt: what becomes of events that a server gets in this order, by the checks of the federation API. */
import { readFileSync } from "node:fs";
import { checkRoom, readScenario, softFailures } from "../../src/inspect/index.js";
import type { Dump, DumpEvent } from "../../src/inspect/index.js";
import { get, isObject } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import { I1, sourcesFor, spec, versionOf, versions } from "./model.js";
import type { Pool, Vector } from "./model.js";

/** What becomes of an event. `redacted`: its content hash did not match, so it is kept as its redacted copy. */
export type Fate = "accepted" | "accepted redacted" | "soft-failed" | "rejected" | "dropped";

/** The create event of room version 12 is cited by nobody. */
function textOf(version: string): string {
  const create = version === "12" ? "" : "create, ";
  return `
  create: alice creates
  alice: alice joins
  levels: alice power alice=100
  open: alice rules public
  bob: bob joins
  powerless: bob topics "Mine"
  after: bob says "It does no harm to come after something rejected." after powerless
  powerlessly: bob power bob=100 after after
  raised: alice power bob=50 after after
  topic: bob topics "Allowed" after raised
  lowered: alice power bob=0 after topic
  stale: bob topics "Allowed once" after lowered cites ${create}raised, bob
  rests: bob names "Rests on what was rejected" after lowered cites ${create}powerlessly, bob
  ban: alice bans bob after lowered
  evade: bob says "From before the ban" after lowered
`;
}

/** Names in the order of arrival, and what becomes of each. */
const fates: readonly (readonly [name: string, fate: Fate])[] = [
  ["create", "accepted"],
  ["alice", "accepted"],
  ["levels", "accepted"],
  ["open", "accepted"],
  ["bob", "accepted"],
  ["powerless", "rejected"],
  ["after", "accepted"],
  ["powerlessly", "rejected"],
  ["raised", "accepted"],
  ["topic", "accepted"],
  ["lowered", "accepted"],
  ["stale", "rejected"],
  ["rests", "rejected"],
  ["ban", "accepted"],
  ["evade", "soft-failed"],
];

const sources = [
  spec("server-server-api/#checks-performed-on-receipt-of-a-pdu", "Checks performed on receipt of a PDU"),
  spec("server-server-api/#soft-failure", "Soft failure"),
];

export function receiptVectors(pool: Pool, gallery: string): readonly Vector[] {
  return [...versions, I1].flatMap((version): readonly Vector[] => {
    const evaded = readFileSync(`${gallery}soft-fail-alone.txt`, "utf8");
    const names = ["create", "alice", "levels", "open", "bob", "ban", "evade", "next"] as const;
    return [
      vectorOf(pool, version, "checks", textOf(version), fates),
      vectorOf(
        pool,
        version,
        "soft-fail-alone",
        evaded,
        names.map((name) => [name, name === "evade" ? "soft-failed" : "accepted"]),
      ),
      spoiled(pool, version, evaded),
    ];
  });
}

function roomOf(pool: Pool, version: string, name: string, text: string): ReadonlyMap<string, string> {
  const scenario = readScenario(text, { roomVersion: version });
  if (!scenario.ok) throw new Error(`v${version} ${name}: ${scenario.error.reason}`);
  const room = `${version}/receipts-${name}`;
  for (const { json, givenId } of scenario.value.dump.events) {
    if (!isObject(json)) throw new Error("an event of a scenario is an object");
    const id = givenId ?? get(json, "event_id");
    if (typeof id !== "string") throw new Error("an event of a scenario has an id");
    pool.add(room, versionOf(version), { ...json, event_id: id });
  }
  return scenario.value.ids;
}

function vectorOf(
  pool: Pool,
  version: string,
  name: string,
  text: string,
  expected: readonly (readonly [string, Fate])[],
): Vector {
  const ids = roomOf(pool, version, name, text);
  const room = `${version}/receipts-${name}`;
  const events = expected.map(([event]) => ids.get(event) ?? event);
  return checked(pool, {
    id: `receipts/${version}/${name}`,
    op: "receive",
    room_version: version,
    room,
    events,
    expect: { ok: expected.map(([, fate]) => fate) },
    source: sourcesFor(version, ...sources),
  });
}

/** The last event of a room in forms that did not leave its sender's server so. */
function spoiled(pool: Pool, version: string, text: string): Vector {
  const ids = roomOf(pool, version, "soft-fail-alone", text);
  const room = `${version}/receipts-soft-fail-alone`;
  const names = ["create", "alice", "levels", "open", "bob", "ban"];
  const last = pool.event(room, ids.get("next") ?? "");
  const { origin_server_ts: _time, ...timeless } = last;
  const forms: readonly (readonly [JsonObject, Fate])[] = [
    [timeless, "dropped"],
    [{ ...last, signatures: {} }, "dropped"],
    [{ ...last, sender: "@bob:elsewhere.example" }, "dropped"],
    [{ ...last, content: { body: "Something else" } }, "accepted redacted"],
  ];
  return checked(pool, {
    id: `receipts/${version}/spoiled`,
    op: "receive",
    room_version: version,
    room,
    events: [...names.map((name) => ids.get(name) ?? name), ...forms.map(([event]) => event)],
    expect: { ok: [...names.map((): Fate => "accepted"), ...forms.map(([, fate]) => fate)] },
    source: sourcesFor(version, ...sources),
  });
}

function checked(pool: Pool, vector: Vector): Vector {
  const { room, events, room_version } = vector;
  const given = (events as readonly JsonValue[]).map((event): JsonObject =>
    typeof event === "string" ? pool.event(room ?? "", event) : (event as JsonObject),
  );
  const found = received(room_version ?? "", given, pool.keys());
  const expected = "ok" in vector.expect ? vector.expect.ok : undefined;
  if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${vector.id}: ${JSON.stringify(found)}`);
  return vector;
}

/** The library's answer: the fate of each event, as a list in the order of arrival. */
export function received(roomVersion: string, events: readonly JsonObject[], keys: JsonObject): readonly Fate[] {
  const entries = events.map((json, at): DumpEvent => ({
    json,
    givenId: undefined,
    where: String(at),
    role: "timeline",
    recorded: {},
  }));
  const dump: Dump = {
    roomVersion,
    roomId: undefined,
    events: entries,
    keys: [keys],
    states: [],
    request: undefined,
    notes: [],
  };
  const report = checkRoom(dump);
  if (!report.ok) throw new Error(report.error.reason);
  const { received: read, replay } = report.value;
  const failed = softFailures(report.value);
  return read.ids.map((id, at): Fate => {
    const copy = read.events.get(id ?? "")?.copies.find(({ where }) => where.includes(String(at)));
    if (id === undefined || copy?.signatures.status !== "verified") return "dropped";
    const verdict = replay.verdicts.get(id)?.verdict ?? "";
    if (verdict.startsWith("rejected")) return "rejected";
    if (verdict !== "accepted") throw new Error(`${id} is ${verdict}`);
    if (failed.has(id)) return "soft-failed";
    return copy.hash === "mismatch" ? "accepted redacted" : "accepted";
  });
}
