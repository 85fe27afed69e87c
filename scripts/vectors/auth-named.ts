/** Cases made for the rules that small random rooms do not reach. */
import { encodeUnpadded } from "../../src/crypto/base64.js";
import { publicKeyFromSeed } from "../../src/crypto/ed25519.js";
import { signJson } from "../../src/event/sign.js";
import type { JsonObject, JsonValue } from "../../src/json/value.js";
import type { RuleName, RoomVersionRules } from "../../src/rules/model.js";
import { forge, textAt, withId } from "../../src/testing/forge.js";
import type { Draft } from "../../src/testing/forge.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { Stage, authRequest, membershipEvent, stateEvent } from "../../src/testing/stage.js";
import type { StageSetup } from "../../src/testing/stage.js";
import type { RoomVersion } from "../../src/versions/room-version.js";
import type { AuthCase } from "./auth.js";

const alice = "@alice:a.example";
const bob = "@bob:b.example:8448";
const carol = "@carol:a.example";

type Made = AuthCase["request"];

/** One case: what it is, the rule that judges it, and the request. */
type Row = readonly [name: string, rule: RuleName, allowed: boolean, request: Made];

/** The cases of a version; each is judged by the rule that it names, or making the vectors fails. */
export function namedCases({ rules }: RoomVersion): readonly AuthCase[] {
  const rows: readonly Row[] = [
    ...createRows(rules),
    ...citationRows(rules),
    ...memberRows(rules),
    ...(rules.auth.restricted ? restrictedRows(rules) : []),
    ...thirdPartyRows(rules),
    ...levelRows(rules),
    ...(rules.auth.numbering["aliases.allow"] === undefined ? [] : aliasRows(rules)),
    ...(rules.auth.numbering["redaction.level"] === undefined ? [] : redactionRows(rules)),
  ];
  return rows.map(([name, rule, allowed, request]) => ({ name, rule, allowed, request }));
}

/** Alice made the room and has all power, Bob has half of it; Carol is named by who wants her. */
function setup(rules: RoomVersionRules, more: Partial<StageSetup> = {}, levels: JsonObject = {}): StageSetup {
  const own = rules.auth.creatorPower === "infinite" ? {} : { [alice]: 100 };
  const powerLevels = { users: { ...own, [bob]: 50 }, ...levels };
  return { creator: alice, members: { [bob]: "join" }, powerLevels, joinRule: "public", ...more };
}

const stageOf = (rules: RoomVersionRules, more?: Partial<StageSetup>, levels?: JsonObject): Stage =>
  new Stage(rules, setup(rules, more, levels));

function createRows(rules: RoomVersionRules): readonly Row[] {
  const hashRoom = rules.format.roomIds === "create-hash";
  const request = (content: JsonObject): Made => {
    const draft: Draft = { ...stateEvent("m.room.create", alice, content), originServerTs: 1 };
    const place = { roomId: hashRoom ? undefined : "!named:a.example", prevEvents: [], authEvents: [], sign: false };
    return authRequest(rules, withId(forge(rules, draft, place)), [], {});
  };
  const named = rules.auth.creator === "content" ? { creator: alice } : {};
  const rows: Row[] = [
    ["a create event as it should be", "create.allow", true, request({ room_version: rules.id, ...named })],
    [
      "the room version is unknown",
      "create.room-version",
      false,
      request({ room_version: "no-such-version", ...named }),
    ],
  ];
  if (rules.auth.creator === "content")
    rows.push(["no creator is named", "create.creator", false, request({ room_version: rules.id })]);
  if (rules.auth.numbering["create.additional-creators"] !== undefined) {
    const additional = (value: JsonValue): Made => request({ room_version: rules.id, additional_creators: value });
    rows.push(
      ["additional creators are user ids", "create.allow", true, additional([bob])],
      ["an additional creator is no user id", "create.additional-creators", false, additional(["bob"])],
      ["additional creators are no list", "create.additional-creators", false, additional(bob)],
    );
  }
  return rows;
}

function citationRows(rules: RoomVersionRules): readonly Row[] {
  const stage = stageOf(rules);
  const topic = stateEvent("m.room.topic", bob, { topic: "Vectors" });
  const request = stage.request(topic);
  const levels = withId(stage.at("m.room.power_levels", "") ?? stage.create);
  const state = [withId(stage.create)];
  const banned = stageOf(rules, { members: { [bob]: "ban" } });
  const banState = ["m.room.power_levels", "m.room.join_rules"].flatMap((type) => stage.at(type, "") ?? []);
  const ban = withId(banned.at("m.room.member", bob) ?? banned.create);
  const rows: Row[] = [
    ["all that is cited was accepted", "allow", true, request],
    [
      "a cited event was itself rejected",
      "auth-events.rejected",
      false,
      { ...request, rejected: [textAt(levels, "event_id")] },
    ],
    [
      "its own auth events allow it, and the state before it has its sender banned",
      "sender-joined",
      false,
      { ...request, state: [...state, ...banState.map(withId), ban] },
    ],
    [
      "the state before it agrees with its auth events",
      "allow",
      true,
      { ...request, state: [...state, ...[...banState, ...[stage.at("m.room.member", bob) ?? []].flat()].map(withId)] },
    ],
  ];
  const other = new Stage(rules, setup(rules, { name: "other", createContent: { "x.other": 1 } }));
  const foreign = stage
    .cited({ ...topic })
    .map((event) => (event.type === "m.room.power_levels" ? (other.at(event.type, "") ?? event) : event));
  rows.push(["a cited event is of another room", "auth-events.room", false, stage.request(topic, foreign)]);
  if (rules.auth.numbering["room-id.create"] !== undefined) {
    rows.push([
      "the create event of the room was rejected",
      "room-id.create",
      false,
      { ...request, rejected: [stage.create.eventId] },
    ]);
  }
  return rows;
}

function memberRows(rules: RoomVersionRules): readonly Row[] {
  const stage = stageOf(rules);
  const empty = new Stage(rules, { creator: alice });
  const joining = membershipEvent(alice, alice, "join");
  const first = forge(
    rules,
    { ...joining, originServerTs: 1_700_000_000_001 },
    {
      roomId: empty.create.roomId,
      prevEvents: [empty.create],
      authEvents: rules.auth.createEvent === "implied" ? [] : [empty.create],
      sign: false,
    },
  );
  const second = forge(
    rules,
    { ...membershipEvent(bob, bob, "join"), originServerTs: 1_700_000_000_001 },
    {
      roomId: empty.create.roomId,
      prevEvents: [empty.create],
      authEvents: rules.auth.createEvent === "implied" ? [] : [empty.create],
      sign: false,
    },
  );
  const cited = rules.auth.createEvent === "implied" ? [] : [withId(empty.create)];
  const shape = (draft: Omit<Draft, "originServerTs">): Made => stage.request(draft);
  return [
    [
      "the creator joins right after the create event",
      "member.join.first",
      true,
      authRequest(rules, withId(first), cited, withId(empty.create)),
    ],
    [
      "somebody else joins right after the create event",
      "member.join.otherwise",
      false,
      authRequest(rules, withId(second), cited, withId(empty.create)),
    ],
    [
      "a membership event without `membership`",
      "member.shape",
      false,
      shape({ type: "m.room.member", stateKey: bob, sender: bob, content: {} }),
    ],
    [
      "a membership event without a state key",
      "member.shape",
      false,
      shape({ type: "m.room.member", sender: bob, content: { membership: "join" } }),
    ],
  ];
}

function restrictedRows(rules: RoomVersionRules): readonly Row[] {
  const join = (members: Readonly<Record<string, string>>, authoriser?: string, invite = 0): Made => {
    const stage = stageOf(rules, { members: { [bob]: "join", ...members }, joinRule: "restricted" }, { invite });
    const more = authoriser === undefined ? {} : { join_authorised_via_users_server: authoriser };
    return stage.request(membershipEvent(carol, carol, "join", more));
  };
  const rule = "member.join.restricted" as const;
  return [
    ["who is invited joins a restricted room", `${rule}.member`, true, join({ [carol]: "invite" })],
    ["somebody who may invite vouches for a join", `${rule}.allow`, true, join({}, bob, 50)],
    ["somebody who may not invite vouches for a join", `${rule}.authoriser`, false, join({}, bob, 51)],
    ["nobody vouches for a join", `${rule}.authoriser`, false, join({})],
    ["who vouches for a join has left", `${rule}.authoriser`, false, join({ [bob]: "leave" }, bob)],
  ];
}

const TOKEN = "token";
const identity = testKeyOf("identity.example");
const identityKey = encodeUnpadded(publicKeyFromSeed(identity.seed));
const otherKey = encodeUnpadded(publicKeyFromSeed(testKeyOf("other.example").seed));

function thirdPartyRows(rules: RoomVersionRules): readonly Row[] {
  const good = signJson({ mxid: carol, token: TOKEN }, identity);
  const withKeyOf = (keys: JsonObject, issuer = bob): JsonObject => ({ issuer, keys });
  const issued = withKeyOf({ public_key: identityKey, key_validity_url: "https://identity.example/valid" });
  const make = (
    signed: JsonValue | undefined,
    given: JsonObject = issued,
    members: Readonly<Record<string, string>> = {},
    inviter = bob,
  ): Made => {
    const stage = stageOf(rules, { members: { [bob]: "join", ...members } });
    const content = { display_name: "c…", ...(given["keys"] as JsonObject) };
    stage.add({ type: "m.room.third_party_invite", stateKey: TOKEN, sender: textAt(given, "issuer"), content });
    const invite = signed === undefined ? { display_name: "c…" } : { display_name: "c…", signed };
    return stage.request(membershipEvent(inviter, carol, "invite", { third_party_invite: invite }));
  };
  const several = withKeyOf({
    public_key: otherKey,
    public_keys: [{ public_key: otherKey }, { public_key: identityKey }],
  });
  const other = withKeyOf({ public_key: otherKey, public_keys: [] });
  const tampered = { ...good, mxid: carol, "x.added": 1 };
  const levels = (needed: number): Made =>
    stageOf(rules, {}, { invite: needed, state_default: 0 }).request({
      type: "m.room.third_party_invite",
      stateKey: "other",
      sender: bob,
      content: { display_name: "d…", public_key: identityKey },
    });
  const prefix = "member.invite.third-party" as const;
  return [
    ["a key of the invite signed it", `${prefix}.signature`, true, make(good)],
    ["one of `public_keys` signed it", `${prefix}.signature`, true, make(good, several)],
    ["no key of the invite signed it", `${prefix}.otherwise`, false, make(good, other)],
    ["what was signed was changed", `${prefix}.otherwise`, false, make(tampered)],
    ["the target is banned", `${prefix}.banned`, false, make(good, issued, { [carol]: "ban" })],
    ["there is no `signed`", `${prefix}.signed`, false, make(undefined)],
    ["`signed` has no token", `${prefix}.properties`, false, make(signJson({ mxid: carol }, identity))],
    ["`signed` has no `mxid`", `${prefix}.properties`, false, make(signJson({ token: TOKEN }, identity))],
    [
      "`signed` is about somebody else",
      `${prefix}.mxid`,
      false,
      make(signJson({ mxid: "@dave:a.example", token: TOKEN }, identity)),
    ],
    [
      "the token was not issued in the room",
      `${prefix}.event`,
      false,
      make(signJson({ mxid: carol, token: "unknown" }, identity)),
    ],
    ["somebody else issued it", `${prefix}.sender`, false, make(good, issued, {}, alice)],
    ["an invite to a third party by who may invite", "third-party-invite", true, levels(50)],
    ["an invite to a third party by who may not invite", "third-party-invite", false, levels(51)],
  ];
}

function levelRows(rules: RoomVersionRules): readonly Row[] {
  const bare = new Stage(rules, { creator: alice });
  const own = rules.auth.creatorPower === "infinite" ? {} : { [alice]: 100 };
  const first = (content: JsonObject): Made => bare.request(stateEvent("m.room.power_levels", alice, content));
  const has = (rule: RuleName): boolean => rules.auth.numbering[rule] !== undefined;
  const rows: Row[] = [
    ["the first power levels of a room", "power-levels.first", true, first({ users: { ...own, [bob]: 1000 } })],
  ];
  const edit = (level: number): Made =>
    stageOf(rules, {}, { state_default: 50 }).request(
      stateEvent("m.room.power_levels", bob, { state_default: 50, users: { ...own, [bob]: 50, [carol]: level } }),
    );
  rows.push(
    ["a new user gets the sender's own level", "power-levels.allow", true, edit(50)],
    ["a new user gets more than the sender has", "power-levels.user-new", false, edit(51)],
  );
  const byType = (level: number): Made =>
    stageOf(rules, {}, { state_default: 50 }).request(
      stateEvent("m.room.power_levels", bob, {
        state_default: 50,
        users: { ...own, [bob]: 50 },
        events: { "m.room.name": level },
      }),
    );
  rows.push(
    ["a type gets the sender's own level", "power-levels.allow", true, byType(50)],
    ["a type gets more than the sender has", "power-levels.entry-new", false, byType(51)],
    [
      "an invite by who has not the power to invite",
      "member.invite.otherwise",
      false,
      stageOf(rules, {}, { invite: 51 }).request(membershipEvent(bob, carol, "invite")),
    ],
  );
  if (has("power-levels.scalars"))
    rows.push(
      ["a level is a string", "power-levels.scalars", false, first({ users: own, ban: "50" })],
      ["`events` holds a string", "power-levels.maps", false, first({ users: own, events: { "m.room.name": "50" } })],
      ["`notifications` is no object", "power-levels.maps", false, first({ users: own, notifications: 50 })],
    );
  return rows;
}

function aliasRows(rules: RoomVersionRules): readonly Row[] {
  const stage = stageOf(rules);
  const aliases = (stateKey: string | undefined): Made =>
    stage.request({
      type: "m.room.aliases",
      sender: bob,
      content: { aliases: [] },
      ...(stateKey === undefined ? {} : { stateKey }),
    });
  const outsider = "@eve:c.example";
  return [
    ["aliases of the sender's server", "aliases.allow", true, aliases("b.example:8448")],
    [
      "aliases of a sender who is no member",
      "aliases.allow",
      true,
      stage.request({ type: "m.room.aliases", stateKey: "c.example", sender: outsider, content: { aliases: [] } }),
    ],
    ["aliases of another server", "aliases.domain", false, aliases("a.example")],
    ["aliases of the server's name without its port", "aliases.domain", false, aliases("b.example")],
    ["aliases without a state key", "aliases.state-key", false, aliases(undefined)],
  ];
}

function redactionRows(rules: RoomVersionRules): readonly Row[] {
  const redaction = (level: number, redacts: string): Made =>
    stageOf(rules, {}, { redact: level }).request({ type: "m.room.redaction", sender: bob, content: {}, redacts });
  return [
    ["a redaction by who may redact", "redaction.level", true, redaction(50, "$other:a.example")],
    ["a redaction of an event of the same server", "redaction.domain", true, redaction(51, "$own:b.example:8448")],
    ["a redaction of an event of another server", "redaction.otherwise", false, redaction(51, "$other:a.example")],
    ["a redaction of an event of another port", "redaction.otherwise", false, redaction(51, "$other:b.example")],
  ];
}
