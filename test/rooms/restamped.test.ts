import { describe, expect, it } from "vitest";
import { decodeBase64, encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import { version } from "../../src/index.js";
import { causalOrder } from "../../src/inspect/order.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import { reportOf, roomJson, roomText } from "./support.js";
import type { RoomReport } from "../../src/inspect/index.js";

// No server makes rooms of version I.1 yet. Real rooms of version 10 become such rooms when the create
// event says so and every id, reference, hash and signature after it is made anew.

const i1 = version("I.1");

/** The seed of the spec's own signing examples, and one more. */
const seeds = ["YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"];

interface Restamped {
  readonly pdus: readonly JsonObject[];
  /** Old id → new id. */
  readonly ids: ReadonlyMap<string, string>;
  readonly keys: JsonObject;
}

function restamp(original: RoomReport, servers: readonly string[]): Restamped {
  const signers = servers.map((server, at) => ({ server, keyId: "ed25519:1", seed: decodeBase64(seeds[at]!)! }));
  const ids = new Map<string, string>();
  const renamed = (id: JsonValue): JsonValue => ids.get(id as string) ?? fail(`${id as string} is not renamed`);
  const all = original.events.map(({ eventId }) => original.replay.pdu(eventId)!);
  // A redaction is made again only after what it redacts.
  const { order } = causalOrder(all, (id) => {
    const { prevEvents, authEvents, redacts } = original.replay.pdu(id)!;
    return [...prevEvents, ...authEvents, ...(redacts === undefined ? [] : [redacts])];
  });
  const pdus = order.map((id) => {
    const { json } = original.replay.pdu(id)!;
    const { signatures, hashes: _hashes, unsigned: _unsigned, ...kept } = json;
    const event: Record<string, JsonValue> = {
      ...kept,
      prev_events: (json["prev_events"] as JsonValue[]).map(renamed),
      auth_events: (json["auth_events"] as JsonValue[]).map(renamed),
    };
    const content = json["content"] as JsonObject;
    if (json["type"] === "m.room.create") event["content"] = { ...content, room_version: "I.1" };
    if (json["redacts"] !== undefined) event["redacts"] = renamed(json["redacts"]);
    const signed = signers
      .filter(({ server }) => Object.hasOwn(signatures as JsonObject, server))
      .reduce((partly: JsonObject, signer) => i1.sign(partly, signer), event);
    ids.set(id, i1.eventId(signed));
    return signed;
  });
  const keys = signers.map(({ server, keyId, seed }) => [server, { [keyId]: encodeUnpadded(publicKeyFromSeed(seed)) }]);
  return { pdus, ids, keys: Object.fromEntries(keys) as JsonObject };
}

function fail(reason: string): never {
  throw new Error(reason);
}

describe.each([
  "synapse-v10.json",
  "synapse-v10-restricted.json",
  "fork-v10-a.json",
  "fork-v10-r1.json",
  "fork-v10-r2.json",
])("%s as a room of version I.1", (name) => {
  const room = roomJson(name);
  const original = reportOf(roomText(name));
  const servers = Object.keys(room["verify_keys"] as JsonObject);
  const { pdus, ids, keys } = restamp(original, servers);
  const report = reportOf(JSON.stringify(pdus), { keys: [keys] });
  const mapped = (list: readonly string[]): readonly string[] => list.map((id) => ids.get(id)!).sort();

  it("[cap:version-i1 v:I.1] [cap:event-id v:I.1] has the version of its create event and ids of its own", () => {
    expect(report.roomVersion).toBe("I.1");
    expect(new Set(ids.values()).size).toBe(original.events.length);
    for (const [old, id] of ids) expect(id).not.toBe(old);
  });

  it("[cap:receipt v:I.1] [cap:signature-check v:I.1] [cap:auth-membership v:I.1] has the same verdicts", () => {
    expect(report.disagreements).toEqual([]);
    const required = [...report.received.events.values()].map(({ copies }) => copies[0].signatures.servers.size);
    const total = required.reduce((sum, count) => sum + count);
    expect(total).toBeGreaterThanOrEqual(report.events.length - 1);
    expect(report.signatures).toEqual({ verified: total, unknownKey: 0, refused: 0 });
    const verdicts = new Map(report.events.map(({ eventId, verdict }) => [eventId, verdict]));
    for (const { eventId, verdict } of original.events) {
      const rule = verdict.verdict === "accepted" ? verdict.rule : fail("recorded rooms are accepted");
      expect(verdicts.get(ids.get(eventId)!)).toEqual({ ...verdict, rule: rule.replace("v10 ", "I.1 ") });
    }
  });

  it("[cap:resolution-v2 v:I.1] [cap:state-before-after v:I.1] resolves to the same state under its new ids", () => {
    expect(report.state!.map(({ eventId }) => eventId).sort()).toEqual(
      mapped(original.state!.map(({ eventId }) => eventId)),
    );
    const merge = room["merge_event_id"];
    if (typeof merge !== "string") return;
    const before = report.replay.stateBefore(ids.get(merge)!)!;
    expect(report.replay.index.idsOf(before).sort()).toEqual(mapped(room["synapse_state_ids"] as string[]));
  });

  it("[cap:auth-create v:I.1] would be rejected if its create event still said 10", () => {
    const create = pdus.find((pdu) => pdu["type"] === "m.room.create")!;
    const content = { ...(create["content"] as JsonObject), room_version: "10" };
    const signer = { server: servers[0]!, keyId: "ed25519:1", seed: decodeBase64(seeds[0]!)! };
    const signed = i1.sign({ ...create, content }, signer);
    const only = reportOf(JSON.stringify([signed]), { keys: [keys], roomVersion: "I.1" });
    expect(only.events[0]!.verdict).toMatchObject({
      verdict: "rejected-by-auth-events",
      refusal: { rule: "I.1 rule 1.3" },
    });
  });
});
