import { describe, expect, it } from "vitest";
import { encodeUnpadded } from "../../src/crypto/index.js";
import { signEvent } from "../../src/event/index.js";
import { answerLine, readKeys } from "../../src/inspect/oracle.js";
import { encodeCanonical } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import { createRegistry, defineRoomVersion, deriveRules, roomVersions } from "../../src/versions/index.js";
import { resolveV2 } from "../../src/stateres/index.js";
import { version } from "../../src/facade.js";
import {
  ALL,
  basePdu,
  changed,
  hash43,
  keyOf,
  LAX,
  PAIRS,
  publicKey,
  roomOf,
  rulesOf,
  valueOf,
} from "../support/event.js";

const key = keyOf("a.example", 1);

interface Answer {
  readonly id: unknown;
  readonly ok?: unknown;
  readonly error?: string;
  readonly code?: string;
}

const ask = (request: unknown, registry = roomVersions): Answer =>
  JSON.parse(answerLine(typeof request === "string" ? request : JSON.stringify(request), registry)) as Answer;
const okOf = (request: JsonObject): unknown => {
  const answer = ask(request);
  expect(answer.error).toBeUndefined();
  return answer.ok;
};
const codeOf = (request: unknown): string | undefined => {
  const answer = ask(request);
  expect(Object.hasOwn(answer, "ok")).toBe(false);
  expect(answer.error).toContain(" ");
  return answer.code;
};

describe("lines", () => {
  it.each(["", "{", "nonsense", '{"id":1,"op":"redact"', '{"id":1e400}', '{"id":"\\ud800"}', "{} {}"])(
    "%j is not JSON",
    (line) => {
      expect(ask(line)).toMatchObject({ id: null, code: "bad_json" });
    },
  );
  it.each(["null", "1", "[]", '"canonical"'])("%s is no request", (line) => {
    expect(ask(line)).toEqual({ id: null, error: "a request is a JSON object", code: "bad_request" });
  });
  it("answers deep nesting", () => {
    expect(ask("[".repeat(1_100_000))).toMatchObject({ id: null, code: "too_large" });
    const deep = `{"id":1,"op":"canonical","value":${"[".repeat(5000)}${"]".repeat(5000)}}`;
    expect(ask(deep).ok).toBe("[".repeat(5000) + "]".repeat(5000));
  });
  it("echoes ids exactly, whatever they are", () => {
    const ids = [
      "1",
      '"x"',
      "null",
      "true",
      "12345678901234567890123",
      "-9007199254740993",
      '{"a":[1]}',
      '"\\u2028é😀"',
      "[]",
    ];
    for (const id of ids) {
      const answer = answerLine(`{"id":${id},"op":"canonical","value":1}`);
      expect(answer).toBe(`{"id":${id.replace("\\u2028", "\u2028")},"ok":"1"}`);
    }
    expect(answerLine('{"op":"canonical","value":1}')).toBe('{"id":null,"ok":"1"}');
    expect(answerLine('{"id":12345678901234567890123,"op":"no"}')).toMatch(/"id":12345678901234567890123\}$/);
  });
  it("answers on one line", () => {
    const answer = answerLine(JSON.stringify({ id: "a\nb", op: "canonical", value: "c\r\nd" }));
    expect(answer).not.toMatch(/[\r\n]/);
    expect(JSON.parse(answer)).toEqual({ id: "a\nb", ok: '"c\\r\\nd"' });
  });
  it.each([undefined, null, 1, "", "Canonical", "constructor", "__proto__", "toString"])("%j is no op", (op) => {
    const answer = ask({ id: 7, ...(op === undefined ? {} : { op }) });
    expect(answer).toMatchObject({ id: 7, code: "bad_request" });
    for (const name of [
      "canonical",
      "redact",
      "content_hash",
      "event_id",
      "sign",
      "verify",
      "validate",
      "auth_types",
      "auth",
      "resolve",
      "identifier",
    ]) {
      expect(answer.error).toContain(name);
    }
  });
});

const needVersion = [
  "redact",
  "content_hash",
  "event_id",
  "sign",
  "verify",
  "validate",
  "auth_types",
  "auth",
  "resolve",
];

describe("room versions", () => {
  it.each(needVersion)("%s needs one that exists", (op) => {
    const rest: JsonObject = {
      event: basePdu("10"),
      seed: encodeUnpadded(key.seed),
      server: "a",
      key_id: "ed25519:1",
      keys: {},
      auth_events: [],
      state_sets: [],
      events: [],
    };
    for (const room_version of ["13", "", "__proto__", "v10"]) {
      expect(codeOf({ op, ...rest, room_version }), room_version).toBe("unknown_room_version");
    }
    for (const room_version of [null, 10, {}]) expect(codeOf({ op, ...rest, room_version })).toBe("bad_request");
    expect(codeOf({ op, ...rest })).toBe("bad_request");
  });
  it.each(needVersion.filter((op) => op !== "resolve"))("%s needs an event", (op) => {
    const rest = {
      op,
      room_version: "10",
      seed: encodeUnpadded(key.seed),
      server: "a",
      key_id: "b",
      keys: {},
      auth_events: [],
    };
    expect(codeOf(rest)).toBe("bad_request");
    for (const event of [null, 1, "x", []]) expect(codeOf({ ...rest, event })).toBe("bad_request");
  });
  it("are those of the caller's registry, in every operation", () => {
    const own = defineRoomVersion(deriveRules(rulesOf("1"), "org.example.lax", {}), resolveV2);
    const registry = createRegistry([own]);
    const room_version = "org.example.lax";
    expect(ask({ op: "canonical", room_version, raw: "1.0" }, registry).ok).toBe("1.0");
    expect(ask({ op: "redact", room_version, event: { type: "x" } }, registry).ok).toEqual({ type: "x" });
    expect(ask({ op: "identifier", kind: "event", value: "$x:y", room_version }, registry).ok).toMatchObject({
      valid: true,
    });
    expect(ask({ op: "identifier", kind: "event", value: `$${hash43("x")}`, room_version }, registry).ok).toMatchObject(
      { valid: false },
    );
    for (const op of ["canonical", "identifier"]) {
      const request = { op, value: "x", kind: "user", room_version: "10" };
      expect(ask(request, registry)).toMatchObject({ code: "unknown_room_version" });
      expect(ask({ ...request, room_version: 10 }, registry)).toMatchObject({ code: "bad_request" });
    }
  });
});

describe("canonical [cap:canonical-json]", () => {
  it("writes values and raw text", () => {
    expect(okOf({ op: "canonical", value: { b: 1, a: "é" } })).toBe('{"a":"é","b":1}');
    expect(okOf({ op: "canonical", raw: ' {"b": 1, "a": 2} ' })).toBe('{"a":2,"b":1}');
    expect(okOf({ op: "canonical", value: null })).toBe("null");
    expect(okOf({ op: "canonical", raw: "2", value: "ignored" })).toBe("2");
  });
  it("is strict unless a version is lax", () => {
    for (const raw of ["1.0", "1e2", "-0", "9007199254740992"]) {
      expect(codeOf({ op: "canonical", raw })).toBe("bad_json");
      for (const id of ALL) {
        const request = { op: "canonical", raw, room_version: id };
        if (LAX.includes(id)) expect(okOf(request)).toBe({ "1e2": "100.0", "-0": "0" }[raw] ?? raw);
        else expect(codeOf(request)).toBe("bad_json");
      }
    }
    expect(codeOf('{"op":"canonical","value":1.0}')).toBe("bad_json");
    expect(codeOf('{"op":"canonical","value":9007199254740992}')).toBe("bad_json");
    expect(ask('{"op":"canonical","value":[1.0,9007199254740992],"room_version":"5"}').ok).toBe(
      "[1.0,9007199254740992]",
    );
  });
  it("refuses requests without either, and raw that is no text", () => {
    expect(codeOf({ op: "canonical" })).toBe("bad_request");
    expect(codeOf({ op: "canonical", raw: 1 })).toBe("bad_request");
    expect(codeOf({ op: "canonical", raw: "{" })).toBe("bad_json");
  });
});

for (const id of ALL) {
  const room_version = id;
  const api = version(id);
  const event = basePdu(id);
  const own = PAIRS.includes(id) ? "$own:a.example" : `$${hash43("k")}`;

  describe(`operations in version ${id}`, () => {
    it("redact, content_hash, event_id, auth_types", () => {
      expect(okOf({ op: "redact", room_version, event })).toEqual(api.redact(event));
      expect(okOf({ op: "content_hash", room_version, event })).toBe(api.contentHash(event));
      expect(okOf({ op: "event_id", room_version, event })).toBe(api.eventId(event));
      expect(okOf({ op: "event_id", room_version, event: { ...event, event_id: "$given" } })).toBe("$given");
      expect(okOf({ op: "auth_types", room_version, event })).toEqual(api.authTypes(event));
      expect(codeOf({ op: "auth_types", room_version, event: {} })).toBe("bad_request");
      const odd = ask({ op: "event_id", room_version, event: changed(event, { event_id: 1 }) });
      if (PAIRS.includes(id)) expect(odd).toMatchObject({ code: "bad_request" });
      else expect(odd.ok).toBe(api.eventId(event));
    });
    it("sign, then verify", () => {
      const seed = encodeUnpadded(key.seed);
      const signed = okOf({
        op: "sign",
        room_version,
        event,
        server: "a.example",
        key_id: "ed25519:1",
        seed,
      }) as JsonObject;
      expect(signed).toEqual(signEvent(rulesOf(id), event, key));
      const verify = (pdu: JsonObject, keys: JsonValue): unknown =>
        okOf({ op: "verify", room_version, event: pdu, keys });
      const encoded = encodeUnpadded(publicKey(key));
      const good = { signatures: true, content_hash: true, servers: { "a.example": true } };
      expect(verify(signed, { "a.example": { "ed25519:1": encoded } })).toEqual(good);
      expect(verify(signed, { "a.example": { "ed25519:1": { key: encoded } } })).toEqual(good);
      expect(verify(changed(signed, { content: {} }), { "a.example": { "ed25519:1": encoded } })).toEqual({
        ...good,
        content_hash: false,
      });
      expect(verify(changed(signed, { depth: 9 }), { "a.example": { "ed25519:1": encoded } })).toEqual({
        signatures: false,
        content_hash: false,
        servers: { "a.example": "the signature by ed25519:1 does not verify" },
      });
      expect(verify(signed, {})).toMatchObject({
        signatures: false,
        servers: { "a.example": "unknown key ed25519:1" },
      });
      const expired = verify(signed, { "a.example": { "ed25519:1": { key: encoded, valid_until_ts: 1 } } });
      expect(expired).toMatchObject({ signatures: ["1", "2", "3", "4"].includes(id) });
      expect(codeOf({ op: "verify", room_version, event: signed })).toBe("bad_request");
      expect(codeOf({ op: "verify", room_version, event: {}, keys: {} })).toBe("bad_request");
    });
    it(`validate [cap:pdu-format v:${id}]`, () => {
      expect(okOf({ op: "validate", room_version, event })).toEqual({ valid: true });
      expect(okOf({ op: "validate", room_version, event: changed(event, { event_id: own }) })).toEqual({ valid: true });
      expect(okOf({ op: "validate", room_version, raw: encodeCanonical(event) })).toEqual({ valid: true });
      expect(okOf({ op: "validate", room_version, event: changed(event, { depth: null }) })).toEqual({
        valid: false,
        code: "bad_format",
        reason: "`depth` must be an integer from 0 to 2^53-1",
      });
      expect(okOf({ op: "validate", room_version, raw: "[]" })).toMatchObject({ valid: false, code: "bad_format" });
      expect(okOf({ op: "validate", room_version, raw: "{" })).toMatchObject({ valid: false, code: "bad_json" });
      expect(okOf({ op: "validate", room_version, event: changed(event, { sender: "x" }) })).toMatchObject({
        valid: false,
        code: "bad_identifier",
      });
      // The line itself is read without loss, so the version's rules decide about its numbers.
      const fraction = answerLine(
        `{"op":"validate","room_version":"${id}","event":${encodeCanonical(event).replace('"hello"', "1.0")}}`,
      );
      expect(JSON.parse(fraction)).toMatchObject({
        ok: LAX.includes(id) ? { valid: true } : { valid: false, code: "bad_json" },
      });
      // In raw text an id is what it is in a PDU.
      const stray = okOf({ op: "validate", room_version, raw: encodeCanonical(changed(event, { event_id: own })) });
      expect(stray).toMatchObject({ valid: PAIRS.includes(id) });
    });
    it("validate tells what is too large, dropped or only rejected", () => {
      const long = (state_key: string) => okOf({ op: "validate", room_version, event: changed(event, { state_key }) });
      expect(long("x".repeat(256))).toMatchObject({ valid: false, code: "too_large" });
      expect(long("é".repeat(128))).toMatchObject({
        valid: false,
        code: "too_large",
        reason: "`state_key` takes more than 255 bytes",
      });
      expect(long("é".repeat(127))).toEqual({ valid: true });
    });
    it("validate reads a request that is no event", () => {
      expect(codeOf({ op: "validate", room_version, event: 1 })).toBe("bad_request");
      expect(codeOf({ op: "validate", room_version, raw: 1 })).toBe("bad_request");
    });
  });
}

describe("sign", () => {
  const request = {
    op: "sign",
    room_version: "10",
    event: basePdu("10"),
    server: "a.example",
    key_id: "ed25519:1",
    seed: encodeUnpadded(key.seed),
  };
  it("takes a seed of 32 bytes in base64", () => {
    for (const seed of ["", "AAAA", "junk!", encodeUnpadded(new Uint8Array(31)), encodeUnpadded(new Uint8Array(33))]) {
      expect(ask({ ...request, seed })).toMatchObject({
        code: "bad_request",
        error: "`seed` must be 32 bytes in base64",
      });
    }
    expect(codeOf({ ...request, seed: 1 })).toBe("bad_request");
    expect(codeOf({ ...request, server: null })).toBe("bad_request");
    expect(codeOf({ ...request, key_id: 1 })).toBe("bad_request");
  });
  it("keeps other signatures", () => {
    const event = basePdu("10", { signatures: { "b.example": { "ed25519:9": "abc" } } });
    expect(okOf({ ...request, event })).toMatchObject({ signatures: { "b.example": { "ed25519:9": "abc" } } });
  });
});

describe("keys of verify", () => {
  it("come as base64 or with a validity; what is neither is left out", () => {
    const encoded = encodeUnpadded(publicKey(key));
    const find = readKeys({
      a: {
        plain: encoded,
        full: { key: encoded, valid_until_ts: 5 },
        forever: { key: encoded, valid_until_ts: "5" },
        junk: "!",
        none: {},
        odd: 1,
        nil: null,
      },
      b: "x",
      c: null,
      "a,b": { c: encoded },
    });
    const bytes = publicKey(key);
    expect(find("a", "plain")).toEqual({ key: bytes });
    expect(find("a", "full")).toEqual({ key: bytes, validUntilTs: 5 });
    expect(find("a", "forever")).toEqual({ key: bytes });
    for (const keyId of ["junk", "none", "odd", "nil", "unknown"]) expect(find("a", keyId)).toBeUndefined();
    expect([find("b", "0"), find("c", "x"), find("d", "x")]).toEqual([undefined, undefined, undefined]);
    expect(find("a,b", "c")).toEqual({ key: bytes });
    expect(find("a", "b,c")).toBeUndefined();
  });
});

const createIdOf = (id: string): string => (id === "12" ? `$${hash43("r")}` : "$create");

/** A small room of version 10 or 12 with given ids. */
const createOf = (id: string): JsonObject => ({
  event_id: createIdOf(id),
  type: "m.room.create",
  state_key: "",
  sender: "@alice:a.example",
  content: { creator: "@alice:a.example" },
  auth_events: [],
  prev_events: [],
  ...(id === "12" ? {} : { room_id: roomOf(id) }),
});
const eventIn = (id: string, event_id: string, parts: JsonObject): JsonObject => ({
  event_id,
  room_id: roomOf(id),
  sender: "@alice:a.example",
  prev_events: ["$create"],
  auth_events: id === "12" ? ["$join"] : ["$create", "$join"],
  origin_server_ts: 1,
  ...parts,
});
const joinIn = (id: string): JsonObject =>
  eventIn(id, "$join", {
    type: "m.room.member",
    state_key: "@alice:a.example",
    content: { membership: "join" },
    auth_events: id === "12" ? [] : ["$create"],
  });
const nameIn = (id: string, event_id: string, ts = 1): JsonObject =>
  eventIn(id, event_id, { type: "m.room.name", state_key: "", content: { name: event_id }, origin_server_ts: ts });

describe("auth", () => {
  const [create, join, name] = [createOf("10"), joinIn("10"), nameIn("10", "$name")];
  const request: JsonObject = { op: "auth", room_version: "10", event: name, auth_events: [create, join] };

  it("answers with the rule, and the reason where it refuses", () => {
    expect(okOf(request)).toEqual({ allowed: true, rule: "v10 rule 10" });
    expect(okOf({ ...request, event: { ...name, sender: "@eve:a.example", auth_events: ["$create"] } })).toEqual({
      allowed: false,
      rule: "v10 rule 5",
      reason: expect.stringMatching(/\w/) as string,
    });
    expect(okOf({ ...request, rejected: ["$join"] })).toMatchObject({ allowed: false, rule: "v10 rule 2.3" });
    expect(okOf({ ...request, rejected: [] })).toMatchObject({ allowed: true });
  });
  it("judges against a state that is given", () => {
    expect(okOf({ ...request, state: [create, join] })).toMatchObject({ allowed: true });
    expect(okOf({ ...request, state: [create] })).toMatchObject({ allowed: false, rule: "v10 rule 5" });
  });
  it("says which events are missing", () => {
    expect(ask({ ...request, auth_events: [create] })).toEqual({
      id: null,
      code: "needs",
      error: "these events are missing: $join",
    });
  });
  it("takes the create event of version 12 apart", () => {
    const twelve = { op: "auth", room_version: "12", event: nameIn("12", "$name"), auth_events: [joinIn("12")] };
    expect(okOf({ ...twelve, create: createOf("12") })).toMatchObject({ allowed: true, rule: "v12 rule 11" });
    expect(codeOf(twelve)).toBe("needs");
  });
  it("refuses requests of wrong types", () => {
    for (const wrong of [
      { auth_events: {} },
      { auth_events: null },
      { auth_events: [1] },
      { state: {} },
      { state: [null] },
      { rejected: "$x" },
      { rejected: [1] },
      { create: 1 },
      { create: null },
    ]) {
      expect(codeOf({ ...request, ...wrong }), JSON.stringify(wrong)).toBe("bad_request");
    }
  });
});

describe("resolve", () => {
  for (const id of ["1", "2", "10", "11", "12", "I.1"]) {
    const createId = createIdOf(id);
    const events = [createOf(id), joinIn(id), nameIn(id, "$x", 3), nameIn(id, "$y", 4)];
    const state_sets = [
      [createId, "$join", "$x"],
      [createId, "$join", "$y"],
    ];
    const request: JsonObject = { op: "resolve", room_version: id, events, state_sets };
    it(`answers with sorted ids in version ${id}`, () => {
      const resolved = okOf(request) as readonly string[];
      expect(resolved).toEqual([...resolved].sort());
      expect(resolved).toContain(createId);
      if (id !== "1") expect(resolved).toEqual([createId, "$join", "$y"].sort());
      expect(okOf({ ...request, trace: "yes" })).toEqual(resolved);
      expect(okOf({ ...request, trace: false, rejected: [] })).toEqual(resolved);
    });
    it(`explains itself in version ${id}`, () => {
      const traced = okOf({ ...request, trace: true });
      expect(traced).toMatchObject({
        state: okOf(request),
        trace: { algorithm: id === "1" ? "v1" : id === "12" ? "v2.1" : "v2", unconflictedKeys: 2 },
      });
      expect(valueOf(roomVersions.get(id)).id).toBe(id);
    });
  }

  const request: JsonObject = {
    op: "resolve",
    room_version: "10",
    events: [createOf("10"), joinIn("10"), nameIn("10", "$x"), nameIn("10", "$y")],
    state_sets: [
      ["$create", "$join", "$x"],
      ["$create", "$join", "$y"],
    ],
  };
  it("traces levels beyond 2^53 of old rooms", () => {
    const power = (event_id: string, level: string, ts: number): JsonObject =>
      eventIn("9", event_id, {
        type: "m.room.power_levels",
        state_key: "",
        content: { users: { "@alice:a.example": level } },
        origin_server_ts: ts,
      });
    const events = [
      createOf("9"),
      joinIn("9"),
      power("$p", "99999999999999999999", 1),
      {
        ...power("$q", "99999999999999999999", 2),
        auth_events: ["$create", "$join", "$p"],
      },
      { ...power("$r", "5", 3), auth_events: ["$create", "$join", "$p"] },
    ];
    const state_sets = [
      ["$create", "$join", "$q"],
      ["$create", "$join", "$r"],
    ];
    const traced = okOf({ op: "resolve", room_version: "9", events, state_sets, trace: true }) as {
      readonly trace: { readonly checks: readonly JsonObject[] };
    };
    expect(traced.trace.checks.map(({ senderLevel }) => senderLevel)).toContain("99999999999999999999");
  });
  it.each(["1", "2", "5"])("traces depths and times beyond 2^53 of old rooms, version %s", (id) => {
    const deep = (event_id: string): string =>
      JSON.stringify({ ...nameIn(id, event_id, 7), depth: 8 })
        .replace('"depth":8', '"depth":9223372036854775807')
        .replace(":7,", ":9007199254740993,");
    const events = `[${JSON.stringify(createOf(id))},${JSON.stringify(joinIn(id))},${deep("$x")},${deep("$y")}]`;
    const sets = '[["$create","$join","$x"],["$create","$join","$y"]]';
    const line = `{"op":"resolve","room_version":"${id}","trace":true,"state_sets":${sets},"events":${events}}`;
    expect(ask(line)).toMatchObject({ ok: { trace: { algorithm: id === "1" ? "v1" : "v2" } } });
  });
  it("names auth events that are missing below the states", () => {
    const bare = [
      ["$create", "$x"],
      ["$create", "$y"],
    ];
    const events = [createOf("10"), nameIn("10", "$x"), nameIn("10", "$y")];
    expect(ask({ ...request, state_sets: bare, events })).toMatchObject({
      code: "needs",
      error: "these events are missing: $join",
    });
  });
  it("tells nothing of an error inside", () => {
    const broken = defineRoomVersion(deriveRules(rulesOf("10"), "broken", {}), () => {
      throw new TypeError("at /some/path");
    });
    expect(ask({ ...request, id: 5, room_version: "broken" }, createRegistry([broken]))).toEqual({
      id: 5,
      error: "the request could not be answered",
      code: "internal",
    });
  });
  it("names missing events, cycles and foreign rooms", () => {
    expect(ask({ ...request, events: [createOf("10"), joinIn("10")] })).toEqual({
      id: null,
      code: "needs",
      error: "these events are missing: $x, $y",
    });
    const knot = [
      changed(nameIn("10", "$x"), { auth_events: ["$y"] }),
      changed(nameIn("10", "$y"), { auth_events: ["$x"] }),
    ];
    expect(codeOf({ ...request, events: [createOf("10"), joinIn("10"), ...knot] })).toBe("cycle");
    const foreign = changed(nameIn("10", "$y"), { room_id: "!other:a.example" });
    expect(codeOf({ ...request, events: [createOf("10"), joinIn("10"), nameIn("10", "$x"), foreign] })).toBe(
      "wrong_room",
    );
  });
  it("refuses requests of wrong types", () => {
    const message = eventIn("10", "$m", { type: "m.room.message", content: {} });
    const wrong: readonly JsonObject[] = [
      { state_sets: null },
      { state_sets: {} },
      { state_sets: ["$x"] },
      { state_sets: [null] },
      { state_sets: [[1]] },
      { events: null },
      { events: {} },
      { events: [1] },
      { events: [{}] },
      { rejected: {} },
      { rejected: [null] },
      { events: [message], state_sets: [["$m"]] },
    ];
    for (const changes of wrong)
      expect(codeOf({ ...request, ...changes }), JSON.stringify(changes)).toBe("bad_request");
  });
});

describe("identifier [cap:identifiers]", () => {
  const identifier = (kind: string, value: string, more: JsonObject = {}): unknown =>
    okOf({ op: "identifier", kind, value, ...more });
  it("answers with the parts", () => {
    expect(identifier("user", "@a:b.example:8448")).toEqual({
      valid: true,
      id: "@a:b.example:8448",
      localpart: "a",
      server: "b.example:8448",
    });
    expect(identifier("room", "!r:b")).toEqual({ valid: true, id: "!r:b", opaque: "r", server: "b" });
    expect(identifier("room", `!${hash43("r")}`)).toEqual({ valid: true, id: `!${hash43("r")}`, opaque: hash43("r") });
    expect(identifier("event", "$e:b")).toMatchObject({ valid: true, opaque: "e", server: "b" });
    expect(identifier("alias", "#a:b")).toEqual({ valid: true, alias: "#a:b", localpart: "a", server: "b" });
    expect(identifier("server", "[::1]:80")).toEqual({
      valid: true,
      name: "[::1]:80",
      host: "[::1]",
      port: 80,
      kind: "ipv6",
    });
    expect(identifier("key", "ed25519:a_1")).toEqual({
      valid: true,
      id: "ed25519:a_1",
      algorithm: "ed25519",
      version: "a_1",
    });
    expect(identifier("version", "I.1")).toEqual({ valid: true });
  });
  it.each(["user", "room", "event", "alias", "server", "key", "version"])("refuses a bad %s with a reason", (kind) => {
    expect(identifier(kind, "? ?")).toEqual({ valid: false, reason: expect.stringMatching(/\w/) as string });
  });
  it("can be strict, and ask for a version's own form", () => {
    expect(identifier("user", "@Ü:b")).toMatchObject({ valid: true });
    expect(identifier("user", "@Ü:b", { strict: true })).toMatchObject({ valid: false });
    expect(identifier("user", "@Ü:b", { strict: 1 })).toMatchObject({ valid: true });
    for (const id of ALL) {
      expect(identifier("room", "!r:b", { room_version: id })).toMatchObject({ valid: id !== "12" });
      expect(identifier("room", `!${hash43("r")}`, { room_version: id })).toMatchObject({ valid: id === "12" });
      expect(identifier("event", "$e:b", { room_version: id })).toMatchObject({ valid: PAIRS.includes(id) });
      expect(identifier("event", `$${hash43("/")}`, { room_version: id })).toMatchObject({ valid: id === "3" });
    }
  });
  it("refuses requests of wrong types", () => {
    for (const wrong of [
      { kind: "group", value: "x" },
      { kind: 1, value: "x" },
      { kind: "user", value: 1 },
      { value: "x" },
      { kind: "user" },
    ]) {
      expect(codeOf({ op: "identifier", ...wrong })).toBe("bad_request");
    }
  });
});
