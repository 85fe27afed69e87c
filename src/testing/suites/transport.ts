/** The promises of a transport. */
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { OperationAnswer, OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Receiver, Transport } from "../../ports/transport.js";
import { expectEqual, expectTrue, portCheck, show, stateOf, testCancel, unkept, writable } from "./check.js";
import type { PortCheck } from "./check.js";
import { awkwardJson, laxJson } from "./storage-rows.js";

/** A server and its transport. */
export interface TransportEnd {
  readonly server: string;
  readonly transport: Transport;
}

/** Servers that reach each other. */
export interface TransportNetwork {
  readonly ends: readonly [TransportEnd, TransportEnd, TransportEnd];
  /** The name of a server that does not exist. */
  readonly unknown: string;
}

/** How the checks get at transports. */
export interface TransportHost {
  /** Three servers on a network that loses nothing, another one each time. */
  readonly create: () => Awaitable<TransportNetwork>;
  readonly close?: (network: TransportNetwork) => Awaitable<void>;
  /** Whether the numbers of room versions 1 to 5 travel, which JSON parsers of most platforms lose. Default: yes. */
  readonly laxNumbers?: boolean;
}

/** Operations by name, for a receiver that answers some of them. */
type Handlers = {
  readonly [N in OperationName]?: (
    origin: string,
    request: OperationRequest<N>,
    cancel: Cancel | undefined,
  ) => Awaitable<OperationResult<N>>;
};

function receiverOf(handlers: Handlers): Receiver {
  return async (origin, name, request, cancel) => {
    const handler = handlers[name];
    if (handler === undefined) return { ok: false, error: { code: "not_found", reason: "not in this check" } };
    return await handler(origin, request, cancel);
  };
}

type Samples = {
  readonly [N in OperationName]: { readonly request: OperationRequest<N>; readonly answer: OperationAnswer<N> };
};

const ROOM = "!room:one.example";
const pdu: JsonObject = { type: "m.room.message", room_id: ROOM, content: { body: "häß 😀", list: [1, [], {}, null] } };
const membership = { roomId: ROOM, userId: "@a:one.example" };

const samples: Samples = {
  invite: {
    request: {
      roomId: ROOM,
      roomVersion: "11",
      eventId: "$a",
      event: pdu,
      inviteRoomState: [pdu, { type: "m.room.name" }],
    },
    answer: { event: pdu },
  },
  make_join: { request: { ...membership, versions: ["1", "12"] }, answer: { roomVersion: "12", event: pdu } },
  send_join: {
    request: { roomId: ROOM, eventId: "$a/b?=", event: pdu, omitMembers: true },
    answer: { event: pdu, state: [pdu, pdu], authChain: [] },
  },
  make_knock: { request: { ...membership, versions: [] }, answer: { roomVersion: "7", event: pdu } },
  send_knock: { request: { roomId: ROOM, eventId: "$a", event: pdu }, answer: { knockRoomState: [pdu] } },
  make_leave: { request: membership, answer: { roomVersion: "11", event: pdu } },
  send_leave: { request: { roomId: ROOM, eventId: "$a", event: pdu }, answer: {} },
  exchange_third_party_invite: { request: { roomId: ROOM, event: { type: "m.room.member" } }, answer: {} },
  // The room may be left out on the way.
  event: { request: { eventId: "$a" }, answer: { event: pdu } },
  state: { request: { roomId: ROOM, eventId: "$a" }, answer: { state: [pdu], authChain: [pdu, pdu] } },
  state_ids: { request: { roomId: ROOM, eventId: "$a" }, answer: { stateIds: ["$a", "$b"], authChainIds: [] } },
  event_auth: { request: { roomId: ROOM, eventId: "$a" }, answer: { authChain: [pdu] } },
  backfill: { request: { roomId: ROOM, from: ["$a", "$b"], limit: 100 }, answer: { events: [pdu, pdu] } },
  get_missing_events: {
    request: { roomId: ROOM, earliest: [], latest: ["$a"], limit: 10, minDepth: 0 },
    answer: { events: [] },
  },
  timestamp_to_event: {
    request: { roomId: ROOM, ts: 1_432_684_800_000, dir: "f" },
    answer: { eventId: "$a", originServerTs: 1_432_684_800_001 },
  },
  send: {
    request: {
      transactionId: "t/1?&=%",
      pdus: [pdu, { type: "second" }],
      edus: [{ edu_type: "m.typing", content: { room_id: ROOM, user_id: "@a:one.example", typing: true } }],
    },
    answer: { pdus: { $a: {}, $b: { error: "not allowed" } } },
  },
  policy_sign: {
    request: { event: pdu },
    answer: { signatures: { "two.example": { "ed25519:policy_server": "c2lnbmF0dXJl" } } },
  },
  user_devices: {
    request: { userId: "@a:two.example" },
    answer: {
      userId: "@a:two.example",
      streamId: 5,
      devices: [{ device_id: "A B/ü", keys: {} }, { device_id: "C" }],
      masterKey: { usage: ["master"] },
      selfSigningKey: { usage: ["self_signing"] },
    },
  },
  server_keys: { request: {}, answer: { keys: { server_name: "two.example", verify_keys: {}, valid_until_ts: 1 } } },
  query_keys: {
    request: { serverKeys: { "one.example": {}, "three.example:8448": { "ed25519:a_1": { minimumValidUntilTs: 1 } } } },
    answer: { serverKeys: [pdu, { server_name: "three.example:8448" }] },
  },
  query_directory: {
    request: { roomAlias: "#ä b/?&=%:two.example:8448" },
    answer: { roomId: ROOM, servers: ["one.example", "three.example:8448"] },
  },
  query_profile: {
    request: { userId: "@a/b=c:two.example", field: "org.example.häß" },
    answer: { profile: { "org.example.häß": [{ name: "häß 😀" }, null] } },
  },
  public_rooms: {
    request: { limit: 10, since: "p1 &=%", filter: { genericSearchTerm: "häß", roomTypes: ["m.space", null] } },
    answer: { chunk: [{ room_id: ROOM }], nextBatch: "p2", prevBatch: "p0", totalRoomCountEstimate: 3 },
  },
  hierarchy: {
    request: { roomId: ROOM, suggestedOnly: true },
    answer: { room: { room_id: ROOM, children_state: [pdu] }, children: [], inaccessibleChildren: ["!x:one.example"] },
  },
  openid_userinfo: { request: { accessToken: "a/b+c=&%" }, answer: { sub: "@a:two.example" } },
  version: { request: {}, answer: { name: "häß", version: "1.0-α" } },
};
// The compiler has seen that the keys are the names.
const names = Object.keys(samples) as OperationName[];

type Body = (ends: TransportNetwork["ends"], unknown: string) => Promise<void>;

/** The checks of a transport; each makes a network of its own. */
export function transportSuite(host: TransportHost): readonly PortCheck[] {
  const bodies = host.laxNumbers === false ? checks : [...checks, laxCheck];
  return bodies.map(([name, body]) =>
    portCheck(name, async () => {
      const network = await host.create();
      try {
        await body(network.ends, network.unknown);
      } finally {
        await host.close?.(network);
      }
    }),
  );
}

function event(id: string): OperationRequest<"event"> {
  return { roomId: ROOM, eventId: id };
}

function answered(value: JsonValue): OperationResult<"event"> {
  return { ok: true, value: { event: value } };
}

/** Somebody who waits until somebody else opens. */
function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open: () => open(), opened };
}

async function carriesWhole(one: TransportEnd, two: TransportEnd, name: OperationName): Promise<void> {
  const { request, answer } = samples[name];
  const heard: { readonly name: string; readonly request: unknown }[] = [];
  const stop = two.transport.listen((_, asked, received) => {
    heard.push({ name: asked, request: received });
    const result: unknown = { ok: true, value: answer };
    // The name that was asked for is the one whose sample this is, or else the check below fails.
    return Promise.resolve(result as OperationResult<typeof asked>);
  });
  const result = await one.transport.request(two.server, name, request);
  stop();
  expectEqual(heard, [{ name, request }], `what arrived of ${name}`);
  expectEqual(result, { ok: true, value: answer }, `the answer to ${name}`);
}

function expectFailure(result: OperationResult<OperationName>, codes: readonly string[], what: string): void {
  if (result.ok) unkept(`${what}: expected a failure, got ${show(result.value)}`);
  expectTrue(codes.includes(result.error.code), `${what}: the code is ${result.error.code}, not ${codes.join(" or ")}`);
  expectTrue(result.error.reason.length > 0, `${what}: the failure gives no reason`);
}

/** How it looks when nobody answers. */
const gone = ["unreachable", "timeout"];

const laxCheck: readonly [string, Body] = [
  "the numbers of room versions 1 to 5 travel unchanged",
  async ([one, two]) => {
    let arrived: unknown;
    two.transport.listen(
      receiverOf({
        send: (_, request) => {
          arrived = request.pdus;
          return { ok: true, value: { pdus: {} } };
        },
        event: () => answered(laxJson),
      }),
    );
    await one.transport.request(two.server, "send", { transactionId: "t", pdus: [laxJson] });
    expectEqual(arrived, [laxJson], "large integers and floats in a request");
    expectEqual(await one.transport.request(two.server, "event", event("$a")), answered(laxJson), "in an answer");
  },
];

const checks: readonly (readonly [name: string, body: Body])[] = [
  [
    "every operation arrives whole and is answered whole",
    async ([one, two]) => {
      for (const name of names) await carriesWhole(one, two, name);
    },
  ],
  [
    "every key and character of an event travels",
    async ([one, two]) => {
      let arrived: unknown;
      two.transport.listen(
        receiverOf({
          send_leave: (_, request) => {
            arrived = request.event;
            return { ok: true, value: {} };
          },
          event: () => answered(awkwardJson),
        }),
      );
      await one.transport.request(two.server, "send_leave", { roomId: ROOM, eventId: "$a", event: awkwardJson });
      expectEqual(arrived, awkwardJson, "an event in a request");
      expectEqual(await one.transport.request(two.server, "event", event("$a")), answered(awkwardJson), "in an answer");
    },
  ],
  [
    "the receiver is told who asks",
    async ([one, two, three]) => {
      const origins: string[] = [];
      const hear = receiverOf({
        event: (origin) => {
          origins.push(origin);
          return answered({});
        },
      });
      for (const end of [one, two, three]) end.transport.listen(hear);
      await one.transport.request(two.server, "event", event("$a"));
      await three.transport.request(two.server, "event", event("$a"));
      await two.transport.request(one.server, "event", event("$a"));
      expectEqual(origins, [one.server, three.server, two.server], "origins");
    },
  ],
  [
    "an origin is not taken from what a request holds",
    async ([one, two, three]) => {
      let heard = "";
      two.transport.listen(
        receiverOf({
          send: (origin) => {
            heard = origin;
            return { ok: true, value: { pdus: {} } };
          },
        }),
      );
      const claim = { transactionId: "t", pdus: [], origin: three.server };
      const result = await one.transport.request(two.server, "send", claim);
      if (result.ok) expectEqual(heard, one.server, "the origin of a request that claims another");
    },
  ],
  [
    "a request reaches the server that it names, and no other",
    async ([one, two, three]) => {
      for (const end of [one, two, three]) {
        end.transport.listen(receiverOf({ event: () => answered({ from: end.server }) }));
      }
      for (const end of [two, three]) {
        const result = await one.transport.request(end.server, "event", event("$a"));
        expectEqual(result, answered({ from: end.server }), `a request to ${end.server}`);
      }
    },
  ],
  [
    "an error of the other server arrives with its code, its reason and its room version",
    async ([one, two]) => {
      const errors = [
        { code: "forbidden", reason: "not in the room" },
        { code: "incompatible_room_version", reason: "this room has version 12", roomVersion: "12" },
        { code: "unable_to_authorise_join", reason: "ask another" },
        { code: "unable_to_grant_join", reason: "ask another" },
        { code: "policy_refused", reason: "blocked" },
        { code: "limit_exceeded", reason: "slower" },
        { code: "not_found", reason: "unknown event" },
      ] as const;
      for (const error of errors) {
        two.transport.listen(receiverOf({ make_join: () => ({ ok: false, error }) }));
        const result = await one.transport.request(two.server, "make_join", { ...membership, versions: ["11"] });
        // The spec has no form of its own for it (docs/federation.md, "Errors").
        const shared = error.code === "policy_refused" && !result.ok && result.error.code === "forbidden";
        const expected = shared ? { ...error, code: "forbidden" } : error;
        expectEqual(result, { ok: false, error: expected }, `an answer with ${error.code}`);
      }
    },
  ],
  [
    "a server that does not exist is a failure as a value",
    async ([one], unknown) => {
      expectFailure(await one.transport.request(unknown, "event", event("$a")), gone, "a request to nobody");
    },
  ],
  [
    "a server that does not listen, or no longer, is a failure as a value",
    async ([one, two]) => {
      expectFailure(await one.transport.request(two.server, "event", event("$a")), gone, "before it listens");
      const stop = two.transport.listen(receiverOf({ event: () => answered({}) }));
      expectEqual(await one.transport.request(two.server, "event", event("$a")), answered({}), "while it listens");
      stop();
      expectFailure(await one.transport.request(two.server, "event", event("$a")), gone, "after it stopped");
      stop();
    },
  ],
  [
    "a receiver that throws or rejects is a failure as a value, and the next request is answered",
    async ([one, two]) => {
      const mishaps: readonly Receiver[] = [
        () => {
          throw new Error("a receiver that throws");
        },
        () => Promise.reject(new Error("a receiver that rejects")),
      ];
      for (const mishap of mishaps) {
        two.transport.listen(mishap);
        const result = await one.transport.request(two.server, "event", event("$a"));
        expectFailure(result, ["internal", ...gone], "a receiver that failed");
      }
      two.transport.listen(receiverOf({ event: () => answered({}) }));
      expectEqual(await one.transport.request(two.server, "event", event("$a")), answered({}), "the next request");
    },
  ],
  [
    "a new receiver takes the place of the one before, whose end then ends nothing",
    async ([one, two]) => {
      const stop = two.transport.listen(receiverOf({ event: () => answered({ by: "first" }) }));
      two.transport.listen(receiverOf({ event: () => answered({ by: "second" }) }));
      const ask = () => one.transport.request(two.server, "event", event("$a"));
      expectEqual(await ask(), answered({ by: "second" }), "a request after the second listen");
      stop();
      expectEqual(await ask(), answered({ by: "second" }), "a request after the first was stopped");
    },
  ],
  [
    "requests under way at the same time each get their own answer",
    async ([one, two, three]) => {
      const gates = Array.from({ length: 40 }, gate);
      const hear = receiverOf({
        event: async (_, request) => {
          const at = Number(request.eventId.slice(1));
          // Each waits for the one that was asked after it, so the answers come in the opposite order.
          await gates[at + 1]?.opened;
          gates[at]?.open();
          return answered({ id: request.eventId });
        },
      });
      two.transport.listen(hear);
      three.transport.listen(hear);
      const asked = gates.map((_, at) => {
        const end = at % 2 === 0 ? two : three;
        return one.transport.request(end.server, "event", event(`$${at}`));
      });
      for (const [at, result] of (await Promise.all(asked)).entries()) {
        expectEqual(result, answered({ id: `$${at}` }), `the answer to request ${at}`);
      }
    },
  ],
  [
    "a server may ask back before it answers",
    async ([one, two]) => {
      one.transport.listen(receiverOf({ event: () => answered({ by: one.server }) }));
      two.transport.listen(receiverOf({ event: () => two.transport.request(one.server, "event", event("$b")) }));
      const result = await one.transport.request(two.server, "event", event("$a"));
      expectEqual(result, answered({ by: one.server }), "the answer that was fetched from the one who asked");
    },
  ],
  [
    "a cancelled request ends with `cancelled`, before it begins or while it waits",
    async ([one, two]) => {
      const hold = gate();
      const arrived = gate();
      two.transport.listen(
        receiverOf({
          event: async () => {
            arrived.open();
            await hold.opened;
            return answered({});
          },
        }),
      );
      const early = testCancel();
      early.fire();
      const first = await one.transport.request(two.server, "event", event("$a"), early);
      expectFailure(first, ["cancelled"], "a request that was cancelled before");
      const late = testCancel();
      const second = one.transport.request(two.server, "event", event("$a"), late);
      await arrived.opened;
      expectEqual(await stateOf(second), "waiting", "a request whose receiver has not answered");
      late.fire();
      expectFailure(await second, ["cancelled"], "a request that was cancelled under way");
      hold.open();
      expectEqual(await one.transport.request(two.server, "event", event("$a")), answered({}), "the next request");
    },
  ],
  [
    "a request that is over no longer listens for its cancellation",
    async ([one, two], unknown) => {
      two.transport.listen(receiverOf({ event: () => answered({}) }));
      const cancel = testCancel();
      await one.transport.request(two.server, "event", event("$a"), cancel);
      await one.transport.request(unknown, "event", event("$a"), cancel);
      await stateOf(Promise.resolve());
      expectEqual(cancel.listeners(), 0, "listeners left on a Cancel after two requests");
      cancel.fire();
    },
  ],
  [
    "a large request and a large answer arrive whole",
    async ([one, two]) => {
      const many = Array.from({ length: 5000 }, (_, at) => ({
        type: "m.room.member",
        state_key: `@user${at}:one.example`,
        content: { membership: "join", displayname: "n".repeat(200) },
      }));
      let arrived = 0;
      two.transport.listen(
        receiverOf({
          send: (_, { pdus }) => {
            arrived = pdus.length;
            return { ok: true, value: { pdus: {} } };
          },
          state: () => ({ ok: true, value: { state: many, authChain: many } }),
        }),
      );
      await one.transport.request(two.server, "send", { transactionId: "t", pdus: many });
      expectEqual(arrived, 5000, "events that arrived of 5000");
      const result = await one.transport.request(two.server, "state", { roomId: ROOM, eventId: "$a" });
      expectTrue(result.ok, `a large answer failed: ${show(result)}`);
      expectEqual(result.ok && result.value.state, many, "a state of 5000 events");
    },
  ],
  [
    "neither side can change what the other holds",
    async ([one, two]) => {
      const kept: JsonValue[] = [];
      const ownAnswer = { state: [{ type: "answer" }], authChain: [] };
      two.transport.listen(
        receiverOf({
          send: (_, { pdus }) => {
            kept.push(...pdus);
            if (!Object.isFrozen(pdus)) writable(pdus).push({ type: "added by the receiver" });
            return { ok: true, value: { pdus: {} } };
          },
          state: () => ({ ok: true, value: ownAnswer }),
        }),
      );
      const inner: Record<string, JsonValue> = { type: "request" };
      const request = { transactionId: "t", pdus: [inner] };
      const under = one.transport.request(two.server, "send", request);
      inner["type"] = "changed after it was sent";
      await under;
      expectEqual(request.pdus.length, 1, "events in a request after the receiver added to what it got");
      inner["type"] = "changed after it was answered";
      expectEqual(kept, [{ type: "request" }], "what the receiver holds of a request that its sender changed");
      const result = await one.transport.request(two.server, "state", { roomId: ROOM, eventId: "$a" });
      if (result.ok && !Object.isFrozen(result.value.state)) writable(result.value.state).length = 0;
      expectEqual(ownAnswer, { state: [{ type: "answer" }], authChain: [] }, "an answer after who asked emptied it");
    },
  ],
];
