import { describe, expect, it } from "vitest";
import { encodeUnpadded } from "../../src/crypto/index.js";
import { UsageError } from "../../src/errors.js";
import {
  checkSignatures,
  cosignEvent,
  parsePdu,
  planSignatures,
  redact,
  requiredSigners,
  settleSignatures,
  signEvent,
  type KeyLookup,
  type Pdu,
  type SigningKey,
  type VerifyKey,
} from "../../src/event/index.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import {
  ALL,
  basePdu,
  changed,
  hash43,
  keyOf,
  lookup,
  PAIRS,
  publicKey,
  reference,
  rulesOf,
  valueOf,
} from "../support/event.js";

const FROM_8 = ["8", "9", "10", "11", "12", "I.1"];
const IGNORES_VALIDITY = ["1", "2", "3", "4"];
const DAY = 24 * 60 * 60 * 1000;
const WEEK = 7 * DAY;

const a = keyOf("a.example", 1);
const b = keyOf("b.example", 2);
const c = keyOf("c.example", 3);

/** The event signed by these keys in turn, as a receiving server parses it. */
function received(id: string, changes: Readonly<Record<string, JsonValue | undefined>>, ...keys: SigningKey[]): Pdu {
  const rules = rulesOf(id);
  const event = basePdu(id, { signatures: {}, ...changes });
  const [first, ...rest] = keys;
  const signed =
    first === undefined
      ? event
      : rest.reduce((json, key) => cosignEvent(rules, json, key), signEvent(rules, event, first));
  return valueOf(parsePdu(rules, signed));
}

const withJson = (event: Pdu, changes: Readonly<Record<string, JsonValue | undefined>>): Pdu => ({
  ...event,
  json: changed(event.json, changes),
});

const member = (content: JsonObject) => ({ type: "m.room.member", state_key: "@bob:b.example", content });

for (const id of ALL) {
  const rules = rulesOf(id);
  const signers = (changes: Readonly<Record<string, JsonValue | undefined>>): readonly (string | undefined)[] =>
    requiredSigners(rules, valueOf(parsePdu(rules, basePdu(id, changes)))).map(({ server }) => server);
  const pairs = PAIRS.includes(id);
  const thirdParty: JsonObject = { membership: "invite", third_party_invite: { signed: {} } };

  describe(`required signers in version ${id} [cap:required-signers v:${id}]`, () => {
    it("the sender's server, with its port and brackets", () => {
      expect(signers({})).toEqual(["a.example"]);
      for (const server of ["a.example:8448", "[::1]:8448", "1.2.3.4", "A.Example", "256.1.1.1"]) {
        const own = pairs ? { event_id: `$own:${server}` } : {};
        expect(signers({ sender: `@alice:${server}`, ...own })).toEqual([server]);
      }
    });
    it(`${pairs ? "and" : "not"} the server in the event id`, () => {
      const event = { ...valueOf(parsePdu(rules, basePdu(id))), eventId: "$own:other.example" };
      const servers = requiredSigners(rules, event).map(({ server, why }) => [server, why]);
      expect(servers).toEqual([["a.example", "sender"], ...(pairs ? [["other.example", "event_id"]] : [])]);
    });
    it("nobody for a third-party invite, except the server in the event id", () => {
      expect(signers(member(thirdParty))).toEqual(pairs ? ["a.example"] : []);
    });
    it("the sender's server for all that only looks like one", () => {
      const lookalikes: readonly (readonly [string, JsonObject])[] = [
        ["m.room.member", { ...thirdParty, membership: "join" }],
        ["m.room.member", { ...thirdParty, membership: "knock" }],
        ["m.room.member", { third_party_invite: {} }],
        ["m.room.member", { membership: "invite" }],
        ["m.room.message", thirdParty],
      ];
      for (const [type, content] of lookalikes) expect(signers({ ...member(content), type })).toEqual(["a.example"]);
    });
    it(`${FROM_8.includes(id) ? "and" : "not"} the server that authorised a restricted join`, () => {
      const join = (authoriser: JsonValue, type = "m.room.member", membership = "join") =>
        signers({ ...member({ membership, join_authorised_via_users_server: authoriser }), type });
      const authorised = FROM_8.includes(id);
      expect(join("@mod:c.example")).toEqual(authorised ? ["a.example", "c.example"] : ["a.example"]);
      expect(join("@mod:a.example")).toEqual(["a.example"]);
      expect(join("@mod:c.example:8448")).toEqual(authorised ? ["a.example", "c.example:8448"] : ["a.example"]);
      expect(join("@mod:c.example", "m.room.message")).toEqual(["a.example"]);
      // Every member event that carries the key, whatever its membership.
      expect(join("@mod:c.example", "m.room.member", "leave")).toEqual(
        authorised ? ["a.example", "c.example"] : ["a.example"],
      );
      for (const odd of ["mod", "@mod", "c.example", "", null, 1, ["@mod:c.example"], {}]) {
        expect(join(odd), JSON.stringify(odd)).toEqual(authorised ? ["a.example", undefined] : ["a.example"]);
      }
    });
    it("asks each server once", () => {
      const all = member({ ...thirdParty, join_authorised_via_users_server: "@mod:a.example" });
      expect(signers(all)).toEqual(pairs || FROM_8.includes(id) ? ["a.example"] : []);
    });
  });

  describe(`signature check in version ${id} [cap:signature-check v:${id}]`, () => {
    const event = received(id, { state_key: "" }, a);
    const status = (pdu: Pdu, keys: KeyLookup = lookup(a, b, c)): string => checkSignatures(rules, pdu, keys).status;

    it("verifies the event, and its redacted copy", () => {
      expect(checkSignatures(rules, event, lookup(a))).toEqual({
        status: "verified",
        servers: new Map([["a.example", { status: "verified" }]]),
      });
      expect(status({ ...event, json: redact(rules, event.json) })).toBe("verified");
    });
    it("fails for every protected part that was tampered with", () => {
      const tampered: Readonly<Record<string, JsonValue | undefined>>[] = [
        { prev_events: [] },
        { prev_events: [reference(id, "p"), reference(id, "p")] },
        { auth_events: [reference(id, "b"), reference(id, "a")] },
        { type: "m.room.messagf" },
        { depth: 6 },
        { hashes: { sha256: hash43("B") } },
        { hashes: {} },
        { sender: "@alicf:a.example" },
        { state_key: "x" },
        { state_key: undefined },
        { origin_server_ts: 1 },
        { room_id: id === "12" ? `!${hash43("q")}` : "!other:a.example" },
        ...(pairs ? [{ event_id: "$other:a.example" }] : []),
      ];
      for (const changes of tampered) {
        expect(status(withJson(event, changes)), JSON.stringify(changes)).toBe("refused");
      }
    });
    it("bears with what redaction takes away", () => {
      for (const changes of [
        { unsigned: { age: 9 } },
        { content: {} },
        { content: { body: "x" } },
        { redacts: "$x" },
        { extra: 1 },
      ]) {
        expect(status(withJson(event, changes)), JSON.stringify(changes)).toBe("verified");
      }
    });
    it("fails under another key, another server, or without signatures", () => {
      expect(status(event, () => ({ key: publicKey(b) }))).toBe("refused");
      for (const signatures of [
        undefined,
        null,
        [],
        {},
        { "b.example": event.json["signatures"] ?? null },
        { "a.example": null },
        { "a.example": "x" },
      ]) {
        const report = checkSignatures(rules, withJson(event, { signatures }), lookup(a, b));
        expect(report.servers.get("a.example")).toEqual({ status: "refused", reason: "no signature" });
        expect(report.status).toBe("refused");
      }
    });
  });

  describe(`key validity in version ${id} [cap:signature-check v:${id}]`, () => {
    const sent = 1_700_000_000_000;
    const event = received(id, { origin_server_ts: sent }, a);
    const status = (properties: Omit<VerifyKey, "key">): string =>
      checkSignatures(rules, event, lookup([a, properties])).status;
    const ignored = IGNORES_VALIDITY.includes(id);
    const late = ignored ? "verified" : "refused";

    it("a key counts up to and at `valid_until_ts`", () => {
      expect(status({ validUntilTs: sent })).toBe("verified");
      expect(status({ validUntilTs: sent + 1 })).toBe("verified");
      expect(status({ validUntilTs: sent - 1 })).toBe(late);
      expect(status({ validUntilTs: 0 })).toBe(late);
    });
    it("never longer than seven days after it was fetched", () => {
      expect(status({ validUntilTs: sent + DAY, fetchedTs: sent - WEEK })).toBe("verified");
      expect(status({ validUntilTs: sent + DAY, fetchedTs: sent - WEEK - 1 })).toBe(late);
      expect(status({ fetchedTs: sent - WEEK })).toBe("verified");
      expect(status({ fetchedTs: sent - WEEK - 1 })).toBe(late);
      expect(status({ validUntilTs: sent - 1, fetchedTs: sent })).toBe(late);
    });
    it("an old key counts up to and at `expired_ts`, whatever else is known of it", () => {
      expect(status({ expiredTs: sent })).toBe("verified");
      expect(status({ expiredTs: sent - 1 })).toBe(late);
      expect(status({ expiredTs: sent, validUntilTs: 0, fetchedTs: 0 })).toBe("verified");
      expect(status({ expiredTs: sent - 1, validUntilTs: sent + 1 })).toBe(late);
    });
    if (!ignored) {
      it("says why", () => {
        const report = checkSignatures(rules, event, lookup([a, { expiredTs: 0 }]));
        expect(report.servers.get("a.example")).toEqual({
          status: "refused",
          reason: "signed only by keys not valid at that time",
        });
      });
    }
  });
}

describe("several signatures of one server [cap:signature-check v:10]", () => {
  const rules = rulesOf("10");
  const second = keyOf("a.example", 4, "ed25519:2");
  const both = received("10", {}, a, second);
  const signatures = (changes: Readonly<Record<string, JsonValue | undefined>>): Pdu => {
    const all = both.json["signatures"] as Readonly<Record<string, JsonObject>>;
    return withJson(both, { signatures: { "a.example": changed(all["a.example"] ?? {}, changes) } });
  };
  const check = (pdu: Pdu, keys: KeyLookup) => checkSignatures(rules, pdu, keys);
  const known = lookup(a, second);

  it("all by known keys must verify, not just one", () => {
    expect(check(both, known).status).toBe("verified");
    for (const keyId of ["ed25519:1", "ed25519:2"]) {
      const report = check(signatures({ [keyId]: encodeUnpadded(new Uint8Array(64)) }), known);
      expect(report.status).toBe("refused");
      expect(report.servers.get("a.example")).toEqual({
        status: "refused",
        reason: `the signature by ${keyId} does not verify`,
      });
    }
  });
  it("unknown keys beside a known one are skipped", () => {
    expect(check(both, lookup(a)).status).toBe("verified");
    expect(check(both, lookup(second)).status).toBe("verified");
    expect(check(signatures({ "ed25519:9": "junk!" }), known).status).toBe("verified");
  });
  it("only unknown keys: fetch one", () => {
    expect(check(both, lookup(b))).toEqual({
      status: "needs-key",
      servers: new Map([["a.example", { status: "needs-key", keyIds: ["ed25519:1", "ed25519:2"] }]]),
    });
    // An expired key and an unknown one: the unknown one may still save the event.
    expect(check(both, lookup([a, { expiredTs: 0 }])).status).toBe("needs-key");
  });
  it("expired keys beside a valid one are skipped", () => {
    expect(check(both, lookup([a, { validUntilTs: 0 }], second)).status).toBe("verified");
    const spoiled = signatures({ "ed25519:1": encodeUnpadded(new Uint8Array(64)) });
    expect(check(spoiled, lookup([a, { validUntilTs: 0 }], second)).status).toBe("verified");
  });
  it("unknown algorithms and the policy server's key are skipped, and do not suffice", () => {
    const odd = { "rsa:1": "junk!", ed25519: "junk!", "ED25519:1": "junk!", "ed25519:policy_server": "junk!" };
    expect(check(signatures(odd), () => ({ key: publicKey(a) })).status).toBe("refused");
    expect(check(signatures({ ...odd, "ed25519:2": undefined }), () => ({ key: publicKey(a) })).status).toBe(
      "verified",
    );
    const alone = signatures({ ...odd, "ed25519:1": undefined, "ed25519:2": undefined });
    expect(check(alone, () => ({ key: publicKey(a) })).servers.get("a.example")).toEqual({
      status: "refused",
      reason: "no Ed25519 signature",
    });
    expect(
      planSignatures(rules, alone, () => {
        throw new Error("no such key is asked for");
      }).checks,
    ).toEqual([]);
  });
  it("a signature that is no base64 text, or not 64 bytes, fails", () => {
    for (const text of ["junk!", null, 1, {}, "A"]) {
      expect(check(signatures({ "ed25519:1": text }), known).servers.get("a.example")).toEqual({
        status: "refused",
        reason: "the signature by ed25519:1 is not base64",
      });
    }
    for (const text of ["", "AAAA", encodeUnpadded(new Uint8Array(65))]) {
      expect(check(signatures({ "ed25519:1": text }), known).status).toBe("refused");
    }
  });
  it("may be padded or URL-safe", () => {
    const all = both.json["signatures"] as Readonly<Record<string, Readonly<Record<string, string>>>>;
    const text = all["a.example"]?.["ed25519:1"] ?? "";
    expect(check(signatures({ "ed25519:1": `${text}==` }), known).status).toBe("verified");
    expect(check(signatures({ "ed25519:1": text.replace(/\+/g, "-").replace(/\//g, "_") }), known).status).toBe(
      "verified",
    );
  });
  it("key ids that every object inherits name no signature", () => {
    expect(check(withJson(both, { signatures: Object.create({ "a.example": {} }) as JsonObject }), known).status).toBe(
      "refused",
    );
  });
});

describe("several servers", () => {
  it("v1: both the sender's and the id's server must have signed [cap:required-signers v:1]", () => {
    const rules = rulesOf("1");
    const split = { event_id: "$own:b.example" };
    expect(checkSignatures(rules, received("1", split, a, b), lookup(a, b)).status).toBe("verified");
    expect(checkSignatures(rules, received("1", split, a), lookup(a, b)).servers).toEqual(
      new Map<string, unknown>([
        ["b.example", { status: "refused", reason: "no signature" }],
        ["a.example", { status: "verified" }],
      ]),
    );
    expect(checkSignatures(rules, received("1", split, b), lookup(a, b)).status).toBe("refused");
    // A third-party invite spares the sender only.
    const invite = { ...split, ...member({ membership: "invite", third_party_invite: {} }) };
    expect(checkSignatures(rules, received("1", invite, b), lookup(a, b)).status).toBe("verified");
    expect(checkSignatures(rules, received("1", invite, a), lookup(a, b)).status).toBe("refused");
  });
  it("v3: a third-party invite needs no signature of these [cap:required-signers v:3]", () => {
    const invite = received("3", member({ membership: "invite", third_party_invite: {} }));
    expect(checkSignatures(rulesOf("3"), invite, lookup())).toEqual({ status: "verified", servers: new Map() });
  });
  it.each(["8", "9", "10", "11", "12"])("v%s: the authorising server must have signed", (id) => {
    const rules = rulesOf(id);
    const join = member({ membership: "join", join_authorised_via_users_server: "@mod:c.example" });
    expect(checkSignatures(rules, received(id, join, a, c), lookup(a, c)).status).toBe("verified");
    expect(checkSignatures(rules, received(id, join, a), lookup(a, c)).status).toBe("refused");
    expect(checkSignatures(rules, received(id, join, c), lookup(a, c)).status).toBe("refused");
    expect(checkSignatures(rules, received(id, join, a, c), lookup(a)).status).toBe("needs-key");
    // Refused outweighs unknown.
    expect(checkSignatures(rules, received(id, join, c), lookup(a)).status).toBe("refused");
  });
  it("v7 does not know authorising servers [cap:required-signers v:7]", () => {
    const join = member({ membership: "join", join_authorised_via_users_server: "@mod:c.example" });
    expect(checkSignatures(rulesOf("7"), received("7", join, a), lookup(a)).status).toBe("verified");
  });
  it("an authoriser that names no server can never have signed", () => {
    const join = member({ membership: "join", join_authorised_via_users_server: "mod" });
    const report = checkSignatures(rulesOf("10"), received("10", join, a), lookup(a));
    expect(report.status).toBe("refused");
    expect(report.servers.get("(join_authorised_via_users_server)")).toEqual({
      status: "refused",
      reason: "`join_authorised_via_users_server` names no server",
    });
  });
  it("a sender without a server can never have signed", () => {
    const event = { ...received("10", {}, a), sender: "alice" };
    expect(checkSignatures(rulesOf("10"), event, lookup(a)).servers.get("(sender)")?.status).toBe("refused");
  });
});

describe("planning and settling apart", () => {
  const rules = rulesOf("1");
  const event = received("1", { event_id: "$own:b.example" }, a, b);

  it("a plan lists what to verify", () => {
    const plan = planSignatures(rules, event, lookup(a, b));
    expect(plan.checks.map(({ server, keyId, key }) => [server, keyId, key])).toEqual([
      ["a.example", "ed25519:1", publicKey(a)],
      ["b.example", "ed25519:1", publicKey(b)],
    ]);
    expect(plan.settled.size).toBe(0);
    expect(plan.checks.every(({ signature }) => signature.length === 64)).toBe(true);
  });
  it("outcomes settle it, in the plan's order", () => {
    const plan = planSignatures(rules, event, lookup(a, b));
    expect(settleSignatures(plan, [true, true]).status).toBe("verified");
    expect(settleSignatures(plan, [false, true]).servers.get("a.example")?.status).toBe("refused");
    expect(settleSignatures(plan, [true, false]).servers.get("a.example")?.status).toBe("verified");
    expect(settleSignatures(plan, [true, false]).status).toBe("refused");
  });
  it("a missing or surplus outcome is a mistake of the caller", () => {
    const plan = planSignatures(rules, event, lookup(a, b));
    for (const outcomes of [[], [true], [true, true, true]]) {
      expect(() => settleSignatures(plan, outcomes)).toThrow(UsageError);
    }
    expect(() => settleSignatures(planSignatures(rules, event, lookup()), [true])).toThrow(
      /one outcome for each check/,
    );
  });
  it("settling leaves the plan as it was", () => {
    const plan = planSignatures(rules, event, lookup(a));
    const report = settleSignatures(plan, [true]);
    expect(plan.settled).toEqual(new Map([["b.example", { status: "needs-key", keyIds: ["ed25519:1"] }]]));
    expect(report.servers.size).toBe(2);
    expect(report.status).toBe("needs-key");
  });
});
