import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { encodeUnpadded } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import {
  checkSignatures,
  contentHash,
  contentHashMatches,
  eventIdOf,
  parsePdu,
  parsePduText,
  readEvent,
  redact,
  referenceHash,
  separateId,
  signEvent,
} from "../../src/event/index.js";
import { EventForms } from "../../src/event/forms.js";
import { sameBytes } from "../../src/event/hashes.js";
import { encodeCanonical } from "../../src/json/index.js";
import { get, isArray, isObject, JsonFloat, type JsonObject, type JsonValue } from "../../src/json/value.js";
import {
  ALL,
  basePdu,
  changed,
  codeOf,
  frozen,
  hash43,
  keyOf,
  LAX,
  lookup,
  PAIRS,
  referenced,
  roomOf,
  rulesOf,
  valueOf,
} from "../support/event.js";

const key = keyOf("a.example", 1);
const base64 = (bytes: Uint8Array): string => encodeUnpadded(bytes);
const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64").replace(/=+$/, "");

for (const id of ALL) {
  const rules = rulesOf(id);

  describe(`hashes in version ${id}`, () => {
    const event = frozen(signEvent(rules, basePdu(id), key));

    it(`the content hash covers all but unsigned, signatures and hashes [cap:content-hash v:${id}]`, () => {
      const { unsigned: _u, signatures: _s, hashes: _h, ...covered } = event;
      const expected = sha256(encodeCanonical(covered));
      expect(base64(contentHash(event))).toBe(expected);
      for (const key of ["unsigned", "signatures", "hashes"]) {
        for (const value of [undefined, null, {}, { x: 1 }]) {
          expect(base64(contentHash(changed(event, { [key]: value })))).toBe(expected);
        }
      }
    });
    it(`every other key counts, legacy ones too [cap:content-hash v:${id}]`, () => {
      const before = base64(contentHash(event));
      for (const key of [
        ...Object.keys(basePdu(id)),
        "age_ts",
        "outlier",
        "destinations",
        "origin",
        "redacts",
        "__proto__",
      ]) {
        if (key === "hashes" || key === "signatures") continue;
        expect(base64(contentHash(changed(event, { [key]: "other" }))), key).not.toBe(before);
      }
    });
    it("a hash is matched by its bytes, in either alphabet and padding", () => {
      const hash = base64(contentHash(event));
      const claim = (sha256: JsonValue): boolean => {
        const json = changed(event, { hashes: { sha256, md5: "x" } });
        const matches = contentHashMatches(json);
        expect(contentHashMatches(json, EventForms.of(rules, json))).toBe(matches);
        return matches;
      };
      expect(contentHashMatches(event)).toBe(true);
      for (const same of [hash, `${hash}=`, hash.replace(/\+/g, "-").replace(/\//g, "_")])
        expect(claim(same)).toBe(true);
      const other = hash.startsWith("A") ? `B${hash.slice(1)}` : `A${hash.slice(1)}`;
      for (const wrong of [other, "", `${hash}==`, hash.slice(0, -1), `${hash}AAAA`, ` ${hash}`, null, 1, {}, [hash]]) {
        expect(claim(wrong), JSON.stringify(wrong)).toBe(false);
      }
      for (const hashes of [undefined, null, [], {}, hash]) {
        expect(contentHashMatches(changed(event, { hashes }))).toBe(false);
      }
      expect(contentHashMatches({ hashes: { sha256: "?" }, content: { unhashable: 1.5 } })).toBe(false);
    });
    it(`an altered body: other content hash, same id, valid signatures [cap:hash-mismatch v:${id}]`, () => {
      const altered = changed(event, { content: { body: "changed on the way" } });
      expect(contentHashMatches(altered)).toBe(false);
      expect(eventIdOf(rules, altered)).toBe(eventIdOf(rules, event));
      for (const json of [altered, redact(rules, altered)]) {
        expect(eventIdOf(rules, json)).toBe(eventIdOf(rules, event));
        expect(checkSignatures(rules, valueOf(parsePdu(rules, json)), lookup(key)).status).toBe("verified");
      }
    });
    it("the reference hash covers the redacted event with `hashes` as received", () => {
      const { signatures: _s, unsigned: _u, ...covered } = redact(rules, event);
      expect(base64(referenceHash(rules, event))).toBe(sha256(encodeCanonical(covered)));
      const before = base64(referenceHash(rules, event));
      const kept = [{ depth: 6 }, { hashes: { sha256: "x" } }, { type: "x" }, { state_key: "" }, { sender: "@b:b" }];
      for (const changes of kept) expect(base64(referenceHash(rules, changed(event, changes)))).not.toBe(before);
      const free = [{ unsigned: { x: 1 } }, { signatures: {} }, { content: {} }, { redacts: "$x" }, { age_ts: 1 }];
      for (const changes of free) expect(base64(referenceHash(rules, changed(event, changes)))).toBe(before);
      // Duplicates are hashed as they came.
      const doubled = changed(event, { auth_events: [...authEventsOf(event), ...authEventsOf(event)] });
      expect(base64(referenceHash(rules, doubled))).not.toBe(before);
    });
    it(`the event id [cap:event-id v:${id}]`, () => {
      const hash = base64(referenceHash(rules, event));
      const urlSafe = hash.replace(/\+/g, "-").replace(/\//g, "_");
      const expected = PAIRS.includes(id) ? "$own:a.example" : id === "3" ? `$${hash}` : `$${urlSafe}`;
      expect(eventIdOf(rules, event)).toBe(expected);
      expect(valueOf(parsePdu(rules, event)).eventId).toBe(expected);
    });
  });

  describe(`reading without verification in version ${id}`, () => {
    it("takes what the rules read", () => {
      const event = basePdu(id, { state_key: "", hashes: undefined, signatures: undefined });
      expect(valueOf(readEvent(rules, event))).toMatchObject({
        type: "m.room.message",
        sender: "@alice:a.example",
        roomId: roomOf(id),
        stateKey: "",
        depth: 5,
        hasRoomId: true,
        originServerTs: 1_700_000_000_000,
        authEvents: [referenced(id, "a"), referenced(id, "b")],
        prevEvents: [referenced(id, "p")],
        json: event,
        eventId: eventIdOf(rules, event),
      });
    });
    it("honours a given id, which is part of the event in versions 1 and 2 only", () => {
      const event = basePdu(id, { event_id: "$given" });
      const read = valueOf(readEvent(rules, event));
      expect(read.eventId).toBe("$given");
      expect(Object.hasOwn(read.json, "event_id")).toBe(PAIRS.includes(id));
      expect(Object.hasOwn(event, "event_id")).toBe(true);
      const bare = changed(event, { event_id: undefined });
      expect(separateId(rules, bare)).toEqual({ json: bare, eventId: undefined });
      expect(separateId(rules, changed(event, { event_id: 7 })).eventId).toBeUndefined();
      if (PAIRS.includes(id)) {
        expect(codeOf(readEvent(rules, bare))).toBe("bad_format");
        expect(() => eventIdOf(rules, bare)).toThrow(UsageError);
        expect(() => eventIdOf(rules, changed(bare, { event_id: null }))).toThrow(UsageError);
      } else expect(valueOf(readEvent(rules, bare)).eventId).toBe(eventIdOf(rules, bare));
    });
    it("fills in what may be missing, and takes references in either form", () => {
      const bare = { type: "m.room.create", sender: "@a:a.example", content: {}, event_id: "$x", state_key: "" };
      expect(valueOf(readEvent(rules, bare))).toMatchObject({
        depth: 0,
        originServerTs: 0,
        authEvents: [],
        prevEvents: [],
        roomId: "!x",
        hasRoomId: false,
        redacts: undefined,
      });
      const both = { ...bare, auth_events: ["$a", ["$b", { sha256: "x" }], ["$c"]], room_id: "!r:a.example" };
      expect(valueOf(readEvent(rules, both))).toMatchObject({
        authEvents: ["$a", "$b", "$c"],
        roomId: "!r:a.example",
        hasRoomId: true,
      });
      expect(valueOf(readEvent(rules, { ...bare, depth: null, origin_server_ts: "1" }))).toMatchObject({
        depth: 0,
        originServerTs: 0,
      });
    });
    it("refuses what the rules cannot read", () => {
      const good = { type: "x", sender: "@a:a.example", content: {}, event_id: "$x" };
      expect(codeOf(readEvent(rules, good))).toBeUndefined();
      const wrong: JsonValue[] = [
        null,
        [],
        "x",
        { ...good, type: 1 },
        { ...good, sender: null },
        { ...good, content: [] },
        { ...good, state_key: null },
        { ...good, auth_events: {} },
        { ...good, prev_events: "x" },
        { ...good, auth_events: [1] },
        { ...good, auth_events: [[]] },
        { ...good, prev_events: [[1, {}]] },
      ];
      for (const event of wrong) expect(codeOf(readEvent(rules, event)), JSON.stringify(event)).toBe("bad_format");
    });
  });
}

function authEventsOf(event: JsonObject): readonly JsonValue[] {
  const list = event["auth_events"];
  return isArray(list) ? list : [];
}

describe("numbers of lax versions in hashes", () => {
  it.each(LAX)("version %s hashes what Python would write", (id) => {
    const rules = rulesOf(id);
    const text = encodeCanonical(basePdu(id)).replace('"hello"', "[1.50,1e2,9223372036854775807,-0]");
    const { json } = valueOf(parsePduText(rules, text));
    const { signatures: _s, hashes: _h, ...covered } = json;
    const written = encodeCanonical(covered);
    expect(written).toContain("[1.5,100.0,9223372036854775807,0]");
    expect(base64(contentHash(json))).toBe(sha256(written));
  });
  it("reads large depths and times that were stored before", () => {
    const old = basePdu("1", { depth: 2n ** 53n, origin_server_ts: new JsonFloat(5, "5.0") });
    expect(valueOf(readEvent(rulesOf("1"), old))).toMatchObject({ depth: 2 ** 53, originServerTs: 0 });
  });
});

describe("the `/` in ids of version 3 [cap:versions-3-5 v:3]", () => {
  it("stays, where version 4 writes `_`", () => {
    for (let depth = 0; ; depth++) {
      const event = basePdu("3", { depth });
      const id = eventIdOf(rulesOf("3"), event);
      if (!id.includes("/")) continue;
      expect(valueOf(parsePdu(rulesOf("3"), event)).eventId).toBe(id);
      expect(eventIdOf(rulesOf("4"), event)).toBe(id.replaceAll("/", "_").replaceAll("+", "-"));
      expect(codeOf(parsePdu(rulesOf("3"), basePdu("3", { prev_events: [id] })))).toBeUndefined();
      break;
    }
  });
});

describe("sameBytes", () => {
  it("compares lengths and every byte", () => {
    const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
    expect(sameBytes(bytes(), bytes())).toBe(true);
    expect(sameBytes(bytes(1, 2), bytes(1, 2))).toBe(true);
    expect(sameBytes(bytes(1, 2), bytes(1, 3))).toBe(false);
    expect(sameBytes(bytes(1, 2), bytes(1, 2, 3))).toBe(false);
  });
});

describe("pair references of a real room [cap:versions-1-2 v:1,2]", () => {
  it.each(["1", "2"])("version %s: every hash that Synapse wrote is the parent's reference hash", (id) => {
    const file = new URL(`../../fixtures/rooms/synapse-v${id}.json`, import.meta.url);
    const { timeline } = JSON.parse(readFileSync(file, "utf8")) as { timeline: JsonObject[] };
    const byId = new Map(timeline.map((event) => [event["event_id"], event]));
    let compared = 0;
    for (const event of timeline) {
      for (const pair of [event["prev_events"], event["auth_events"]].flatMap((list) => (isArray(list) ? list : []))) {
        const [parent, hashes] = isArray(pair) ? [byId.get(pair[0]), pair[1]] : [];
        const claimed = isObject(hashes) ? get(hashes, "sha256") : undefined;
        if (parent === undefined || claimed === undefined) continue;
        expect(base64(referenceHash(rulesOf(id), parent))).toBe(claimed);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(20);
    expect(timeline.filter((event) => codeOf(parsePdu(rulesOf(id), event)) !== undefined)).toEqual([]);
  });
});

describe("ids of foreign hashes", () => {
  it("are taken as given where the host knows them", () => {
    const eventId = `$${hash43("z")}`;
    expect(valueOf(parsePdu(rulesOf("10"), basePdu("10"), { eventId })).eventId).toBe(eventId);
  });
});
