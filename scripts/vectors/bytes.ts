/** Canonical JSON, redaction, hashes and ids, signatures. */
import { decodeBase64, encodeUnpadded } from "../../src/crypto/base64.js";
import { publicKeyFromSeed } from "../../src/crypto/ed25519.js";
import { answerLine } from "../../src/inspect/oracle.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import type { RoomVersionRules } from "../../src/rules/model.js";
import { signEvent, cosignEvent } from "../../src/event/sign.js";
import { redact } from "../../src/event/redact.js";
import { seal } from "../../src/testing/forge.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { I1, roomPage, sourcesFor, spec, versionOf, versions } from "./model.js";
import type { Vector } from "./model.js";

/** The library's answer to a question, which has to have one. */
function answer(request: JsonObject): JsonValue {
  const { ok, error } = JSON.parse(answerLine(JSON.stringify(request))) as { ok?: JsonValue; error?: string };
  if (ok === undefined) throw new Error(`${JSON.stringify(request)}: ${error ?? ""}`);
  return ok;
}

// Canonical JSON

const canonicalSpec = spec("appendices/#canonical-json", "Canonical JSON");
const grammar = spec("appendices/#grammar", "Canonical JSON, Grammar");

/** JSON text and its canonical form; `undefined`: it has none. The first come from the text's examples. */
const strict: readonly (readonly [name: string, raw: string, expected: string | undefined])[] = [
  ["empty", "{}", "{}"],
  ["sorted-keys", '{"b":"2","a":"1"}', '{"a":"1","b":"2"}'],
  [
    "nested",
    '{ "auth": { "success": true, "mxid": "@john.doe:example.com", "profile": { "display_name": "John Doe", ' +
      '"three_pids": [ { "medium": "email", "address": "john.doe@example.org" } ] } } }',
    '{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":' +
      '"john.doe@example.org","medium":"email"}]},"success":true}}',
  ],
  ["characters-as-they-are", '{"a":"日本語"}', '{"a":"日本語"}'],
  ["keys-by-code-point", '{"本":2,"日":1}', '{"日":1,"本":2}'],
  ["escape-that-need-not-be", '{"a":"\\u65E5"}', '{"a":"日"}'],
  ["null", '{"a":null}', '{"a":null}'],
  ["keys-above-the-surrogates", '{"\u{1f600}":1,"\uff5e":2}', '{"\uff5e":2,"\u{1f600}":1}'],
  ["prefix-first", '{"aa":1,"a":2,"":3}', '{"":3,"a":2,"aa":1}'],
  ["upper-case-first", '{"a":1,"B":2,"_":3}', '{"B":2,"_":3,"a":1}'],
  ["surrogate-pair", '{"a":"\\ud83d\\ude00"}', '{"a":"\u{1f600}"}'],
  ["slash", '{"a":"\\/"}', '{"a":"/"}'],
  ["short-escapes", '{"a":"\\b\\t\\n\\f\\r\\"\\\\"}', '{"a":"\\b\\t\\n\\f\\r\\"\\\\"}'],
  ["long-escapes-made-short", '{"a":"\\u0008\\u000a"}', '{"a":"\\b\\n"}'],
  ["other-control-characters", '{"a":"\\u0000\\u001F"}', '{"a":"\\u0000\\u001f"}'],
  ["delete-and-line-separator", '{"a":"\\u007f\\u2028\\u0085"}', '{"a":"\u007f\u2028\u0085"}'],
  ["white-space", '{\t"a" :\r\n [ 1 , 2 ] }', '{"a":[1,2]}'],
  ["prototype-keys", '{"constructor":1,"__proto__":{"b":1}}', '{"__proto__":{"b":1},"constructor":1}'],
  ["largest-integer", '{"a":9007199254740991}', '{"a":9007199254740991}'],
  ["smallest-integer", '{"a":-9007199254740991}', '{"a":-9007199254740991}'],
  ["too-large", '{"a":9007199254740992}', undefined],
  ["too-small", '{"a":-9007199254740992}', undefined],
  ["fraction", '{"a":1.5}', undefined],
  ["fraction-of-nothing", '{"a":1.0}', undefined],
  ["exponent-with-fraction", '{"a":1.5e1}', undefined],
  ["not-a-number", '{"a":NaN}', undefined],
  ["trailing-comma", '{"a":1,}', undefined],
  ["leading-zero", '{"a":01}', undefined],
];

/** Room versions 1 to 5, where numbers need not be integers: hashed as servers hash them. */
const lax: typeof strict = [
  ["fraction", '{"a":1.5}', '{"a":1.5}'],
  ["large-integer", '{"a":9007199254740993}', '{"a":9007199254740993}'],
  ["fraction-of-nothing", '{"a":1.0}', '{"a":1.0}'],
];

export function canonicalVectors(): readonly Vector[] {
  const of = (rows: typeof strict, room_version: string | undefined): readonly Vector[] =>
    rows.map(([name, raw, ok]): Vector => {
      const scope = room_version === undefined ? {} : { room_version };
      const given = JSON.parse(answerLine(JSON.stringify({ op: "canonical", raw, ...scope }))) as { ok?: string };
      if (given.ok !== ok) throw new Error(`canonical JSON ${name}: ${String(given.ok)}`);
      const source = sourcesFor(room_version ?? "", ok === undefined ? grammar : canonicalSpec);
      const expect = ok === undefined ? { error: true as const } : { ok };
      return {
        id: `canonical-json/${room_version ?? "strict"}/${name}`,
        op: "canonical",
        ...scope,
        raw,
        expect,
        source,
      };
    });
  return [...of(strict, undefined), ...of(lax, "5"), ...of(strict.slice(18, 24), "6"), ...of(strict.slice(18, 24), I1)];
}

// Redaction

/** Every content key that some version keeps, and some that none does. */
const contents: Readonly<Record<string, JsonObject>> = {
  "m.room.member": {
    membership: "invite",
    displayname: "B",
    join_authorised_via_users_server: "@alice:a.example",
    third_party_invite: { display_name: "b…", signed: { mxid: "@bob:b.example", token: "t", signatures: {} } },
  },
  "m.room.create": {
    creator: "@alice:a.example",
    room_version: "x",
    "m.federate": true,
    predecessor: { room_id: "!o" },
  },
  "m.room.join_rules": { join_rule: "restricted", allow: [{ type: "m.room_membership", room_id: "!s" }], x: 1 },
  "m.room.power_levels": {
    ban: 1,
    events: { x: 1 },
    events_default: 2,
    invite: 3,
    kick: 4,
    notifications: { room: 5 },
    redact: 6,
    state_default: 7,
    users: { "@alice:a.example": 100 },
    users_default: 8,
    x: 9,
  },
  "m.room.aliases": { aliases: ["#a:a.example"], x: 1 },
  "m.room.history_visibility": { history_visibility: "shared", x: 1 },
  "m.room.redaction": { redacts: "$other", reason: "x" },
  "m.room.message": { msgtype: "m.text", body: "hello", membership: "join", creator: "x" },
  "m.room.third_party_invite": { display_name: "b…", public_key: "x" },
};

/** A message of room version I.1, whose content is blocks. */
const blocks: JsonObject = {
  "m.text": [{ body: "<b>hello</b>", mimetype: "text/html" }, { body: "hello" }],
  "x.block": { y: [1] },
};

const all: readonly string[] = [...versions, I1];

const contentsOf = (version: string): typeof contents =>
  version === I1 ? { ...contents, "m.message": blocks } : contents;

function redactable(version: string, type: string, content: JsonObject): JsonObject {
  const pairs = versionOf(version).rules.format.references !== "ids";
  const id = (letter: string): JsonValue =>
    pairs ? [`$${letter}:a.example`, { sha256: "x" }] : `$${letter.repeat(43)}`;
  return {
    type,
    // From room version 12 on the create event has no room id: it is one.
    ...(type === "m.room.create" && version === "12" ? {} : { room_id: "!room:a.example" }),
    sender: "@alice:a.example",
    ...(["m.room.message", "m.message", "m.room.redaction"].includes(type) ? {} : { state_key: "" }),
    content,
    depth: 7,
    hashes: { sha256: "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg" },
    signatures: { "a.example": { "ed25519:test": "c2ln" } },
    origin_server_ts: 1_700_000_000_000,
    prev_events: [id("p")],
    auth_events: [id("a"), id("b")],
    prev_state: [],
    origin: "a.example",
    membership: "join",
    redacts: id("r"),
    "x.extra": { y: 1 },
    ...(pairs ? { event_id: "$own:a.example" } : {}),
  };
}

export function redactionVectors(): readonly Vector[] {
  return all.flatMap((room_version) =>
    Object.entries(contentsOf(room_version)).map(([type, content]): Vector => {
      const event = redactable(room_version, type, content);
      const id = `redaction/${room_version}/${type}`;
      const ok = answer({ op: "redact", room_version, event });
      const source = sourcesFor(room_version, spec(roomPage(room_version, "redactions"), "Redactions"));
      return { id, op: "redact", room_version, event, expect: { ok }, source };
    }),
  );
}

// Hashes and ids

function plainEvent(version: string, more: JsonObject = {}): JsonObject {
  const {
    origin: _o,
    membership: _m,
    prev_state: _p,
    redacts: _r,
    ...event
  } = redactable(version, "m.room.message", { body: "hello", msgtype: "m.text" });
  return { ...event, ...more };
}

/** Events of which some part matters to the hashes, or must not. */
function hashable(version: string): Readonly<Record<string, JsonObject>> {
  const floats = versionOf(version).rules.format.numbers !== "strict";
  return {
    plain: plainEvent(version),
    "unsigned-and-signatures-do-not-count": plainEvent(version, {
      unsigned: { age: 1 },
      signatures: { x: { y: "z" } },
    }),
    "characters-beyond-ascii": plainEvent(version, {
      content: { body: "日本 \u{1f600} \u2028", "\uff5e": 1, "\u{1f600}": 2 },
    }),
    "state-event": plainEvent(version, { type: "m.room.name", state_key: "", content: { name: "" } }),
    "kept-content": plainEvent(version, {
      type: "m.room.join_rules",
      state_key: "",
      content: { join_rule: "restricted", allow: [] },
    }),
    ...(version === I1 ? { "content-blocks": plainEvent(version, { type: "m.message", content: blocks }) } : {}),
    ...(floats ? { "a-fraction-and-a-large-integer": plainEvent(version, { content: { f: 1.5, n: 2 ** 60 } }) } : {}),
  };
}

export function idVectors(): readonly Vector[] {
  return all.flatMap((room_version) =>
    Object.entries(hashable(room_version)).flatMap(([name, event]): readonly Vector[] => {
      const hash = answer({ op: "content_hash", room_version, event });
      const hashed = { ...event, hashes: { sha256: hash } };
      const inPdu = versionOf(room_version).rules.format.eventIds === "in-pdu";
      const base = { room_version };
      const vectors: Vector[] = [
        {
          id: `content-hash/${room_version}/${name}`,
          op: "content_hash",
          ...base,
          event,
          expect: { ok: hash },
          source: sourcesFor(
            room_version,
            spec("server-server-api/#calculating-the-content-hash-for-an-event", "Calculating the content hash"),
          ),
        },
      ];
      if (!inPdu)
        vectors.push({
          id: `event-id/${room_version}/${name}`,
          op: "event_id",
          ...base,
          event: hashed,
          expect: { ok: answer({ op: "event_id", ...base, event: hashed }) },
          source: sourcesFor(
            room_version,
            spec("server-server-api/#calculating-the-reference-hash-for-an-event", "Calculating the reference hash"),
            spec(roomPage(room_version, "event-ids"), "Event IDs"),
          ),
        });
      return vectors;
    }),
  );
}

// Signatures

const SERVER = "a.example";
const publicKey = (server: string): string => encodeUnpadded(publicKeyFromSeed(testKeyOf(server).seed));
const keysOf = (...servers: readonly string[]): JsonObject =>
  Object.fromEntries(servers.map((server) => [server, { "ed25519:test": publicKey(server) }]));

interface Check {
  readonly event: JsonObject;
  readonly keys: JsonObject;
  readonly signatures: boolean;
  readonly content_hash: boolean;
}

/** A signature whose first bit is another. */
function spoiled(event: JsonObject): JsonObject {
  const signatures = event["signatures"] as Readonly<Record<string, Readonly<Record<string, string>>>>;
  const bytes = Uint8Array.from(decodeBase64(signatures[SERVER]?.["ed25519:test"] ?? "") ?? []);
  bytes.set([(bytes[0] ?? 0) ^ 1], 0);
  return { ...event, signatures: { [SERVER]: { "ed25519:test": encodeUnpadded(bytes) } } };
}

function checks(rules: RoomVersionRules): Readonly<Record<string, Check>> {
  const good = seal(rules, plainEvent(rules.id, { signatures: {} }), true);
  const keys = keysOf(SERVER);
  const until = (ts: number): JsonObject => ({
    [SERVER]: { "ed25519:test": { key: publicKey(SERVER), valid_until_ts: ts } },
  });
  const valid = { keys, signatures: true, content_hash: true };
  const content = { body: "changed", msgtype: "m.text" };
  const member = plainEvent(rules.id, { type: "m.room.member", state_key: "@alice:a.example", signatures: {} });
  const restricted = { ...member, content: { membership: "join", join_authorised_via_users_server: "@b:b.example" } };
  const alone = signEvent(rules, restricted, testKeyOf(SERVER));
  const both = cosignEvent(rules, alone, testKeyOf("b.example"));
  const two = keysOf(SERVER, "b.example");
  const invited = {
    ...member,
    state_key: "@carol:b.example",
    content: { membership: "invite", third_party_invite: { display_name: "c…", signed: { mxid: "@carol:b.example" } } },
    ...(rules.signing.eventIdServer ? { event_id: "$own:b.example" } : {}),
  };
  const foreignId = seal(rules, plainEvent(rules.id, { signatures: {}, event_id: "$own:b.example" }), true);
  return {
    "as-it-should-be": { event: good, ...valid },
    "unsigned-is-not-signed": { event: { ...good, unsigned: { age: 3 } }, ...valid },
    "content-changed": { event: { ...good, content }, ...valid, content_hash: false },
    "redacted-copy": { event: redact(rules, good), ...valid, content_hash: false },
    "depth-changed": { event: { ...good, depth: 8 }, keys, signatures: false, content_hash: false },
    "signature-spoiled": { event: spoiled(good), ...valid, signatures: false },
    "no-signature": { event: { ...good, signatures: {} }, ...valid, signatures: false },
    "signed-by-another-server": {
      event: signEvent(rules, plainEvent(rules.id, { signatures: {} }), testKeyOf("b.example")),
      keys: two,
      signatures: false,
      content_hash: true,
    },
    "key-unknown": { event: good, keys: {}, signatures: false, content_hash: true },
    "key-of-another-server": {
      event: good,
      keys: { [SERVER]: { "ed25519:test": publicKey("b.example") } },
      signatures: false,
      content_hash: true,
    },
    "key-valid-long-enough": { event: good, ...valid, keys: until(1_700_000_000_000) },
    "key-expired-before": {
      event: good,
      keys: until(1_699_999_999_999),
      signatures: rules.signing.keyValidity === "ignored",
      content_hash: true,
    },
    "restricted-join-without-the-authoriser": {
      event: alone,
      keys: two,
      signatures: !rules.signing.authorisingServer,
      content_hash: true,
    },
    "restricted-join-with-the-authoriser": { event: both, ...valid, keys: two },
    "third-party-invite-sent-by-another-server": {
      event: signEvent(rules, invited, testKeyOf("b.example")),
      ...valid,
      keys: two,
    },
    ...(rules.signing.eventIdServer
      ? {
          "id-of-another-server-not-signed-by-it": { event: foreignId, ...valid, keys: two, signatures: false },
          "id-of-another-server-signed-by-both": {
            event: cosignEvent(rules, foreignId, testKeyOf("b.example")),
            ...valid,
            keys: two,
          },
        }
      : {}),
  };
}

export function signatureVectors(): readonly Vector[] {
  return all.flatMap((room_version): readonly Vector[] => {
    const { rules } = versionOf(room_version);
    const { keyId, seed } = testKeyOf(SERVER);
    const signing = Object.entries(hashable(room_version)).map(([name, given]): Vector => {
      const { hashes: _h, unsigned: _u, ...event } = { ...given, signatures: {} } as JsonObject;
      const request = { op: "sign", room_version, event, server: SERVER, key_id: keyId, seed: encodeUnpadded(seed) };
      const source = sourcesFor(room_version, spec("server-server-api/#signing-events", "Signing Events"));
      return { id: `sign/${room_version}/${name}`, ...request, expect: { ok: answer(request) }, source };
    });
    const verifying = Object.entries(checks(rules)).map(([name, { event, keys, ...ok }]): Vector => {
      const found = answer({ op: "verify", room_version, event, keys }) as JsonObject;
      if (found["signatures"] !== ok.signatures || found["content_hash"] !== ok.content_hash)
        throw new Error(`v${room_version} ${name}: ${JSON.stringify(found)}`);
      const source = sourcesFor(
        room_version,
        spec(
          "server-server-api/#validating-hashes-and-signatures-on-received-events",
          "Validating hashes and signatures",
        ),
      );
      return { id: `verify/${room_version}/${name}`, op: "verify", room_version, event, keys, expect: { ok }, source };
    });
    return [...signing, ...verifying];
  });
}
