/** Invites that redeem an m.room.third_party_invite, with real Ed25519 signatures, and the offers themselves. */
import { describe, expect, it } from "vitest";
import { MAX_THIRD_PARTY_CHECKS, factsUnknown, signaturesChecked } from "../../src/auth/index.js";
import type { AuthFacts, AuthVerdict } from "../../src/auth/index.js";
import { encodeUnpadded, publicKeyFromSeed, verify } from "../../src/crypto/index.js";
import { signJson, signedBytes } from "../../src/event/index.js";
import { setOwn } from "../../src/json/value.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import { alice, at, bob, carol, everyVersion, expectAllowed, expectRejected, member, room } from "../support/auth.js";
import type { Room, RoomSketch } from "../support/auth.js";

const seed = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const standard = (fill: number): string => encodeUnpadded(publicKeyFromSeed(seed(fill)));
const urlSafe = (fill: number): string => encodeUnpadded(publicKeyFromSeed(seed(fill)), "url-safe");

/** Which seed's public key holds a character that the two alphabets write differently. */
const mixed = [...Array(40).keys()].find((fill) => standard(fill) !== urlSafe(fill)) ?? -1;

const signed = { mxid: bob, token: "token" };
const sign = (object: JsonObject, fill: number, keyId = "ed25519:0", server = "identity.example"): JsonObject =>
  signJson(object, { server, keyId, seed: seed(fill) });

/** A room with an offer by alice, whose key has the seed 1. */
function offered(version: string, content: JsonObject, sketch: RoomSketch = {}, token = "token"): Room {
  const offer = { type: "m.room.third_party_invite", sender: alice, stateKey: token, eventId: "$offer", content };
  return room(version, { ...sketch, more: [offer, ...(sketch.more ?? [])] });
}

const offerOf = (here: Room, token = "token"): ReturnType<Room["member"]> =>
  here.state("m.room.third_party_invite", token);

const invite = (proof: JsonValue, sender = alice, target = bob): ReturnType<typeof member> =>
  member(target, "invite", sender, { third_party_invite: { display_name: "b", signed: proof } });

const judge = (here: Room, proof: JsonValue, facts?: AuthFacts): AuthVerdict => here.judge(invite(proof), facts);

const proof = sign(signed, 1);

describe.each(everyVersion)("third-party invites [cap:auth-third-party v:%s]", (version) => {
  const branch = `${at(version, "invite")}.1`;
  const here = offered(version, { public_key: standard(1) });

  it("are allowed by a signature of the offer's public_key", () => {
    expectAllowed(judge(here, proof), version, `${branch}.7`);
  });

  it("look at neither the sender's membership, nor the invite level, nor a target who has joined", () => {
    for (const membership of ["leave", "ban", "invite"]) {
      const left = offered(version, { public_key: standard(1) }, { members: { [alice]: membership } });
      expectAllowed(judge(left, proof), version, `${branch}.7`);
    }
    for (const membership of ["join", "invite", "leave", "knock"]) {
      const levels = { invite: 100 };
      const known = offered(version, { public_key: standard(1) }, { levels, members: { [bob]: membership } });
      expectAllowed(judge(known, proof), version, `${branch}.7`);
    }
  });

  it("are not for the banned, however they are made", () => {
    const banned = offered(version, { public_key: standard(1) }, { members: { [bob]: "ban" } });
    expectRejected(judge(banned, proof), version, `${branch}.1`, [banned.member(bob)]);
    expectRejected(banned.judge(member(bob, "invite", alice, { third_party_invite: null })), version, `${branch}.1`, [
      banned.member(bob),
    ]);
  });

  it("need signed to be an object", () => {
    for (const value of [null, "x", 1, [], {}, { signed: null }, { signed: "x" }, { signed: [proof] }]) {
      const draft = member(bob, "invite", alice, { third_party_invite: value });
      expectRejected(here.judge(draft), version, `${branch}.2`);
    }
  });

  it("need mxid and token to be strings", () => {
    const { mxid, token } = signed;
    for (const object of [{}, { mxid }, { token }, { mxid: 1, token }, { mxid, token: 1 }, { mxid: null, token }]) {
      expectRejected(judge(here, sign(object, 1)), version, `${branch}.3`);
    }
  });

  it("are for the user whom mxid names", () => {
    expectRejected(here.judge(invite(proof, alice, carol)), version, `${branch}.4`);
    expectRejected(judge(here, sign({ ...signed, mxid: carol }, 1)), version, `${branch}.4`);
  });

  it("need the offer of their token", () => {
    expectRejected(judge(here, sign({ ...signed, token: "other" }, 1)), version, `${branch}.5`);
    expectRejected(judge(room(version), proof), version, `${branch}.5`);
    expectRejected(judge(here, sign({ ...signed, token: "" }, 1)), version, `${branch}.5`);
    const empty = offered(version, { public_key: standard(1) }, {}, "");
    expectAllowed(judge(empty, sign({ ...signed, token: "" }, 1)), version, `${branch}.7`);
  });

  it("are sent by who made the offer", () => {
    const trusted = offered(version, { public_key: standard(1) }, { members: { [carol]: "join" } });
    expectRejected(trusted.judge(invite(proof, carol)), version, `${branch}.6`, [offerOf(trusted)]);
  });

  it("need a signature by a key of the offer over the very object", () => {
    const refuse = (value: JsonValue): void => {
      expectRejected(judge(here, value), version, `${branch}.8`, [offerOf(here)]);
    };
    refuse(signed);
    refuse(sign(signed, 2));
    refuse({ ...proof, extra: true });
    refuse({ ...sign({ ...signed, mxid: carol }, 1), mxid: bob });
    refuse({ ...proof, signatures: {} });
    refuse({ ...proof, signatures: null });
    refuse({ ...proof, signatures: [] });
    refuse({ ...proof, signatures: { "identity.example": "x" } });
    refuse({ ...proof, signatures: { "identity.example": { "ed25519:0": 1 } } });
    refuse({ ...proof, signatures: { "identity.example": { "ed25519:0": "!" } } });
    refuse({ ...proof, signatures: { "identity.example": { "ed25519:0": encodeUnpadded(new Uint8Array(63)) } } });
    refuse({ ...proof, signatures: { "identity.example": { "ed25519:0": encodeUnpadded(new Uint8Array(65)) } } });
    refuse(sign(signed, 1, "curve25519:0"));
    refuse(sign(signed, 1, "ed25519"));
  });

  it("take any signature, of any server and key id, whatever stands beside it", () => {
    const others = { a: {}, b: { "ed25519:x": "no base64!", "other:1": "x" }, __proto: { "ed25519:1": 7 } };
    const several = sign({ ...sign(signed, 2, "ed25519:other"), unsigned: { age: 1 } }, 1, "ed25519:", "z.example");
    expectAllowed(judge(here, several), version, `${branch}.7`);
    const messy = { ...proof, signatures: { ...others, ...(proof["signatures"] as JsonObject) } };
    expectAllowed(judge(here, messy), version, `${branch}.7`);
  });

  it("look at no server after one whose signatures are no object, in code-point order, as peers do", () => {
    for (const wrong of [null, 5, "x", []]) {
      const [server = ""] = Object.keys(proof["signatures"] as JsonObject);
      const before = { ...proof, signatures: { ...(proof["signatures"] as JsonObject), [`!${server}`]: wrong } };
      const after = { ...proof, signatures: { [`${server}\u{1f600}`]: wrong, ...(proof["signatures"] as JsonObject) } };
      expectRejected(judge(here, before), version, `${branch}.8`, [offerOf(here)]);
      expectAllowed(judge(here, after), version, `${branch}.7`);
    }
  });

  it("take any public key of the offer", () => {
    const listed = (entries: JsonValue, single?: JsonValue): AuthVerdict => {
      const content = { public_keys: entries, ...(single === undefined ? {} : { public_key: single }) };
      return judge(offered(version, content), proof);
    };
    expectAllowed(listed([{ public_key: standard(1) }]), version, `${branch}.7`);
    const messy = [{ public_key: "?" }, { public_key: standard(2) }];
    expectAllowed(listed([...messy, { public_key: standard(1), key_validity_url: "u" }]), version, `${branch}.7`);
    expectAllowed(listed([{ public_key: standard(1) }], standard(2)), version, `${branch}.7`);
    expectAllowed(listed([{ public_key: standard(2) }], standard(1)), version, `${branch}.7`);
    expectAllowed(listed("none", standard(1)), version, `${branch}.7`);
    expectAllowed(listed([{ public_key: standard(1) }, 5]), version, `${branch}.7`);
    expectAllowed(listed([5], standard(1)), version, `${branch}.7`);
  });

  it("take no key at or after a malformed one, as peers do", () => {
    const good = { public_key: standard(1) };
    const poor: JsonObject[] = [null, 5, false].map((keys) => ({ public_key: standard(1), public_keys: keys }));
    for (const entry of [null, 5, "x", [], {}, { public_key: null }, { public_key: 5 }]) {
      poor.push({ public_keys: [entry, good] });
    }
    for (const single of [5, [], {}]) poor.push({ public_key: single, public_keys: [good] });
    for (const content of poor) {
      const room = offered(version, content);
      expectRejected(judge(room, proof), version, `${branch}.8`, [offerOf(room)]);
    }
  });

  it("take no key from anywhere else", () => {
    const refused: readonly JsonObject[] = [
      {},
      { public_key: null },
      { public_key: 1 },
      { public_key: [standard(1)] },
      { public_key: `${standard(1)}AA` },
      { public_key: standard(1).slice(0, 40) },
      { public_keys: { 0: { public_key: standard(1) } } },
      { public_keys: [standard(1)] },
      { public_keys: [[{ public_key: standard(1) }]] },
      { Public_Key: standard(1) },
      { key: standard(1) },
    ];
    for (const content of refused) {
      const poor = offered(version, content);
      expectRejected(judge(poor, proof), version, `${branch}.8`, [offerOf(poor)]);
    }
  });

  it("read keys and signatures in either base64 alphabet, padded or not", () => {
    for (const key of [standard(mixed), urlSafe(mixed), `${standard(mixed)}=`]) {
      expectAllowed(judge(offered(version, { public_key: key }), sign(signed, mixed)), version, `${branch}.7`);
    }
    const text =
      (proof["signatures"] as Record<string, Record<string, string>>)["identity.example"]?.["ed25519:0"] ?? "";
    expect(text).toMatch(/[+/]/);
    const spelt = { ...proof, signatures: { x: { "ed25519:0": text.replaceAll("+", "-").replaceAll("/", "_") } } };
    expectAllowed(judge(here, spelt), version, `${branch}.7`);
  });

  it("ask the host for every pair that it has not settled", () => {
    const two = sign(sign(signed, 1), 2, "ed25519:1");
    const rich = offered(version, { public_key: standard(1), public_keys: [{ public_key: standard(3) }] });
    const verdict = judge(rich, two, factsUnknown);
    const facts = verdict.verdict === "needs" ? verdict.facts : [];
    expect(verdict).toMatchObject({ verdict: "needs", events: [] });
    expect(facts).toHaveLength(4);
    const answers = facts.map(
      (asked) => asked.fact === "signature" && verify(asked.signature, asked.message, asked.key),
    );
    expect(answers).toEqual([true, false, false, false]);
    const [first] = facts;
    expect(first).toMatchObject({ fact: "signature", key: publicKeyFromSeed(seed(1)), message: signedBytes(signed) });
  });

  it("ask only for what is open, and not at all once one signature holds", () => {
    const two = sign(sign(signed, 1), 2, "ed25519:1");
    const answering = (answers: readonly (boolean | undefined)[]): AuthFacts => {
      const rest = [...answers];
      return { ...signaturesChecked, verifies: () => rest.shift() };
    };
    expect(judge(here, two, answering([undefined, false]))).toMatchObject({
      verdict: "needs",
      facts: [{ fact: "signature" }],
    });
    expectAllowed(judge(here, two, answering([undefined, true])), version, `${branch}.7`);
    expectRejected(judge(here, two, answering([false, false])), version, `${branch}.8`, [offerOf(here)]);
  });

  it("try no more than 256 pairs of signature and key", () => {
    const signatures: Record<string, JsonValue> = {};
    for (let index = 0; index < 100; index++)
      setOwn(signatures, `ed25519:${index}`, encodeUnpadded(new Uint8Array(64)));
    const publicKeys = Array.from({ length: 100 }, () => ({ public_key: standard(1) }));
    const large = offered(version, { public_keys: publicKeys });
    let asked = 0;
    const counting: AuthFacts = {
      ...signaturesChecked,
      verifies: () => {
        asked++;
        return false;
      },
    };
    expectRejected(judge(large, { ...signed, signatures: { x: signatures } }, counting), version, `${branch}.8`, [
      offerOf(large),
    ]);
    expect(asked).toBe(256);
    expect(MAX_THIRD_PARTY_CHECKS).toBe(256);
  });

  it("with the key are third-party invites and nothing else: a good sender does not help", () => {
    const known = room(version, { members: { [alice]: "join" }, levels: { users: { [alice]: 100 } } });
    expectRejected(known.judge(member(bob, "invite", alice, { third_party_invite: {} })), version, `${branch}.2`);
    expectAllowed(known.judge(member(bob, "invite", alice)), version, `${at(version, "invite")}.4`);
  });

  it("mean nothing on other memberships", () => {
    const open = offered(version, { public_key: standard(1) }, { joinRule: "public" });
    const join = member(bob, "join", bob, { third_party_invite: { signed: proof } });
    expect(open.judge(join).verdict).toBe("allowed");
    expectRejected(
      open.judge(member(bob, "leave", bob, { third_party_invite: {} })),
      version,
      `${at(version, "leave")}.1`,
    );
  });
});

describe.each(everyVersion)("m.room.third_party_invite events [cap:auth-third-party v:%s]", (version) => {
  const draft = { type: "m.room.third_party_invite", sender: alice, stateKey: "token" };
  const rule = at(version, "third-party-invite");
  const judged = (levels: JsonObject | undefined, more: Partial<typeof draft> = {}): [AuthVerdict, Room] => {
    const here = room(version, { members: { [alice]: "join" }, ...(levels === undefined ? {} : { levels }) });
    return [here.judge({ ...draft, ...more }), here];
  };

  it("need the invite level", () => {
    expectAllowed(judged({ users: { [alice]: 20 }, invite: 20 })[0], version, rule);
    const [verdict, here] = judged({ users: { [alice]: 19 }, invite: 20 });
    expectRejected(verdict, version, rule, [here.levels]);
  });

  it("need nothing else: neither events, nor state_default, nor the state key of a user", () => {
    const levels = {
      users: { [alice]: 20 },
      invite: 20,
      events: { "m.room.third_party_invite": 100 },
      state_default: 100,
    };
    expectAllowed(judged(levels)[0], version, rule);
    expectAllowed(judged(levels, { stateKey: bob })[0], version, rule);
  });

  it("are not lifted by a low level in events", () => {
    const [verdict, here] = judged({ users: { [alice]: 19 }, invite: 20, events: { "m.room.third_party_invite": 0 } });
    expectRejected(verdict, version, rule, [here.levels]);
  });

  it("take level 0 where there are no power levels, from who has joined", () => {
    expectAllowed(judged(undefined)[0], version, rule);
    const [verdict, here] = judged(undefined, { sender: bob });
    expect(here.member(bob)).toBeUndefined();
    expectRejected(verdict, version, at(version, "joined"));
  });
});
