/** What each operation is over HTTP, there and back, by the examples of the server-server API. */
import { describe, expect, it } from "vitest";
import {
  decodeAnswer,
  decodeRequest,
  encodeAnswer,
  encodeRequest,
  isUnknownEndpoint,
  methodsOf,
} from "../../src/adapters/http/wire/index.js";
import type { WireRequest } from "../../src/adapters/http/wire/index.js";
import { operationTable } from "../../src/federation/index.js";
import { encodeCanonical, JsonFloat, parseLax } from "../../src/json/index.js";
import type { JsonValue } from "../../src/json/index.js";
import type { OperationAnswer, OperationName, OperationRequest, OperationResult } from "../../src/ports/index.js";

const context = { origin: "one.example", now: 1_549_041_175_876 };
const ROOM = "!abc123:matrix.org";
const room = "%21abc123%3Amatrix.org";
const USER = "@someone:example.org";
const user = "%40someone%3Aexample.org";
const EVENT = "$Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";
const event = "%24Rqnc-F-dvnEYJTyHq_iKxU2bZ1CI92-kuZq3a5lr5Zg";
const pdu = { type: "m.room.member", state_key: USER, content: { membership: "join" } };
const V1 = "/_matrix/federation/v1";
const V2 = "/_matrix/federation/v2";

/** One operation: what is asked, and how; what is answered, and how. */
interface Example<N extends OperationName> {
  readonly request: OperationRequest<N>;
  readonly asked: readonly WireRequest[];
  readonly answer: OperationAnswer<N>;
  /** One for all ways of asking, or one for each. */
  readonly answered: JsonValue;
  readonly answeredOtherwise?: JsonValue;
}

const bodyOfInvite = { room_version: "2", event: pdu, invite_room_state: [{ type: "m.room.create" }] };
const transaction = { origin: "one.example", origin_server_ts: 1_549_041_175_876, pdus: [pdu] };

const examples: { readonly [N in OperationName]: Example<N> } = {
  invite: {
    request: {
      roomId: ROOM,
      eventId: EVENT,
      roomVersion: "2",
      event: pdu,
      inviteRoomState: [{ type: "m.room.create" }],
    },
    asked: [
      { method: "PUT", uri: `${V2}/invite/${room}/${event}`, content: bodyOfInvite },
      {
        method: "PUT",
        uri: `${V1}/invite/${room}/${event}`,
        content: { ...pdu, unsigned: { invite_room_state: [{ type: "m.room.create" }] } },
      },
    ],
    answer: { event: pdu },
    answered: { event: pdu },
    answeredOtherwise: [200, { event: pdu }],
  },
  make_join: {
    request: { roomId: ROOM, userId: USER, versions: ["1", "org.example&v=2"] },
    asked: [{ method: "GET", uri: `${V1}/make_join/${room}/${user}?ver=1&ver=org.example%26v%3D2` }],
    answer: { roomVersion: "2", event: pdu },
    answered: { room_version: "2", event: pdu },
  },
  send_join: {
    request: { roomId: ROOM, eventId: EVENT, event: pdu, omitMembers: true },
    asked: [{ method: "PUT", uri: `${V2}/send_join/${room}/${event}?omit_members=true`, content: pdu }],
    answer: {
      event: pdu,
      state: [pdu],
      authChain: [],
      membersOmitted: true,
      serversInRoom: ["matrix.org", "example.com"],
    },
    answered: {
      event: pdu,
      state: [pdu],
      auth_chain: [],
      members_omitted: true,
      servers_in_room: ["matrix.org", "example.com"],
    },
  },
  make_knock: {
    request: { roomId: ROOM, userId: USER, versions: ["7"] },
    asked: [{ method: "GET", uri: `${V1}/make_knock/${room}/${user}?ver=7` }],
    answer: { roomVersion: "7", event: pdu },
    answered: { room_version: "7", event: pdu },
  },
  send_knock: {
    request: { roomId: ROOM, eventId: EVENT, event: pdu },
    asked: [{ method: "PUT", uri: `${V1}/send_knock/${room}/${event}`, content: pdu }],
    answer: { knockRoomState: [pdu] },
    answered: { knock_room_state: [pdu] },
  },
  make_leave: {
    request: { roomId: ROOM, userId: USER },
    asked: [{ method: "GET", uri: `${V1}/make_leave/${room}/${user}` }],
    answer: { roomVersion: "11", event: pdu },
    answered: { room_version: "11", event: pdu },
  },
  send_leave: {
    request: { roomId: ROOM, eventId: EVENT, event: pdu },
    asked: [{ method: "PUT", uri: `${V2}/send_leave/${room}/${event}`, content: pdu }],
    answer: {},
    answered: {},
  },
  exchange_third_party_invite: {
    request: { roomId: ROOM, event: pdu },
    asked: [{ method: "PUT", uri: `${V1}/exchange_third_party_invite/${room}`, content: pdu }],
    answer: {},
    answered: {},
  },
  event: {
    request: { eventId: EVENT },
    asked: [{ method: "GET", uri: `${V1}/event/${event}` }],
    answer: { event: pdu },
    answered: transaction,
  },
  state: {
    request: { roomId: ROOM, eventId: EVENT },
    asked: [{ method: "GET", uri: `${V1}/state/${room}?event_id=${event}` }],
    answer: { state: [pdu], authChain: [pdu, pdu] },
    answered: { pdus: [pdu], auth_chain: [pdu, pdu] },
  },
  state_ids: {
    request: { roomId: ROOM, eventId: EVENT },
    asked: [{ method: "GET", uri: `${V1}/state_ids/${room}?event_id=${event}` }],
    answer: { stateIds: ["$an_event:example.org"], authChainIds: [] },
    answered: { pdu_ids: ["$an_event:example.org"], auth_chain_ids: [] },
  },
  event_auth: {
    request: { roomId: ROOM, eventId: EVENT },
    asked: [{ method: "GET", uri: `${V1}/event_auth/${room}/${event}` }],
    answer: { authChain: [pdu] },
    answered: { auth_chain: [pdu] },
  },
  backfill: {
    request: { roomId: ROOM, from: [EVENT, "$abc123:matrix.org"], limit: 2 },
    asked: [{ method: "GET", uri: `${V1}/backfill/${room}?v=${event}&v=%24abc123%3Amatrix.org&limit=2` }],
    answer: { events: [pdu] },
    answered: transaction,
  },
  get_missing_events: {
    request: { roomId: ROOM, earliest: ["$a"], latest: ["$b"], limit: 10, minDepth: 0 },
    asked: [
      {
        method: "POST",
        uri: `${V1}/get_missing_events/${room}`,
        content: { earliest_events: ["$a"], latest_events: ["$b"], limit: 10, min_depth: 0 },
      },
    ],
    answer: { events: [pdu] },
    answered: { events: [pdu] },
  },
  timestamp_to_event: {
    request: { roomId: ROOM, ts: 1_432_684_800_000, dir: "f" },
    asked: [{ method: "GET", uri: `${V1}/timestamp_to_event/${room}?ts=1432684800000&dir=f` }],
    answer: { eventId: "$143273582443PhrSn:example.org", originServerTs: 1_432_735_824_653 },
    answered: { event_id: "$143273582443PhrSn:example.org", origin_server_ts: 1_432_735_824_653 },
  },
  send: {
    request: { transactionId: "t/1 ?", pdus: [pdu], edus: [{ edu_type: "m.presence" }] },
    asked: [
      { method: "PUT", uri: `${V1}/send/t%2F1%20%3F`, content: { ...transaction, edus: [{ edu_type: "m.presence" }] } },
    ],
    answer: { pdus: { "$failed:example.org": { error: "not allowed" }, "$good:example.org": {} } },
    answered: { pdus: { "$failed:example.org": { error: "not allowed" }, "$good:example.org": {} } },
  },
  policy_sign: {
    request: { event: pdu },
    asked: [{ method: "POST", uri: "/_matrix/policy/v1/sign", content: pdu }],
    answer: { signatures: { "policy.example.org": { "ed25519:policy_server": "zLFxllD0" } } },
    answered: { "policy.example.org": { "ed25519:policy_server": "zLFxllD0" } },
  },
  user_devices: {
    request: { userId: USER },
    asked: [{ method: "GET", uri: `${V1}/user/devices/${user}` }],
    answer: { userId: USER, streamId: 5, devices: [{ device_id: "JLAFKJWSCS" }], masterKey: { usage: ["master"] } },
    answered: {
      user_id: USER,
      stream_id: 5,
      devices: [{ device_id: "JLAFKJWSCS" }],
      master_key: { usage: ["master"] },
    },
  },
  server_keys: {
    request: {},
    asked: [{ method: "GET", uri: "/_matrix/key/v2/server" }],
    answer: { keys: { server_name: "two.example" } },
    answered: { server_name: "two.example" },
  },
  query_keys: {
    request: { serverKeys: { "example.org": { "ed25519:abc123": { minimumValidUntilTs: 1_234_567_890 } } } },
    asked: [
      {
        method: "POST",
        uri: "/_matrix/key/v2/query",
        content: { server_keys: { "example.org": { "ed25519:abc123": { minimum_valid_until_ts: 1_234_567_890 } } } },
      },
    ],
    answer: { serverKeys: [{ server_name: "example.org" }] },
    answered: { server_keys: [{ server_name: "example.org" }] },
  },
  query_directory: {
    request: { roomAlias: "#room_alias:example.org" },
    asked: [{ method: "GET", uri: `${V1}/query/directory?room_alias=%23room_alias%3Aexample.org` }],
    answer: { roomId: "!roomid1234:example.org", servers: ["example.org", "another.example.com:8449"] },
    answered: { room_id: "!roomid1234:example.org", servers: ["example.org", "another.example.com:8449"] },
  },
  query_profile: {
    request: { userId: USER, field: "m.tz" },
    asked: [{ method: "GET", uri: `${V1}/query/profile?user_id=${user}&field=m.tz` }],
    answer: { profile: { displayname: "John Doe" } },
    answered: { displayname: "John Doe" },
  },
  public_rooms: {
    request: { limit: 10, since: "GetMore", includeAllNetworks: false, thirdPartyInstanceId: "irc-freenode" },
    asked: [
      {
        method: "POST",
        uri: `${V1}/publicRooms`,
        content: {
          limit: 10,
          since: "GetMore",
          include_all_networks: false,
          third_party_instance_id: "irc-freenode",
        },
      },
      {
        method: "GET",
        uri: `${V1}/publicRooms?limit=10&since=GetMore&include_all_networks=false&third_party_instance_id=irc-freenode`,
      },
    ],
    answer: { chunk: [{ room_id: ROOM }], nextBatch: "p190q", prevBatch: "p1902", totalRoomCountEstimate: 115 },
    answered: { chunk: [{ room_id: ROOM }], next_batch: "p190q", prev_batch: "p1902", total_room_count_estimate: 115 },
  },
  hierarchy: {
    request: { roomId: ROOM, suggestedOnly: true },
    asked: [{ method: "GET", uri: `${V1}/hierarchy/${room}?suggested_only=true` }],
    answer: { room: { room_id: ROOM }, children: [{ room_id: "!b:b" }], inaccessibleChildren: ["!secret:example.org"] },
    answered: {
      room: { room_id: ROOM },
      children: [{ room_id: "!b:b" }],
      inaccessible_children: ["!secret:example.org"],
    },
  },
  openid_userinfo: {
    request: { accessToken: "SomeT0kenHere+/=" },
    asked: [{ method: "GET", uri: `${V1}/openid/userinfo?access_token=SomeT0kenHere%2B%2F%3D` }],
    answer: { sub: "@alice:example.com" },
    answered: { sub: "@alice:example.com" },
  },
  version: {
    request: {},
    asked: [{ method: "GET", uri: `${V1}/version` }],
    answer: { name: "My_Homeserver_Implementation", version: "1.0" },
    answered: { server: { name: "My_Homeserver_Implementation", version: "1.0" } },
  },
};
const names = Object.keys(examples) as OperationName[];

/** As text, and back. */
function travelled(content: JsonValue | undefined): JsonValue | undefined {
  if (content === undefined) return undefined;
  const parsed = parseLax(encodeCanonical(content));
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

function decoded(method: string, uri: string, content?: JsonValue): unknown {
  const read = decodeRequest(method, uri, content);
  return read.ok ? read.request : { status: read.status, code: read.error.code };
}

describe.each(names)("%s over HTTP", (name) => {
  const { request, asked, answer, answered, answeredOtherwise = answered } = examples[name];
  const endpoints = operationTable[name].endpoints;
  const ok = { ok: true, value: answer } as OperationResult<typeof name>;

  it("is asked as the spec says", () => {
    expect(encodeRequest(name, request, context)).toEqual(asked);
  });

  it("is understood, in each way of asking", () => {
    for (const [at, { method, uri, content }] of asked.entries()) {
      const read = decodeRequest(method, uri, travelled(content));
      if (!read.ok) throw new Error(read.error.reason);
      const endpoint = endpoints.find((one) => one.method === method && uri.startsWith(one.path.split("{")[0] ?? "?"));
      expect(read.name).toBe(name);
      expect(read.endpoint).toBe(endpoint);
      // The first version of the endpoint names no version.
      const wanted = name === "invite" && at === 1 ? { ...request, roomVersion: "1" } : request;
      if (name === "invite" && at === 1) {
        expect(read.request).toMatchObject({ ...wanted, event: { ...pdu, unsigned: {} } });
      } else expect(read.request).toEqual(wanted);
    }
  });

  it("is answered as the spec says, and the answer is understood", () => {
    for (const [at, endpoint] of endpoints.entries()) {
      const body = at === 0 ? answered : answeredOtherwise;
      expect(encodeAnswer(name, endpoint, ok, context)).toEqual({ status: 200, content: body });
    }
    for (const [at, one] of asked.entries()) {
      const content = travelled(at === 0 ? answered : answeredOtherwise);
      expect(decodeAnswer(name, one, { status: 200, content })).toEqual(ok);
    }
  });

  it("fails as the spec says, and the failure is understood", () => {
    const error = { code: "forbidden", reason: "not in the room" } as const;
    for (const endpoint of endpoints) {
      const written = encodeAnswer(name, endpoint, { ok: false, error }, context);
      expect(written).toEqual({ status: 403, content: { errcode: "M_FORBIDDEN", error: "not in the room" } });
      for (const one of asked) expect(decodeAnswer(name, one, written)).toEqual({ ok: false, error });
    }
  });

  it("has no other method", () => {
    for (const { uri } of asked) {
      const known = methodsOf(uri);
      for (const method of ["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "get"]) {
        if (known.some((one) => one === method)) continue;
        expect(decoded(method, uri)).toEqual({ status: 405, code: "unrecognized" });
      }
    }
  });

  it("takes any answer without failing, and calls `internal` what is none", () => {
    for (const content of [undefined, null, 1, "text", [], [200], [200, []], [[]], new JsonFloat(1.5, "1.5")]) {
      for (const one of asked) {
        const read = decodeAnswer(name, one, { status: 200, content });
        if (!read.ok) expect(read.error).toEqual({ code: "internal", reason: `the answer is none to ${name}` });
      }
    }
    for (const one of asked) expect(decodeAnswer(name, one, { status: 200, content: undefined }).ok).toBe(false);
  });
});

describe("what arrives at endpoints of federation", () => {
  it.each([
    ["an unknown path", "GET", `${V1}/nothing`],
    ["a path that goes on", "GET", `${V1}/version/1`],
    ["a path that ends early", "PUT", `${V1}/send`],
    ["a parameter that is empty", "PUT", `${V1}/send/`],
    ["an escaped name of an endpoint", "GET", `${V1}/%76ersion`],
    ["endpoints that were removed from the spec", "PUT", `${V1}/send_join/${room}/${event}`],
    ["another API", "GET", "/_matrix/client/v3/sync"],
    ["nothing at all", "GET", ""],
  ])("%s is 404 and unrecognized", (_, method, uri) => {
    expect(decoded(method, uri)).toEqual({ status: 404, code: "unrecognized" });
  });

  it.each([`${V1}/event/%24a%ff`, `${V1}/event/%2`, `${V1}/event/%ed%a0%80`, `${V1}/query/directory?room_alias=%zz`])(
    "%s is not escaped UTF-8",
    (uri) => {
      expect(decoded("GET", uri)).toEqual({ status: 400, code: "invalid_param" });
    },
  );

  it("is decoded once", () => {
    expect(decoded("GET", `${V1}/event/%2524a%252Fb`)).toEqual({ eventId: "%24a%2Fb" });
    expect(decoded("GET", `${V1}/event/$a+b%2Fc`)).toEqual({ eventId: "$a+b/c" });
    expect(decoded("GET", `${V1}/query/directory?room_alias=%23a+b%2Bc:d&&x&room_alias=second`)).toEqual({
      roomAlias: "#a b+c:d",
    });
  });

  it("may leave things out, for which the spec has defaults", () => {
    expect(decoded("GET", `${V1}/make_join/!r/@u`)).toEqual({ roomId: "!r", userId: "@u", versions: ["1"] });
    expect(decoded("GET", `${V1}/make_knock/!r/@u`)).toEqual({ roomId: "!r", userId: "@u", versions: [] });
    expect(decoded("POST", `${V1}/get_missing_events/!r`, { latest_events: ["$a"] })).toEqual({
      roomId: "!r",
      latest: ["$a"],
      limit: 10,
      minDepth: 0,
    });
    expect(decoded("PUT", `${V2}/invite/!r/$e`, { room_version: "10", event: pdu })).toMatchObject({
      inviteRoomState: [],
    });
    expect(decoded("GET", `${V1}/publicRooms`)).toEqual({});
    expect(decoded("GET", `${V1}/backfill/!r`)).toEqual({ roomId: "!r", from: [] });
  });

  it("is handed on as it is where it is of another type", () => {
    expect(decoded("GET", `${V1}/backfill/!r?v=$a&limit=many`)).toEqual({ roomId: "!r", from: ["$a"], limit: "many" });
    expect(decoded("GET", `${V1}/timestamp_to_event/!r?ts=1e3&dir=x`)).toEqual({ roomId: "!r", ts: "1e3", dir: "x" });
    expect(decoded("GET", `${V1}/backfill/!r?limit=9999999999999999`)).toMatchObject({ limit: "9999999999999999" });
    expect(decoded("GET", `${V1}/hierarchy/!r?suggested_only=1`)).toEqual({ roomId: "!r", suggestedOnly: "1" });
    expect(decoded("PUT", `${V2}/send_join/!r/$e?omit_members=yes`, [])).toEqual({
      roomId: "!r",
      eventId: "$e",
      event: [],
      omitMembers: "yes",
    });
    expect(decoded("POST", "/_matrix/key/v2/query", { server_keys: { a: 1, b: { c: [] } } })).toEqual({
      serverKeys: { a: 1, b: { c: [] } },
    });
    expect(decoded("POST", "/_matrix/key/v2/query", {})).toEqual({});
    expect(decoded("POST", `${V1}/publicRooms`, { filter: 7 })).toEqual({ filter: 7 });
    expect(decoded("PUT", `${V1}/send/t`, { pdus: {} })).toEqual({ transactionId: "t", pdus: {} });
  });

  it("must have an object for a body, where the body has fields", () => {
    const paths = [
      ["PUT", `${V1}/send/t`],
      ["POST", `${V1}/get_missing_events/!r`],
      ["PUT", `${V2}/invite/!r/$e`],
      ["POST", `${V1}/publicRooms`],
      ["POST", "/_matrix/key/v2/query"],
    ] as const;
    for (const [method, uri] of paths) {
      for (const body of [undefined, null, [], "text"]) {
        expect(decoded(method, uri, body)).toEqual({ status: 400, code: "bad_request" });
      }
    }
  });

  it("may ask a notary for all keys of one server", () => {
    const uri = "/_matrix/key/v2/query/example.org%3A8448";
    expect(decoded("GET", `${uri}?minimum_valid_until_ts=1`)).toEqual({ serverKeys: { "example.org:8448": {} } });
    const asked = encodeRequest("query_keys", { serverKeys: { "example.org:8448": {} } }, context);
    expect(asked.map((one) => one.uri)).toEqual(["/_matrix/key/v2/query", uri]);
    const two = { serverKeys: { a: {}, b: {} } };
    expect(encodeRequest("query_keys", two, context)).toHaveLength(1);
  });
});

describe("ways of asking", () => {
  const invite = { roomId: ROOM, eventId: EVENT, event: pdu, inviteRoomState: [] };

  it("of version 1 are for rooms of versions 1 and 2", () => {
    for (const [roomVersion, ways] of [
      ["1", 2],
      ["2", 2],
      ["3", 1],
      ["11", 1],
    ] as const) {
      expect(encodeRequest("invite", { ...invite, roomVersion }, context)).toHaveLength(ways);
    }
  });

  it("keep what stands beside an event in the first version of invites", () => {
    const beside = { ...pdu, unsigned: { age: 3, invite_room_state: "other" } };
    const [, second] = encodeRequest("invite", { ...invite, roomVersion: "1", event: beside }, context);
    expect(second?.content).toEqual({ ...pdu, unsigned: { age: 3, invite_room_state: [] } });
  });

  it("do without a filter in a GET", () => {
    expect(encodeRequest("public_rooms", { filter: {} }, context)).toEqual([
      { method: "POST", uri: `${V1}/publicRooms`, content: { filter: {} } },
    ]);
  });

  it("are given up where the answer says that there is no such endpoint", () => {
    const unrecognized = { errcode: "M_UNRECOGNIZED", error: "" };
    expect(isUnknownEndpoint({ status: 404, content: unrecognized })).toBe(true);
    expect(isUnknownEndpoint({ status: 405, content: unrecognized })).toBe(true);
    // Of older servers.
    expect(isUnknownEndpoint({ status: 400, content: unrecognized })).toBe(true);
    expect(isUnknownEndpoint({ status: 404, content: undefined })).toBe(true);
    expect(isUnknownEndpoint({ status: 404, content: { errcode: 5 } })).toBe(true);
    expect(isUnknownEndpoint({ status: 404, content: { errcode: "M_NOT_FOUND" } })).toBe(false);
    expect(isUnknownEndpoint({ status: 400, content: undefined })).toBe(false);
    expect(isUnknownEndpoint({ status: 500, content: unrecognized })).toBe(false);
    expect(isUnknownEndpoint({ status: 200, content: {} })).toBe(false);
  });
});

describe("answers as other servers write them", () => {
  const read = <N extends OperationName>(name: N, request: OperationRequest<N>, content: JsonValue): unknown => {
    const [asked] = encodeRequest(name, request, context);
    if (asked === undefined) throw new Error("it cannot be asked");
    const result = decodeAnswer(name, asked, { status: 200, content });
    return result.ok ? result.value : result.error.code;
  };

  it("may be empty to a transaction", () => {
    expect(read("send", { transactionId: "t", pdus: [] }, {})).toEqual({ pdus: {} });
  });

  it("may leave out the version of an old room, and a join that nobody had to sign", () => {
    expect(read("make_join", { roomId: ROOM, userId: USER, versions: ["1"] }, { event: pdu })).toEqual({
      roomVersion: "1",
      event: pdu,
    });
    const sent = { roomId: ROOM, eventId: EVENT, event: { sent: true } };
    expect(read("send_join", sent, { state: [], auth_chain: [], origin: "x" })).toEqual({
      event: { sent: true },
      state: [],
      authChain: [],
    });
  });

  it("may lack what they should have: whoever asked finds it absent", () => {
    expect(read("state", { roomId: ROOM, eventId: EVENT }, {})).toEqual({});
    expect(read("backfill", { roomId: ROOM, from: [], limit: 1 }, { pdus: 3 })).toEqual({ events: 3 });
    expect(read("event", { eventId: EVENT }, { pdus: [] })).toBe("internal");
    expect(read("event", { eventId: EVENT }, { pdus: {} })).toBe("internal");
    expect(read("version", {}, {})).toBe("internal");
  });

  it("may be of any success, and of any failure", () => {
    const [asked] = encodeRequest("version", {}, context);
    if (asked === undefined) throw new Error("it cannot be asked");
    expect(decodeAnswer("version", asked, { status: 204, content: { server: {} } })).toEqual({ ok: true, value: {} });
    expect(decodeAnswer("version", asked, { status: 302, content: { server: {} } }).ok).toBe(false);
    expect(decodeAnswer("version", asked, { status: 502, content: undefined })).toEqual({
      ok: false,
      error: { code: "unreachable", reason: "status 502" },
    });
  });
});
