import { describe, expect, it } from "vitest";
import {
  isState,
  MAX_AUTH_EVENTS,
  MAX_PDU_BYTES,
  MAX_PREV_EVENTS,
  parsePdu,
  parsePduText,
  readPdu,
} from "../../src/event/index.js";
import { redactsOf } from "../../src/event/format.js";
import { encodeCanonical, encodeCanonicalBytes } from "../../src/json/index.js";
import { JsonFloat, type JsonObject, type JsonValue } from "../../src/json/value.js";
import {
  ALL,
  basePdu,
  BYTES_DROPPED,
  changed,
  codeOf,
  hash43,
  LAX,
  PAIRS,
  reference,
  referenced,
  roomOf,
  rulesOf,
  valueOf,
} from "../support/event.js";

type Changes = Readonly<Record<string, JsonValue | undefined>>;

const notStrings: readonly (JsonValue | undefined)[] = [undefined, null, true, 1, [], {}];
const notObjects: readonly (JsonValue | undefined)[] = [undefined, null, true, 1, "x", []];
const each = (key: string, values: readonly (JsonValue | undefined)[]): Changes[] =>
  values.map((value) => ({ [key]: value }));

/** Changes that make a message event malformed in every version. */
const malformed: Readonly<Record<string, readonly Changes[]>> = {
  type: each("type", notStrings),
  sender: each("sender", notStrings),
  room_id: each("room_id", notStrings),
  content: each("content", notObjects),
  hashes: each("hashes", notObjects),
  signatures: each("signatures", notObjects),
  depth: each("depth", [undefined, null, true, false, "5", -1, [], {}, [5]]),
  origin_server_ts: each("origin_server_ts", [undefined, null, true, "5", [], {}]),
  prev_events: each("prev_events", [undefined, null, true, "x", {}, 1, [1], [null], [[]], ["x"], [{}]]),
  auth_events: each("auth_events", [undefined, null, true, "x", {}, 1, [1], [null], [[]], ["x"], [{}]]),
  state_key: each("state_key", [null, true, 1, [], {}]),
};

for (const id of ALL)
  describe(`the PDU format of version ${id} [cap:pdu-format v:${id}]`, () => {
    const rules = rulesOf(id);
    const pairs = PAIRS.includes(id);

    it("accepts a well-formed event and reads it", () => {
      const json = basePdu(id);
      const pdu = valueOf(parsePdu(rules, json));
      expect(pdu).toMatchObject({
        type: "m.room.message",
        sender: "@alice:a.example",
        roomId: roomOf(id),
        stateKey: undefined,
        depth: 5,
        originServerTs: 1_700_000_000_000,
        content: { body: "hello", msgtype: "m.text" },
        redacts: undefined,
        authEvents: [referenced(id, "a"), referenced(id, "b")],
        prevEvents: [referenced(id, "p")],
        hasRoomId: true,
        rejectedForSize: undefined,
      });
      expect(pdu.json).toEqual(json);
      expect(isState(pdu)).toBe(false);
      expect(Object.isFrozen(pdu)).toBe(true);
      if (pairs) expect(pdu.eventId).toBe("$own:a.example");
      else expect(pdu.eventId).toMatch(id === "3" ? /^\$[A-Za-z0-9+/]{43}$/ : /^\$[A-Za-z0-9_-]{43}$/);
      expect(parsePduText(rules, encodeCanonical(json))).toEqual(parsePdu(rules, json));
    });

    it.each(Object.entries(malformed))("drops each wrong `%s`", (key, mutants) => {
      for (const changes of mutants) {
        const result = parsePdu(rules, basePdu(id, changes));
        expect(codeOf(result), `${key} ${JSON.stringify(changes[key])}`).toBe("bad_format");
        if (!result.ok)
          expect(result.error).toMatchObject({ rule: "server-server-api PDUs", reason: /\w/, events: [] });
        if (!result.ok) expect(result.error.reason).toContain(`\`${key}\``);
      }
    });

    it("drops what is no object", () => {
      for (const value of [null, true, 1, "{}", [basePdu(id)]])
        expect(codeOf(parsePdu(rules, value))).toBe("bad_format");
      expect(codeOf(parsePduText(rules, "[]"))).toBe("bad_format");
      expect(codeOf(parsePduText(rules, "{"))).toBe("bad_json");
      expect(codeOf(parsePdu(rules, undefined))).toBe("bad_json");
      expect(codeOf(parsePdu(rules, new Date(0)))).toBe("bad_json");
    });

    it("takes a time before 1970, an empty state key and no references at all", () => {
      const odd = { origin_server_ts: -1, state_key: "", auth_events: [], prev_events: [], depth: 0 };
      const pdu = valueOf(parsePdu(rules, basePdu(id, odd)));
      expect(pdu).toMatchObject({ originServerTs: -1, stateKey: "", authEvents: [], prevEvents: [], depth: 0 });
      expect(isState(pdu)).toBe(true);
    });

    it(`bounds depth by 2^53-1 [cap:depth v:${id}]`, () => {
      const at = (depth: string): string => encodeCanonical(basePdu(id)).replace('"depth":5', `"depth":${depth}`);
      expect(valueOf(parsePduText(rules, at("9007199254740991"))).depth).toBe(Number.MAX_SAFE_INTEGER);
      const tooDeep = LAX.includes(id) ? "bad_format" : "bad_json";
      for (const depth of ["9007199254740992", "9223372036854775807", "1.0", "5e0", "1e2"]) {
        expect(codeOf(parsePduText(rules, at(depth))), depth).toBe(tooDeep);
      }
      expect(codeOf(parsePduText(rules, at("-1")))).toBe("bad_format");
    });

    it("drops a time that is no safe integer", () => {
      const at = (time: string): string => encodeCanonical(basePdu(id)).replace("1700000000000", time);
      for (const time of ["9007199254740992", "1.5", "1e3"]) {
        expect(codeOf(parsePduText(rules, at(time))), time).toBe(LAX.includes(id) ? "bad_format" : "bad_json");
      }
    });

    it("drops identifiers that break their grammar", () => {
      const wrong: Changes[] = [
        ...each("sender", ["alice", "@alice", "alice:a.example", "@alice:", "@alice:a b", ""]),
        ...each("room_id", ["room", "!room", "#room:a.example", "!room:", ""]),
        ...each("room_id", id === "12" ? ["!room:a.example", `!${hash43("+")}`] : [`!${hash43("r")}`]),
      ];
      for (const changes of wrong) {
        expect(codeOf(parsePdu(rules, basePdu(id, changes))), JSON.stringify(changes)).toBe("bad_identifier");
      }
    });

    it("accepts the users of old rooms", () => {
      for (const sender of ["@:a.example", "@Ünïcode 😀:a.example", "@a:[::1]:8448", "@a:256.1.1.1"]) {
        expect(valueOf(parsePdu(rules, basePdu(id, { sender }))).sender).toBe(sender);
      }
    });

    it(`${pairs ? "demands" : "forbids"} \`event_id\``, () => {
      const values = pairs ? [undefined, null, 1, {}] : [null, "", `$${hash43("x")}`, "$own:a.example"];
      for (const event_id of values) expect(codeOf(parsePdu(rules, basePdu(id, { event_id })))).toBe("bad_format");
      if (!pairs) return;
      for (const event_id of ["own", "$own", `$${hash43("x")}`, "$own:"]) {
        expect(codeOf(parsePdu(rules, basePdu(id, { event_id }))), event_id).toBe("bad_identifier");
      }
    });

    it("wants a hash, which may be wrong, and signatures in their shape, which may be of anybody", () => {
      for (const hashes of [{}, { sha512: "x" }, { sha256: null }, { sha256: 5 }, { sha256: [] }]) {
        expect(codeOf(parsePdu(rules, basePdu(id, { hashes })))).toBe("bad_format");
      }
      expect(codeOf(parsePdu(rules, basePdu(id, { hashes: { sha256: "!!", sha512: 1 } })))).toBeUndefined();
      for (const ofServer of [null, 5, "x", [], { "ed25519:1": 5 }, { junk: null }]) {
        const signatures = { "a.example": { "ed25519:1": "x" }, "b.example": ofServer };
        expect(codeOf(parsePdu(rules, basePdu(id, { signatures })))).toBe("bad_format");
      }
      const odd = { "a.example": {}, "b.example": { junk: "x", "ed25519:1": "?" } };
      expect(codeOf(parsePdu(rules, basePdu(id, { signatures: odd })))).toBeUndefined();
    });

    it("takes references in its own form only", () => {
      const own = `$${hash43("x")}`;
      const pair = ["$x:a.example", { sha256: hash43("h") }];
      const wrong: JsonValue[] = pairs
        ? ["$x:a.example", own, ["$x:a.example"], ["$x:a.example", null], ["$x:a.example", {}, 1], [1, {}], ["x", {}]]
        : [pair, [own], "", "x", `$${"x".repeat(255)}`];
      for (const key of ["prev_events", "auth_events"]) {
        for (const entry of wrong) {
          const result = parsePdu(rules, basePdu(id, { [key]: [reference(id, "a"), entry] }));
          expect(codeOf(result), JSON.stringify(entry)).toBe("bad_format");
        }
      }
      // The hash of a pair is never checked, so it may be missing, as in events that Synapse makes.
      if (pairs) expect(codeOf(parsePdu(rules, basePdu(id, { auth_events: [["$x:a.example", {}]] })))).toBeUndefined();
    });

    if (pairs) {
      it("lets events be cited that are kept in spite of their long id", () => {
        const long = `$${"é".repeat(200)}:a.example`;
        const longer = `$${"é".repeat(300)}:a.example`;
        const citing = (event: string): unknown => parsePdu(rules, basePdu(id, { prev_events: [[event, {}]] }));
        expect(citing(long)).toMatchObject({ ok: true, value: { prevEvents: [long] } });
        expect(citing(longer)).toMatchObject({ ok: false, error: { code: "bad_format" } });
      });
    }

    it(`allows 20 prev_events and 10 auth_events, more in backfill only [cap:limits v:${id}]`, () => {
      const many = (count: number): JsonValue => Array.from({ length: count }, () => reference(id, "x"));
      for (const [key, most] of [
        ["prev_events", MAX_PREV_EVENTS],
        ["auth_events", MAX_AUTH_EVENTS],
      ] as const) {
        expect(codeOf(parsePdu(rules, basePdu(id, { [key]: many(most) })))).toBeUndefined();
        const excess = basePdu(id, { [key]: many(most + 1) });
        expect(codeOf(parsePdu(rules, excess))).toBe("too_large");
        expect(codeOf(parsePdu(rules, excess, { counts: "enforced" }))).toBe("too_large");
        expect(codeOf(parsePdu(rules, excess, { counts: "tolerated" }))).toBeUndefined();
        // Duplicates are kept: they were hashed.
        expect(valueOf(parsePdu(rules, basePdu(id, { [key]: many(2) }))).json[key]).toHaveLength(2);
      }
      expect([MAX_PREV_EVENTS, MAX_AUTH_EVENTS]).toEqual([20, 10]);
      expect(codeOf(parsePdu(rules, basePdu(id, { prev_events: [1], auth_events: [] }), { counts: "tolerated" }))).toBe(
        "bad_format",
      );
    });

    it("reads what a redaction names from where the version puts it", () => {
      const type = "m.room.redaction";
      const inContent = id === "11" || id === "12";
      const topLevel = basePdu(id, { type, redacts: "$top" });
      const content = basePdu(id, { type, content: { redacts: "$content" } });
      expect(valueOf(parsePdu(rules, topLevel)).redacts).toBe(inContent ? undefined : "$top");
      expect(valueOf(parsePdu(rules, content)).redacts).toBe(inContent ? "$content" : undefined);
      expect(
        valueOf(parsePdu(rules, changed(topLevel, { redacts: 1, content: { redacts: 1 } }))).redacts,
      ).toBeUndefined();
      const other = basePdu(id, { redacts: "$top", content: { redacts: "$content" } });
      expect(valueOf(parsePdu(rules, other)).redacts).toBeUndefined();
    });

    it("uses a known id where ids are computed", () => {
      const eventId = `$${hash43("k")}`;
      expect(valueOf(parsePdu(rules, basePdu(id), { eventId })).eventId).toBe(eventId);
    });
  });

describe("room ids, one after the other", () => {
  it.each(["10", "12"])("are judged by the form of their own version, %s first", (first) => {
    const other = first === "10" ? "12" : "10";
    const valid = (id: string): JsonObject => basePdu(id);
    const foreign = (id: string): JsonObject =>
      basePdu(id, { room_id: basePdu(id === "10" ? "12" : "10")["room_id"] ?? "" });
    for (const id of [first, first, other, first]) {
      expect(parsePdu(rulesOf(id), valid(id)).ok).toBe(true);
      expect(codeOf(parsePdu(rulesOf(id), foreign(id)))).toBe("bad_identifier");
      expect(codeOf(parsePdu(rulesOf(id), basePdu(id, { room_id: "!" })))).toBe("bad_identifier");
      expect(parsePdu(rulesOf(id), valid(id)).ok).toBe(true);
    }
  });
});

describe("create events and the room id", () => {
  const create = (id: string, changes: Changes = {}): JsonObject =>
    basePdu(id, { type: "m.room.create", state_key: "", content: {}, prev_events: [], auth_events: [], ...changes });

  it("version 12 needs no room id: it is the event's own hash [cap:version-12 v:12]", () => {
    const pdu = valueOf(parsePdu(rulesOf("12"), create("12", { room_id: undefined })));
    expect(pdu.roomId).toBe(`!${pdu.eventId.slice(1)}`);
    expect(pdu.hasRoomId).toBe(false);
  });
  it("version 12 leaves a stray room id to the authorisation rules, but not one of another type", () => {
    // Rule 1.2 rejects it; as a PDU it is well formed, whatever room it names.
    for (const room_id of [roomOf("12"), "!room:a.example", "anything"]) {
      const pdu = valueOf(parsePdu(rulesOf("12"), create("12", { room_id })));
      expect(pdu).toMatchObject({ roomId: room_id, hasRoomId: true });
    }
    for (const room_id of [null, 1, {}]) {
      expect(codeOf(parsePdu(rulesOf("12"), create("12", { room_id })))).toBe("bad_format");
    }
  });
  for (const id of ALL.filter((version) => version !== "12")) {
    it(`version ${id} demands it [cap:pdu-format v:${id}]`, () => {
      expect(codeOf(parsePdu(rulesOf(id), create(id, { room_id: undefined })))).toBe("bad_format");
      expect(codeOf(parsePdu(rulesOf(id), create(id)))).toBeUndefined();
    });
  }
});

/** The event with its body filled so that its canonical form takes exactly `bytes`. */
function sized(event: JsonObject, bytes: number, fill = "a"): JsonObject {
  const empty = changed(event, { content: { body: "" } });
  const free = bytes - encodeCanonicalBytes(empty).length;
  const width = new TextEncoder().encode(fill).length;
  const body = fill.repeat(Math.floor(free / width)) + "a".repeat(free % width);
  const result = changed(event, { content: { body } });
  if (encodeCanonicalBytes(result).length !== bytes) throw new Error("the size is wrong");
  return result;
}

for (const id of ALL)
  describe(`the size of a PDU in version ${id} [cap:limits v:${id}]`, () => {
    const rules = rulesOf(id);
    const member = { type: "m.room.member", state_key: "@alice:a.example" };

    it.each(["a", "é", "本", "😀"])("counts bytes of %j: 65,536 pass, 65,537 fail", (fill) => {
      const base = basePdu(id, { unsigned: {} });
      const fits = sized(base, MAX_PDU_BYTES, fill);
      expect(codeOf(parsePdu(rules, fits))).toBeUndefined();
      expect(codeOf(parsePduText(rules, ` ${JSON.stringify(fits, undefined, 1)}`))).toBeUndefined();
      expect(codeOf(parsePdu(rules, sized(base, MAX_PDU_BYTES + 1, fill)))).toBe("too_large");
      expect(MAX_PDU_BYTES).toBe(65_536);
    });

    it("counts an empty `unsigned` where there is none, as Synapse does", () => {
      const room = MAX_PDU_BYTES - ',"unsigned":{}'.length;
      expect(codeOf(parsePdu(rules, sized(basePdu(id), room)))).toBeUndefined();
      expect(codeOf(parsePdu(rules, sized(basePdu(id), room + 1)))).toBe("too_large");
    });

    it("counts escapes as they are written", () => {
      const quotes = { content: { body: '"'.repeat(33_000) } };
      expect(codeOf(parsePdu(rules, basePdu(id, quotes)))).toBe("too_large");
    });

    it("counts `unsigned` only as far as it is kept", () => {
      const junk: JsonObject = { age: 1, "org.example.relay": "x".repeat(70_000), invite_room_state: [] };
      const kept = sized(basePdu(id, { unsigned: { age: 1 } }), MAX_PDU_BYTES);
      const pdu = valueOf(parsePdu(rules, changed(kept, { unsigned: junk })));
      expect(pdu.json).toEqual(kept);
      const over = sized(basePdu(id, { unsigned: { age: 1 } }), MAX_PDU_BYTES + 1);
      expect(codeOf(parsePdu(rules, changed(over, { unsigned: junk })))).toBe("too_large");
      const invited = sized(
        basePdu(id, { ...member, unsigned: { invite_room_state: ["x".repeat(9000)] } }),
        MAX_PDU_BYTES,
      );
      expect(codeOf(parsePdu(rules, invited))).toBeUndefined();
      expect(codeOf(parsePdu(rules, sized(invited, MAX_PDU_BYTES + 1)))).toBe("too_large");
    });

    it("keeps stripped state on members only and leaves the input alone", () => {
      const unsigned = { age: 3, invite_room_state: [1], knock_room_state: [2], prev_content: {}, constructor: 1 };
      const given = Object.freeze(basePdu(id, { ...member, unsigned: Object.freeze(unsigned) }));
      expect(valueOf(parsePdu(rules, given)).json["unsigned"]).toEqual({
        age: 3,
        invite_room_state: [1],
        knock_room_state: [2],
      });
      expect(given["unsigned"]).toBe(unsigned);
      expect(valueOf(parsePdu(rules, basePdu(id, { unsigned }))).json["unsigned"]).toEqual({ age: 3 });
      const minimal = basePdu(id, { unsigned: { age: 3 } });
      expect(valueOf(parsePdu(rules, minimal)).json).toBe(minimal);
      for (const wrong of [null, "x", [], 1]) {
        expect(codeOf(parsePdu(rules, basePdu(id, { unsigned: wrong })))).toBe("bad_format");
      }
    });
  });

for (const id of ALL)
  describe(`255 in version ${id} [cap:limits v:${id}]`, () => {
    const rules = rulesOf(id);
    const strict = BYTES_DROPPED.includes(id);
    const fields: readonly (readonly [key: string, before: string, after: string])[] = [
      ["type", "", ""],
      ["state_key", "", ""],
      ["sender", "@", ":a.example"],
      ...(id === "12" ? [] : [["room_id", "!", ":a.example"] as const]),
      ...(PAIRS.includes(id) ? [["event_id", "$", ":a.example"] as const] : []),
    ];
    const filled = (before: string, after: string, bytes: number, char: string): string => {
      const free = bytes - before.length - after.length;
      const width = new TextEncoder().encode(char).length;
      return before + char.repeat(Math.floor(free / width)) + "a".repeat(free % width) + after;
    };

    it.each(fields)("`%s` may take 255 bytes", (key, before, after) => {
      for (const char of ["a", "é", "😀"]) {
        const pdu = valueOf(parsePdu(rules, basePdu(id, { [key]: filled(before, after, 255, char) })));
        expect(pdu.rejectedForSize, char).toBeUndefined();
      }
    });
    it.each(fields)("`%s` of 256 characters is dropped", (key, before, after) => {
      for (const value of [
        filled(before, after, 256, "a"),
        before + "é".repeat(256 - before.length - after.length) + after,
      ]) {
        expect(codeOf(parsePdu(rules, basePdu(id, { [key]: value })))).toBe("too_large");
      }
    });
    it.each(fields)(
      `\`%s\` of 256 bytes in fewer characters is ${strict ? "dropped" : "kept and rejected"}`,
      (key, before, after) => {
        for (const char of ["é", "😀"]) {
          const result = parsePdu(rules, basePdu(id, { [key]: filled(before, after, 256, char) }));
          if (strict) expect(codeOf(result)).toBe("too_large");
          else
            expect(valueOf(result).rejectedForSize).toMatchObject({
              code: "too_large",
              rule: "client-server-api Size limits",
            });
          if (!strict) expect(valueOf(result).rejectedForSize?.reason).toContain(`\`${key}\``);
        }
      },
    );
    it("counts characters, not UTF-16 units", () => {
      // 130 emoji: 260 units, 130 characters, 520 bytes.
      const result = parsePdu(rules, basePdu(id, { type: "😀".repeat(130) }));
      expect(result.ok).toBe(!strict);
    });
    if (!strict)
      it("still checks the other identifiers of an event that is rejected for size", () => {
        const long = { state_key: "é".repeat(200) };
        expect(codeOf(parsePdu(rules, basePdu(id, { ...long, sender: "nobody" })))).toBe("bad_identifier");
        expect(codeOf(parsePdu(rules, basePdu(id, { ...long, room_id: "nowhere" })))).toBe("bad_identifier");
        if (PAIRS.includes(id)) {
          expect(codeOf(parsePdu(rules, basePdu(id, { ...long, event_id: "nothing" })))).toBe("bad_identifier");
        }
        expect(valueOf(parsePdu(rules, basePdu(id, long))).rejectedForSize?.code).toBe("too_large");
      });
    if (!strict)
      it("is dropped when one field is too long in characters, another in bytes", () => {
        const both = { sender: `@${"é".repeat(200)}:a.example`, type: "a".repeat(256) };
        expect(codeOf(parsePdu(rules, basePdu(id, both)))).toBe("too_large");
      });
  });

for (const id of ALL)
  describe(`numbers as they are written in version ${id}`, () => {
    const rules = rulesOf(id);
    const text = (value: string): string => encodeCanonical(basePdu(id)).replace('"hello"', value);
    const tag = LAX.includes(id) ? "lenient-json" : "strict-json";

    it.each(["1.0", "1e2", "1E2", "9007199254740992", "-9007199254740992", "1.5", "-0.0"])(
      `%s in content [cap:${tag} v:${id}]`,
      (written) => {
        const result = parsePduText(rules, text(written));
        if (!LAX.includes(id)) expect(codeOf(result)).toBe("bad_json");
        else expect(valueOf(result).content["body"]).not.toBe("hello");
      },
    );
    it(`-0 [cap:${tag} v:${id}]`, () => {
      const result = parsePduText(rules, text("-0"));
      if (LAX.includes(id)) expect(valueOf(result).content["body"]).toBe(0);
      else expect(codeOf(result)).toBe("bad_json");
    });
    if (LAX.includes(id))
      it("keeps the token of a float and the digits of an integer", () => {
        expect(valueOf(parsePduText(rules, text("1.50"))).content["body"]).toEqual(new JsonFloat(1.5, "1.50"));
        expect(valueOf(parsePduText(rules, text("9223372036854775807"))).content["body"]).toBe(9223372036854775807n);
        expect(codeOf(parsePduText(rules, text("1e400")))).toBe("bad_json");
      });
    it("lets the last of two equal keys win", () => {
      const doubled = encodeCanonical(basePdu(id)).replace('"depth":5', '"depth":null,"depth":7');
      expect(valueOf(parsePduText(rules, doubled)).depth).toBe(7);
      const spoiled = encodeCanonical(basePdu(id)).replace('"depth":5', '"depth":7,"depth":null');
      expect(codeOf(parsePduText(rules, spoiled))).toBe("bad_format");
    });
    it("drops lone surrogates", () => {
      expect(codeOf(parsePduText(rules, text('"\\ud800"')))).toBe("bad_json");
      expect(codeOf(parsePdu(rules, basePdu(id, { content: { body: "\ud800" } })))).toBe("bad_json");
    });
  });

describe("hostile nesting", () => {
  it.each(["1", "10"])("version %s", (id) => {
    const nested = (levels: number, end = "]".repeat(levels)): string =>
      encodeCanonical(basePdu(id)).replace('"hello"', "[".repeat(levels) + end);
    expect(valueOf(parsePduText(rulesOf(id), nested(10_000))).type).toBe("m.room.message");
    expect(codeOf(parsePduText(rulesOf(id), nested(40_000)))).toBe("too_large");
    expect(codeOf(parsePduText(rulesOf(id), nested(500_000, "")))).toBe("bad_json");
    expect(codeOf(parsePduText(rulesOf(id), nested(1_000_001)))).toBe("too_large");
  });
});

describe("redactsOf", () => {
  it("reads nothing from content that is no object", () => {
    for (const content of [null, "x", ["redacts"]]) {
      expect(redactsOf(rulesOf("11"), { type: "m.room.redaction", content })).toBeUndefined();
    }
  });
});

describe("readPdu", () => {
  it("takes what the parsers made, without another check", () => {
    expect(valueOf(readPdu(rulesOf("10"), basePdu("10")))).toEqual(valueOf(parsePdu(rulesOf("10"), basePdu("10"))));
    expect(codeOf(readPdu(rulesOf("4"), basePdu("4", { depth: 2n ** 53n })))).toBe("bad_format");
    expect(codeOf(readPdu(rulesOf("4"), basePdu("4", { depth: new JsonFloat(5, "5.0") })))).toBe("bad_format");
    expect(codeOf(readPdu(rulesOf("4"), basePdu("4", { content: new JsonFloat(5, "5.0") as never })))).toBe(
      "bad_format",
    );
  });
  it("is not fooled by names that every object inherits", () => {
    const bare = basePdu("10", { type: "constructor", state_key: "__proto__", content: { toString: 1 } });
    expect(valueOf(readPdu(rulesOf("10"), bare))).toMatchObject({ type: "constructor", stateKey: "__proto__" });
    const inherited = Object.create({ type: "m.room.message", sender: "@a:b" }) as JsonObject;
    expect(codeOf(readPdu(rulesOf("10"), inherited))).toBe("bad_format");
  });
});
