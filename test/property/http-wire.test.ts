/** Whatever an operation may hold comes back from HTTP as it was, asked and answered. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from "../../src/adapters/http/wire/index.js";
import { operationTable } from "../../src/federation/index.js";
import { encodeCanonical, parseLax } from "../../src/json/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { OperationName, OperationRequest, OperationResult, Operations } from "../../src/ports/index.js";
import { runs, seed } from "./laws-support.js";

type Made<T> = fc.Arbitrary<T>;

const context = { origin: "one.example", now: 1_700_000_000_000 };
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.constantFrom("", "a/b?c=d&e%2F+;#", "..", "__proto__", "%00", "häß 😀"),
);
/** What a path can say. */
const name = fc
  .oneof(fc.string({ unit: "binary" }), fc.constantFrom("!r:a", "%2e", "...", "a//b", "a+b c"))
  .filter((one) => one !== "" && one !== "." && one !== "..");
const integer = fc.maxSafeInteger();
const json = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<JsonValue>(null, true, false),
    integer,
    fc.bigInt(2n ** 60n, 2n ** 70n),
    text,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.array(fc.tuple(text, tie("value")), { maxLength: 3 }).map((pairs): JsonValue => Object.fromEntries(pairs)),
  ),
})).value;
const object: Made<JsonObject> = fc
  .array(fc.tuple(text, json), { maxLength: 4 })
  .map((pairs): JsonObject => Object.fromEntries(pairs));
const events = fc.array(object, { maxLength: 3 });
const texts = fc.array(text, { maxLength: 3 });
const template = fc.record({ roomVersion: text, event: object });
const handed = { roomId: name, eventId: name, event: object };
const atEvent = fc.record({ roomId: name, eventId: text });
const byServer = fc.dictionary(
  text,
  fc.dictionary(text, fc.record({ minimumValidUntilTs: integer }, { requiredKeys: [] }), { maxKeys: 3 }),
  { maxKeys: 3 },
);

const operations: {
  readonly [N in OperationName]: {
    readonly request: Made<Operations[N]["request"]>;
    readonly answer: Made<Operations[N]["answer"]>;
  };
} = {
  invite: {
    request: fc.record({ ...handed, roomVersion: text, inviteRoomState: fc.array(json, { maxLength: 3 }) }),
    answer: fc.record({ event: object }),
  },
  make_join: {
    // None at all stands for version 1.
    request: fc.record({ roomId: name, userId: name, versions: fc.array(text, { minLength: 1, maxLength: 4 }) }),
    answer: template,
  },
  send_join: {
    request: fc.record({ ...handed, omitMembers: fc.boolean() }, { requiredKeys: ["roomId", "eventId", "event"] }),
    answer: fc.record(
      { event: object, state: events, authChain: events, membersOmitted: fc.boolean(), serversInRoom: texts },
      { requiredKeys: ["event", "state", "authChain"] },
    ),
  },
  make_knock: { request: fc.record({ roomId: name, userId: name, versions: texts }), answer: template },
  send_knock: { request: fc.record(handed), answer: fc.record({ knockRoomState: events }) },
  make_leave: { request: fc.record({ roomId: name, userId: name }), answer: template },
  send_leave: { request: fc.record(handed), answer: fc.constant({}) },
  exchange_third_party_invite: { request: fc.record({ roomId: name, event: object }), answer: fc.constant({}) },
  // The room is left out on the way.
  event: { request: fc.record({ eventId: name }), answer: fc.record({ event: json }) },
  state: { request: atEvent, answer: fc.record({ state: events, authChain: events }) },
  state_ids: { request: atEvent, answer: fc.record({ stateIds: texts, authChainIds: texts }) },
  event_auth: { request: fc.record({ roomId: name, eventId: name }), answer: fc.record({ authChain: events }) },
  backfill: {
    request: fc.record({ roomId: name, from: texts, limit: integer }),
    answer: fc.record({ events }),
  },
  get_missing_events: {
    request: fc.record({ roomId: name, earliest: texts, latest: texts, limit: integer, minDepth: integer }),
    answer: fc.record({ events }),
  },
  timestamp_to_event: {
    request: fc.record({ roomId: name, ts: integer, dir: fc.constantFrom("f" as const, "b" as const) }),
    answer: fc.record({ eventId: text, originServerTs: integer }),
  },
  send: {
    request: fc.record(
      { transactionId: name, pdus: events, edus: events },
      { requiredKeys: ["transactionId", "pdus"] },
    ),
    answer: fc.record({ pdus: fc.dictionary(text, fc.record({ error: text }, { requiredKeys: [] })) }),
  },
  policy_sign: { request: fc.record({ event: json }), answer: fc.record({ signatures: json }) },
  user_devices: {
    request: fc.record({ userId: name }),
    answer: fc.record(
      { userId: text, streamId: integer, devices: events, masterKey: object, selfSigningKey: object },
      { requiredKeys: ["userId", "streamId", "devices"] },
    ),
  },
  server_keys: { request: fc.constant({}), answer: fc.record({ keys: object }) },
  query_keys: { request: fc.record({ serverKeys: byServer }), answer: fc.record({ serverKeys: events }) },
  query_directory: {
    request: fc.record({ roomAlias: text }),
    answer: fc.record({ roomId: text, servers: texts }),
  },
  query_profile: {
    request: fc.record({ userId: text, field: text }, { requiredKeys: ["userId"] }),
    answer: fc.record({ profile: object }),
  },
  public_rooms: {
    request: fc.record(
      {
        limit: integer,
        since: text,
        filter: fc.record(
          { genericSearchTerm: text, roomTypes: fc.array(fc.option(text), { maxLength: 3 }) },
          { requiredKeys: [] },
        ),
        includeAllNetworks: fc.boolean(),
        thirdPartyInstanceId: text,
      },
      { requiredKeys: [] },
    ),
    answer: fc.record(
      { chunk: events, nextBatch: text, prevBatch: text, totalRoomCountEstimate: integer },
      { requiredKeys: ["chunk"] },
    ),
  },
  hierarchy: {
    request: fc.record({ roomId: name, suggestedOnly: fc.boolean() }, { requiredKeys: ["roomId"] }),
    answer: fc.record({ room: object, children: events, inaccessibleChildren: texts }),
  },
  openid_userinfo: { request: fc.record({ accessToken: text }), answer: fc.record({ sub: text }) },
  version: {
    request: fc.constant({}),
    answer: fc.record({ name: text, version: text }, { requiredKeys: [] }),
  },
};
const names = Object.keys(operations) as OperationName[];

function travelled(content: JsonValue | undefined): JsonValue | undefined {
  if (content === undefined) return undefined;
  const parsed = parseLax(encodeCanonical(content));
  if (!parsed.ok) throw new Error(parsed.error.reason);
  return parsed.value;
}

/** What the first version of an endpoint cannot say. */
function asUnderstood<N extends OperationName>(at: number, asked: N, request: OperationRequest<N>): unknown {
  if (asked !== "invite" || at === 0) return request;
  const { event, inviteRoomState } = request as OperationRequest<"invite">;
  const { unsigned } = event as JsonObject;
  const beside = typeof unsigned === "object" && unsigned !== null && !Array.isArray(unsigned) ? unsigned : {};
  const written = { ...(event as JsonObject), unsigned: { ...beside, invite_room_state: inviteRoomState } };
  return { ...request, roomVersion: "1", event: written };
}

const parameters = { numRuns: runs(100), seed };

describe.each(names)("%s over HTTP", (asked) => {
  const requests = operations[asked].request as Made<OperationRequest<typeof asked>>;
  const answers = operations[asked].answer as Made<never>;

  it("brings every request", () => {
    const brings = fc.property(requests, (request) => {
      const ways = encodeRequest(asked, request, context);
      expect(ways.length).toBeGreaterThan(0);
      for (const [at, { method, uri, content }] of ways.entries()) {
        // What no platform escapes a second time, or reads as another path.
        expect(uri).toMatch(/^\/_matrix\/[\w%/.~-]*(\?[\w%.~=&-]*)?$/);
        expect(new URL(`https://x${uri}`).href).toBe(`https://x${uri}`);
        const read = decodeRequest(method, uri, travelled(content));
        expect(read).toMatchObject({ ok: true, name: asked });
        if (read.ok) expect(read.request).toEqual(asUnderstood(at, asked, request));
      }
    });
    fc.assert(brings, parameters);
  });

  it("brings every answer back", () => {
    const brings = fc.property(requests, answers, (request, value) => {
      const result: OperationResult<typeof asked> = { ok: true, value };
      for (const way of encodeRequest(asked, request, context)) {
        const read = decodeRequest(way.method, way.uri, way.content);
        if (!read.ok) throw new Error(read.error.reason);
        const { status, content } = encodeAnswer(asked, read.endpoint, result, context);
        expect(decodeAnswer(asked, way, { status, content: travelled(content) })).toEqual(result);
      }
    });
    fc.assert(brings, parameters);
  });
});

const anyJson = fc.oneof(json, fc.constant(undefined));
const endpoints = names.flatMap((one) => operationTable[one].endpoints);

it("no request is too strange to be answered", () => {
  const values = fc.array(text, { minLength: 2, maxLength: 2 });
  const takes = fc.property(
    fc.constantFrom(...endpoints),
    values,
    text,
    anyJson,
    ({ method, path }, given, query, content) => {
      let at = 0;
      const uri = path.replace(/\{\w+\}/g, () => given[at++] ?? "") + (query === "" ? "" : `?${query}`);
      const read = decodeRequest(method, uri, content);
      expect([200, 400, 404, 405]).toContain(read.ok ? 200 : read.status);
    },
  );
  fc.assert(takes, { ...parameters, numRuns: runs(1000) });
});

it("no answer is too strange to be taken", () => {
  const statuses = fc.integer({ min: 100, max: 599 });
  const takes = fc.property(fc.constantFrom(...names), statuses, anyJson, (asked, status, content) => {
    const [way] = encodeRequest(asked, sample(asked), context);
    if (way === undefined) throw new Error("it cannot be asked");
    const result = decodeAnswer(asked, way, { status, content });
    if (status < 200 || status > 299) expect(result.ok).toBe(false);
    expect(typeof (result.ok ? result.value : result.error)).toBe("object");
  });
  fc.assert(takes, { ...parameters, numRuns: runs(1000) });
});

it("what no path can say is not asked", () => {
  for (const eventId of ["", ".", ".."]) expect(encodeRequest("event", { eventId }, context)).toEqual([]);
  const surrogate = encodeRequest("event", { eventId: "$\ud800" }, context);
  expect(surrogate.map(({ uri }) => uri)).toEqual(["/_matrix/federation/v1/event/%24%EF%BF%BD"]);
});

function sample(asked: OperationName): OperationRequest<OperationName> {
  const [request] = fc.sample<OperationRequest<OperationName>>(operations[asked].request, { numRuns: 1, seed: 1 });
  if (request === undefined) throw new Error("there is no sample");
  return request;
}
