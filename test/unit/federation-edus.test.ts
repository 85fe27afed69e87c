/**
 * What servers tell each other that is no event: who types, what was read, who is there, devices and messages to
 * them. First how each is read, then two servers over a network that loses things.
 */
import { beforeEach, describe, expect, it } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { UsageError } from "../../src/errors.js";
import { ALL_DEVICES, createEdus, createToDeviceStore, readEdu } from "../../src/federation/index.js";
import type {
  DeviceList,
  DeviceListChange,
  EduHandler,
  EduLimits,
  EduRefusal,
  Presence,
  ReadReceipt,
  ServerOptions,
  SigningKeys,
  ToDevice,
  ToDeviceStore,
  Typing,
} from "../../src/federation/index.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type { Storage } from "../../src/ports/index.js";
import { codeOf, done, nameOf, refusal, signedBy, tick, userOf, World } from "../support/servers.js";
import type { Node, NodeOptions, PeerAnswers } from "../support/servers.js";

const [alice, bob, carol] = [userOf("a"), userOf("b"), userOf("c")];
const ROOM = "!room:a.example";
const EVENT = "$event:a.example";

// ---- reading --------------------------------------------------------------------------------------------------

function edu(eduType: string, content: JsonValue): JsonObject {
  return { edu_type: eduType, content };
}

const typing = (content: JsonObject = {}): JsonObject =>
  edu("m.typing", { room_id: ROOM, user_id: bob, typing: true, ...content });

const deviceKeys = (userId: string, deviceId: string): JsonObject => ({
  user_id: userId,
  device_id: deviceId,
  algorithms: ["m.olm.v1.curve25519-aes-sha2"],
  keys: { [`ed25519:${deviceId}`]: "key" },
  signatures: { [userId]: { [`ed25519:${deviceId}`]: "signature" } },
});

const signingKey = (userId: string, usage: string): JsonObject => ({
  user_id: userId,
  usage: [usage],
  keys: { [`ed25519:${usage}`]: usage },
});

const device = (content: JsonObject = {}): JsonObject =>
  edu("m.device_list_update", { user_id: bob, device_id: "PHONE", stream_id: 6, prev_id: [5], ...content });

const signing = (content: JsonObject = {}): JsonObject =>
  edu("m.signing_key_update", { user_id: bob, master_key: signingKey(bob, "master"), ...content });

const message = (content: JsonObject = {}): JsonObject =>
  edu("m.direct_to_device", {
    sender: bob,
    type: "m.room_key_request",
    message_id: "id",
    messages: { [alice]: { PHONE: { body: "hello" } } },
    ...content,
  });

const receipt = (ts: number, eventId: string = EVENT, threadId?: string): JsonObject => ({
  event_ids: [eventId],
  data: { ts, ...(threadId === undefined ? {} : { thread_id: threadId }) },
});

const receipts = (roomId: string, userId: string, read: JsonValue): JsonObject =>
  edu("m.receipt", { [roomId]: { "m.read": { [userId]: read } } });

const presence = (...push: readonly JsonValue[]): JsonObject => edu("m.presence", { push });

function codesOf(json: unknown): readonly string[] {
  const read = readEdu(json, "b.example");
  return read.ok ? read.value.passedOver.map(({ code }) => code) : [read.error.code];
}

describe("an EDU [cap:edus]", () => {
  it("is read by its type", () => {
    const read = (json: JsonObject): unknown => {
      const result = readEdu(json, "b.example");
      if (!result.ok) throw new Error(result.error.reason);
      const { passedOver, ...rest } = result.value;
      expect(passedOver).toEqual([]);
      return rest;
    };
    expect(read(typing())).toEqual({ eduType: "m.typing", typing: { roomId: ROOM, userId: bob, typing: true } });
    expect(
      read(
        presence({ user_id: bob, presence: "online", last_active_ago: 5, status_msg: "here", currently_active: true }),
      ),
    ).toEqual({
      eduType: "m.presence",
      presence: [{ userId: bob, presence: "online", lastActiveAgo: 5, statusMessage: "here", currentlyActive: true }],
    });
    expect(read(receipts(ROOM, bob, receipt(7, EVENT, "main")))).toEqual({
      eduType: "m.receipt",
      receipts: [{ roomId: ROOM, userId: bob, eventId: EVENT, ts: 7, threadId: "main" }],
    });
    const keys = deviceKeys(bob, "PHONE");
    expect(read(device({ keys, device_display_name: "Bob's" }))).toEqual({
      eduType: "m.device_list_update",
      update: {
        userId: bob,
        deviceId: "PHONE",
        displayName: "Bob's",
        keys,
        streamId: 6,
        prevIds: [5],
        deleted: false,
      },
    });
    expect(read(device({ deleted: true, keys })), "its keys are gone with a device").toEqual({
      eduType: "m.device_list_update",
      update: { userId: bob, deviceId: "PHONE", streamId: 6, prevIds: [5], deleted: true },
    });
    expect(read(signing({ self_signing_key: signingKey(bob, "self_signing") }))).toEqual({
      eduType: "m.signing_key_update",
      signingKeys: {
        userId: bob,
        masterKey: signingKey(bob, "master"),
        selfSigningKey: signingKey(bob, "self_signing"),
      },
    });
    expect(read(message({ messages: { [alice]: { "*": { body: 1 } }, [carol]: { X: {} } } }))).toEqual({
      eduType: "m.direct_to_device",
      message: {
        sender: bob,
        type: "m.room_key_request",
        messageId: "id",
        messages: [
          { userId: alice, deviceId: ALL_DEVICES, content: { body: 1 } },
          { userId: carol, deviceId: "X", content: {} },
        ],
      },
    });
  });

  it("may leave out what is optional, or say null", () => {
    const bare = { user_id: bob, device_id: "PHONE", stream_id: 6 };
    for (const content of [bare, { ...bare, prev_id: null, deleted: null, device_display_name: null, keys: null }]) {
      const read = readEdu(edu("m.device_list_update", content), "b.example");
      expect(read).toMatchObject({ ok: true, value: { update: { prevIds: [], deleted: false } } });
      expect(JSON.stringify(read)).not.toContain("null");
    }
    expect(codesOf(edu("m.signing_key_update", { user_id: bob }))).toEqual([]);
    expect(codesOf(device({ keys: {} })), "a device without keys").toEqual([]);
  });

  it.each<[string, unknown, string]>([
    ["no object", [typing()], "bad_format"],
    ["undefined", undefined, "bad_format"],
    ["without content", { edu_type: "m.typing" }, "bad_format"],
    ["of a type that is no string", { edu_type: 1, content: {} }, "bad_format"],
    ["of an unknown type", edu("org.example.new", {}), "unknown_type"],
    ["of a type that objects have", edu("constructor", {}), "unknown_type"],
    ["that a getter makes up", Object.defineProperty({}, "edu_type", { get: () => "m.typing" }), "bad_format"],
    ["nested too deep", message({ messages: JSON.parse("[".repeat(200) + "]".repeat(200)) as JsonValue }), "too_large"],
    ["with too many bytes", message({ messages: { [alice]: { X: { body: "x".repeat(1024 * 1024) } } } }), "too_large"],
    ["typing of another server's user", typing({ user_id: carol }), "foreign_user"],
    ["typing of no user", typing({ user_id: "bob" }), "bad_format"],
    ["typing in no room", typing({ room_id: "#room:a.example" }), "bad_format"],
    ["typing that is neither true nor false", typing({ typing: 1 }), "bad_format"],
    ["presence that is no list", edu("m.presence", { push: {} }), "bad_format"],
    ["a device of another server's user", device({ user_id: carol }), "foreign_user"],
    ["a device without a name", device({ device_id: "" }), "bad_format"],
    ["a device with a long name", device({ device_id: "x".repeat(256) }), "bad_format"],
    ["a device update without a place", device({ stream_id: "6" }), "bad_format"],
    ["a device update with half a place", device({ stream_id: 6.5 }), "bad_format"],
    ["a device update after none", device({ prev_id: 5 }), "bad_format"],
    ["a device update after text", device({ prev_id: [5, "4"] }), "bad_format"],
    ["a device update after too many", device({ prev_id: Array.from({ length: 10_001 }, (_, i) => i) }), "too_large"],
    ["keys of another user's device", device({ keys: deviceKeys(carol, "PHONE") }), "bad_format"],
    ["keys of another device", device({ keys: deviceKeys(bob, "TABLET") }), "bad_format"],
    ["keys without signatures", device({ keys: { ...deviceKeys(bob, "PHONE"), signatures: [] } }), "bad_format"],
    ["a signing key of another user", signing({ master_key: signingKey(carol, "master") }), "bad_format"],
    ["a signing key for something else", signing({ master_key: signingKey(bob, "self_signing") }), "bad_format"],
    [
      "a signing key that is two",
      signing({ master_key: { ...signingKey(bob, "master"), keys: { "ed25519:a": "a", "ed25519:b": "b" } } }),
      "bad_format",
    ],
    ["a message of another server's user", message({ sender: carol }), "foreign_user"],
    ["a message without an id", message({ message_id: "" }), "bad_format"],
    ["a message with an id of 33 characters", message({ message_id: "😀".repeat(33) }), "bad_format"],
    ["messages that are a list", message({ messages: [] }), "bad_format"],
    [
      "too many messages",
      message({ messages: { [alice]: Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`d${i}`, {}])) } }),
      "too_large",
    ],
  ])("is refused when it is %s", (_, json, code) => {
    expect(codesOf(json)).toEqual([code]);
  });

  it("counts the characters of a message id, not their bytes", () => {
    expect(codesOf(message({ message_id: "😀".repeat(32) }))).toEqual([]);
  });

  it("of several entries keeps those that hold", () => {
    const update = (userId: string): JsonObject => ({ user_id: userId, presence: "offline", last_active_ago: 1 });
    const mixed = presence(update(bob), update(carol), { ...update(bob), presence: "busy" }, null, {
      ...update(bob),
      last_active_ago: -1,
    });
    expect(codesOf(mixed)).toEqual(["foreign_user", "bad_format", "bad_format", "bad_format"]);
    expect(readEdu(mixed, "b.example")).toMatchObject({ ok: true, value: { presence: [{ userId: bob }] } });
    const read = {
      [bob]: receipt(1),
      [carol]: receipt(1),
      [userOf("b", "two")]: { event_ids: [EVENT, EVENT], data: { ts: 1 } },
      [userOf("b", "none")]: { event_ids: [], data: { ts: 1 } },
      [userOf("b", "when")]: { event_ids: [EVENT], data: {} },
      [userOf("b", "what")]: { event_ids: ["event"], data: { ts: 1 } },
    };
    const many = edu("m.receipt", {
      [ROOM]: { "m.read": read, "m.read.private": { [bob]: receipt(1) } },
      room: { "m.read": { [bob]: receipt(1) } },
      "!other:a.example": [],
    });
    expect(codesOf(many)).toEqual([
      "foreign_user",
      "too_large",
      "bad_format",
      "bad_format",
      "bad_format",
      "unknown_type",
      "bad_format",
      "bad_format",
    ]);
    expect(readEdu(many, "b.example")).toMatchObject({ ok: true, value: { receipts: [{ userId: bob, ts: 1 }] } });
    const odd = message({
      messages: { alice: { X: {} }, [alice]: { X: 1, Y: {}, ["z".repeat(256)]: {} }, [carol]: 1 },
    });
    expect(codesOf(odd)).toEqual(["bad_format", "bad_format", "bad_format", "bad_format"]);
    expect(readEdu(odd, "b.example")).toMatchObject({
      ok: true,
      value: { message: { messages: [{ deviceId: "Y" }] } },
    });
  });
});

// ---- servers --------------------------------------------------------------------------------------------------

/** What a host was told, in order. */
class Heard {
  readonly typing: Typing[] = [];
  readonly receipts: ReadReceipt[] = [];
  readonly presence: Presence[] = [];
  readonly devices: DeviceListChange[] = [];
  readonly messages: ToDevice[] = [];
  readonly keys: SigningKeys[] = [];
  readonly ignored: EduRefusal[] = [];
  readonly lists = new Map<string, DeviceList>();
  /** Runs before something is taken, and may throw. */
  before: ((what: keyof EduHandler) => void) | undefined;

  get handler(): EduHandler {
    const take =
      <T>(what: keyof EduHandler, list: T[]) =>
      (value: T): void => {
        this.before?.(what);
        list.push(value);
      };
    return {
      onTyping: take("onTyping", this.typing),
      onReceipt: take("onReceipt", this.receipts),
      onPresence: take("onPresence", this.presence),
      onDeviceLists: take("onDeviceLists", this.devices),
      onToDevice: take("onToDevice", this.messages),
      onSigningKeys: take("onSigningKeys", this.keys),
      onIgnored: ({ refusal: why }) => this.ignored.push(why),
      devicesOf: (userId) => this.lists.get(userId),
    };
  }

  get codes(): readonly string[] {
    return this.ignored.map(({ code }) => code);
  }

  /** What was told of devices, in short. */
  get changes(): readonly string[] {
    return this.devices.map((change) => {
      if (change.kind === "update") return `update ${change.update.streamId}`;
      return change.kind === "list" ? `list ${change.list.streamId}` : "outdated";
    });
  }

  /** Texts of the messages. */
  get bodies(): readonly unknown[] {
    return this.messages.flatMap(({ messages }) => messages.map(({ content }) => content["body"]));
  }
}

interface Given extends NodeOptions {
  readonly handler?: EduHandler;
  readonly edus?: Partial<EduLimits>;
  readonly store?: ToDeviceStore;
}

function addTo(
  world: World,
  name: string,
  heard: Heard,
  { handler, edus, store, ...options }: Given = {},
): Promise<Node> {
  const made = createEdus({
    handler: handler ?? heard.handler,
    ...(edus === undefined ? {} : { limits: edus }),
    ...(store === undefined ? {} : { store }),
  });
  const ports: NodeOptions["ports"] = (given): ServerOptions => ({ ...given, edus: made });
  return world.add(name, { ...options, ports });
}

let world: World;
let hereA: Heard;
let hereB: Heard;

/** Two servers with the module, in one room. */
async function two(givenA: Given = {}, givenB: Given = {}, version: string = "11"): Promise<string> {
  world = new World();
  [hereA, hereB] = [new Heard(), new Heard()];
  await addTo(world, "a", hereA, givenA);
  await addTo(world, "b", hereB, givenB);
  return world.shared(version, "a", "b");
}

let transactions = 0;
/** What a server sends in one transaction, by the hand of the test. */
async function send(
  from: string,
  to: string,
  edus: readonly unknown[],
  pdus: readonly JsonValue[] = [],
): Promise<string> {
  const request = { transactionId: `test ${++transactions}`, pdus, edus: edus as readonly JsonValue[] };
  const code = await codeOf(world.ask(from, to, "send", request));
  await tick();
  return code;
}

/** The EDUs of each transaction that one server sent to another. */
function sentTo(to: string): readonly (readonly JsonObject[])[] {
  return world
    .callsOf("send")
    .filter((call) => call.to === nameOf(to))
    .map(({ request }) => (request as { readonly edus?: readonly JsonObject[] }).edus ?? []);
}

beforeEach(() => {
  transactions = 0;
});

describe("typing [cap:edus]", () => {
  it("is told to the servers of the room, as it changes", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    expect(await done(edus.typing({ roomId, userId: alice, typing: true }))).toEqual(["b.example"]);
    await world.settle();
    await done(edus.typing({ roomId, userId: alice, typing: true }));
    await world.settle();
    expect(hereB.typing).toEqual([{ roomId, userId: alice, typing: true }]);
    await done(edus.typing({ roomId, userId: alice, typing: false }));
    await world.settle();
    expect(hereB.typing.slice(1)).toEqual([{ roomId, userId: alice, typing: false }]);
    expect([hereA.typing, hereB.codes]).toEqual([[], []]);
  });

  it("ends when nothing more is heard of it", async () => {
    const roomId = await two();
    await send("b", "a", [typing({ room_id: roomId })]);
    await world.pass(59_000);
    await send("b", "a", [typing({ room_id: roomId })]);
    await world.pass(59_000);
    expect(hereA.typing.map((one) => one.typing)).toEqual([true]);
    await world.pass(1_000);
    expect(hereA.typing.map((one) => one.typing)).toEqual([true, false]);
    await send("b", "a", [typing({ room_id: roomId })]);
    world.server("a").stop();
    await world.pass(120_000);
    expect(
      hereA.typing.map((one) => one.typing),
      "nobody is told by a server that has stopped",
    ).toEqual([true, false, true]);
  });

  it("of too many ends early for the first of them", async () => {
    const roomId = await two({ edus: { typists: 1 } });
    const second = userOf("b", "second");
    await done(world.server("b").join({ roomId, userId: second }));
    await world.deliver();
    await send("b", "a", [typing({ room_id: roomId }), typing({ room_id: roomId, user_id: second })]);
    expect(hereA.typing.map(({ userId, typing: is }) => [userId, is])).toEqual([
      [bob, true],
      [bob, false],
      [second, true],
    ]);
  });

  it("is heard of users in the room, of their own server", async () => {
    const roomId = await two();
    const elsewhere = await world.shared("11", "b");
    await send("b", "a", [
      typing({ room_id: roomId, user_id: userOf("b", "stranger") }),
      typing({ room_id: roomId, user_id: alice }),
      typing({ room_id: elsewhere }),
      typing({ room_id: "!unknown:a.example" }),
    ]);
    expect(hereA.typing).toEqual([]);
    expect(hereA.codes).toEqual(["not_in_room", "foreign_user", "unknown_room", "unknown_room"]);
    await done(world.server("b").leave({ roomId, userId: bob }));
    await world.deliver();
    await send("b", "a", [typing({ room_id: roomId })]);
    expect(hereA.typing).toEqual([]);
  });

  it("is heard of somebody who joins in the same transaction", async () => {
    const roomId = await two();
    const late = userOf("b", "late");
    world.cut("a", "b");
    const room = await world.room("b", roomId);
    const join = await done(
      room.template({ type: "m.room.member", stateKey: late, sender: late, content: { membership: "join" } }),
    );
    world.heal("a", "b");
    await send("b", "a", [typing({ room_id: roomId, user_id: late })], [signedBy("11", "b", join)]);
    expect(hereA.typing).toEqual([{ roomId, userId: late, typing: true }]);
  });

  it("of users who are not in the room, or not of this server, is not sent", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    const stranger = userOf("a", "stranger");
    expect(await codeOf(edus.typing({ roomId, userId: stranger, typing: true }))).toBe("unknown_room");
    expect(await codeOf(edus.typing({ roomId: "!unknown:a.example", userId: alice, typing: true }))).toBe(
      "unknown_room",
    );
    await expect(edus.typing({ roomId, userId: bob, typing: true })).rejects.toThrow(UsageError);
    await expect(edus.typing({ roomId: "here", userId: alice, typing: true })).rejects.toThrow(UsageError);
  });
});

/** Sets the room's ACL, and waits until everybody has it. */
async function setAcl(roomId: string, content: JsonObject): Promise<string> {
  const type = "m.room.server_acl";
  const { eventId } = await done(world.server("a").setState({ roomId, userId: alice, type, content }));
  await world.deliver();
  return eventId;
}

describe("a server ACL", () => {
  it.each(["1", "10", "12"])("bars typing and receipts, room by room, in version %s", async (version) => {
    const roomId = await two({}, {}, version);
    const open = await world.shared(version, "a", "b");
    const both = (ts: number): JsonObject =>
      edu("m.receipt", {
        [roomId]: { "m.read": { [bob]: receipt(ts) } },
        [open]: { "m.read": { [bob]: receipt(ts) } },
      });
    await send("b", "a", [typing({ room_id: roomId }), both(1)]);
    expect([hereA.typing.length, hereA.receipts.length]).toEqual([1, 2]);
    await setAcl(roomId, { allow: ["*"], deny: ["b.*"] });
    await send("b", "a", [typing({ room_id: roomId, typing: false }), typing({ room_id: open }), both(2)]);
    expect(hereA.typing.slice(1).map((one) => one.roomId)).toEqual([open]);
    expect(hereA.receipts.slice(2).map((one) => one.roomId)).toEqual([open]);
    expect(hereA.codes).toEqual(["acl_denied", "acl_denied"]);
    const acl = await setAcl(roomId, { allow: ["*"] });
    await send("b", "a", [both(3)]);
    expect(hereA.receipts.slice(3).map((one) => one.roomId)).toEqual([roomId, open]);
    // It loses its lists.
    await done(world.server("a").redact({ roomId, userId: alice, eventId: acl }));
    await send("b", "a", [both(4)]);
    expect(hereA.receipts.slice(5).map((one) => one.roomId)).toEqual([open]);
  });

  it("does not bar what is about no room", async () => {
    const roomId = await two();
    await setAcl(roomId, { allow: ["a.example"] });
    await send("b", "a", [message(), presence({ user_id: bob, presence: "online", last_active_ago: 0 })]);
    expect([hereA.messages.length, hereA.presence.length]).toEqual([1, 1]);
  });
});

describe("a receipt [cap:edus]", () => {
  it("is told to the servers of the room", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    const { eventId } = await done(world.say("b", roomId, "read me"));
    expect(await done(edus.receipt({ roomId, userId: alice, eventId }))).toEqual(["b.example"]);
    await done(edus.receipt({ roomId, userId: alice, eventId, threadId: "main", ts: 5 }));
    await world.settle();
    expect(hereB.receipts).toEqual([
      { roomId, userId: alice, eventId, ts: world.clock.now() },
      { roomId, userId: alice, eventId, threadId: "main", ts: 5 },
    ]);
    await expect(edus.receipt({ roomId, userId: bob, eventId })).rejects.toThrow(UsageError);
    await expect(edus.receipt({ roomId, userId: alice, eventId: "read me" })).rejects.toThrow(UsageError);
    expect(await codeOf(edus.receipt({ roomId, userId: userOf("a", "nobody"), eventId }))).toBe("unknown_room");
  });

  it("replaces an older one of its kind and no newer one", async () => {
    const roomId = await two();
    const all: readonly (readonly [ts: number, threadId?: string])[] = [
      [5],
      [3],
      [4, "main"],
      [5],
      [4, "$root"],
      [3, "main"],
    ];
    for (const [ts, threadId] of all) await send("b", "a", [receipts(roomId, bob, receipt(ts, EVENT, threadId))]);
    expect(hereA.receipts.map(({ ts, threadId }) => [ts, threadId])).toEqual([
      [5, undefined],
      [4, "main"],
      [5, undefined],
      [4, "$root"],
    ]);
    expect(hereA.codes).toEqual(["outdated", "outdated"]);
  });

  it("of a clock that was ahead makes nothing outdated that comes after it", async () => {
    const roomId = await two();
    const now = world.clock.now();
    await send("b", "a", [receipts(roomId, bob, receipt(now + 1_000_000_000))]);
    await world.pass(10);
    await send("b", "a", [receipts(roomId, bob, receipt(now + 5, "$next:a.example"))]);
    expect(hereA.receipts.map(({ eventId }) => eventId)).toEqual([EVENT, "$next:a.example"]);
  });

  it("is not looked into for more rooms than one transaction may be about", async () => {
    const roomId = await two({ edus: { transactionRooms: 2 } });
    const rooms = ["!x:b.example", "!y:b.example", roomId, "!x:b.example"];
    await send(
      "b",
      "a",
      rooms.map((id) => receipts(id, bob, receipt(1))),
    );
    expect(hereA.codes).toEqual(["unknown_room", "unknown_room", "too_large", "unknown_room"]);
    await send("b", "a", [receipts(roomId, bob, receipt(1))]);
    expect(hereA.receipts.length).toBe(1);
  });
});

describe("presence [cap:edus]", () => {
  it("is told to the servers that share a room with the user, or to those that are named", async () => {
    await two();
    const { edus } = world.server("a");
    const update = {
      userId: alice,
      presence: "online",
      lastActiveAgo: 5,
      statusMessage: "in",
      currentlyActive: true,
    } as const;
    expect(await done(edus.presence(update))).toEqual(["b.example"]);
    await world.settle();
    expect(hereB.presence).toEqual([update]);
    expect(await done(edus.presence({ ...update, userId: userOf("a", "hermit") }))).toEqual([]);
    const named = ["b.example", "a.example", "b.example"];
    expect(await done(edus.presence({ ...update, userId: userOf("a", "hermit"), destinations: named }))).toEqual([
      "b.example",
    ]);
    await world.settle();
    expect(hereB.presence.map(({ userId }) => userId)).toEqual([alice, userOf("a", "hermit")]);
    await expect(edus.presence({ ...update, userId: bob })).rejects.toThrow(UsageError);
    await expect(edus.presence({ ...update, destinations: ["not a server"] })).rejects.toThrow(UsageError);
  });
});

// ---- delivery -------------------------------------------------------------------------------------------------

const toBob = (body: string, messageId?: string): Parameters<Server["edus"]["toDevice"]>[0] => ({
  sender: alice,
  type: "m.text",
  messages: [{ userId: bob, deviceId: "PHONE", content: { body } }],
  ...(messageId === undefined ? {} : { messageId }),
});
type Server = ReturnType<World["server"]>;

describe("a transaction", () => {
  it("with 101 EDUs is refused whole, and with 100 is taken", async () => {
    const roomId = await two();
    const many = (count: number): readonly JsonObject[] =>
      Array.from({ length: count }, (_, at) => message({ message_id: `${count} ${at}` }));
    const room = await world.room("b", roomId);
    const said = { type: "m.room.message", sender: bob, content: { body: "with too many" } };
    const pdu = signedBy("11", "b", await done(room.template(said)));
    const { revision } = (await world.room("a", roomId)).control;
    expect(await send("b", "a", many(101), [pdu])).toBe("too_large");
    expect([hereA.messages.length, (await world.room("a", roomId)).control.revision]).toEqual([0, revision]);
    expect(await send("b", "a", many(100), [pdu])).toBe("ok");
    expect([hereA.messages.length, (await world.room("a", roomId)).control.revision]).toEqual([100, revision + 1]);
  });

  it("that comes again is answered the same and delivers nothing twice", async () => {
    const roomId = await two();
    const request = {
      transactionId: "1",
      pdus: [],
      edus: [message(), typing({ room_id: roomId }), receipts(roomId, bob, receipt(1))],
    };
    const first = await world.ask("b", "a", "send", request);
    const [second, third] = await Promise.all([
      world.ask("b", "a", "send", request),
      world.ask("b", "a", "send", request),
    ]);
    expect([second, third]).toEqual([first, first]);
    expect(first).toEqual({ ok: true, value: { pdus: {} } });
    expect([hereA.messages.length, hereA.typing.length, hereA.receipts.length]).toEqual([1, 1, 1]);
    expect(hereA.codes).toEqual([]);
  });

  it("with EDUs that are no list has none", async () => {
    await two();
    for (const edus of [null, {}, "edus", 5]) expect(await send("b", "a", edus as never)).toBe("ok");
    expect(hereA.codes).toEqual([]);
    expect(await send("b", "a", [null, 5, {}, [], "x"])).toBe("ok");
    expect(hereA.codes).toEqual(["bad_format", "bad_format", "bad_format", "bad_format", "bad_format"]);
    expect(world.faults()).toEqual([]);
  });

  it("carries EDUs beside events, at most a hundred, and the rest in the next", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    world.cut("a", "b");
    for (let at = 0; at < 150; at++) await done(edus.toDevice(toBob(`${at}`)));
    await done(world.say("a", roomId, "beside"));
    world.heal("a", "b");
    world.calls.length = 0;
    await world.deliver();
    const sent = world.callsOf("send").map(({ request }) => request as { pdus: unknown[]; edus?: unknown[] });
    // The first was tried alone before there was more, and is retried as it was.
    expect(sent.map(({ pdus, edus: those }) => [pdus.length, those?.length])).toEqual([
      [0, 1],
      [1, 100],
      [0, 49],
    ]);
    expect(hereB.bodies).toEqual(Array.from({ length: 150 }, (_, at) => `${at}`));
  });

  it("holds as many EDUs as there are bytes for, and one in any case", async () => {
    await two({ edus: { transactionBytes: 250 } });
    world.cut("a", "b");
    for (const body of ["1", "2", "x".repeat(300), "4", "5"]) await done(world.server("a").edus.toDevice(toBob(body)));
    world.heal("a", "b");
    world.calls.length = 0;
    await world.deliver();
    expect(sentTo("b").map((edus) => edus.length)).toEqual([1, 1, 1, 1, 1]);
    expect(hereB.bodies.length).toBe(5);
  });

  it("puts what may be lost together, the latest of each kind", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.intercept((call, proceed) => (call.name === "send" ? held.then(proceed) : undefined));
    await done(edus.typing({ roomId, userId: alice, typing: true }));
    await tick();
    for (let at = 0; at < 250; at++) {
      const userId = userOf("a", `user${at % 200}`);
      const update = { userId, presence: "online", lastActiveAgo: at, destinations: ["b.example"] } as const;
      await done(edus.presence(update));
    }
    for (const eventId of ["$one:a.example", "$two:a.example"]) {
      await done(edus.receipt({ roomId, userId: alice, eventId }));
      await done(edus.receipt({ roomId, userId: alice, eventId, threadId: "main" }));
    }
    await done(edus.typing({ roomId, userId: alice, typing: false }));
    world.calls.length = 0;
    release();
    await world.deliver();
    expect(sentTo("b").map((sent) => sent.map(({ edu_type }) => edu_type))).toEqual([
      ["m.typing", "m.presence", "m.presence", "m.receipt", "m.receipt"],
    ]);
    expect(hereB.presence.length).toBe(200);
    expect(hereB.presence.find(({ userId }) => userId === userOf("a", "user7"))?.lastActiveAgo).toBe(207);
    expect(hereB.receipts.map(({ eventId, threadId }) => [eventId, threadId])).toEqual([
      ["$two:a.example", undefined],
      ["$two:a.example", "main"],
    ]);
    expect(hereB.typing.map((one) => one.typing)).toEqual([true, false]);
  });
});

describe("a server that does not answer", () => {
  it("is not told later who typed then, and is tried again when there is more to say", async () => {
    const roomId = await two({ limits: { retryFirst: 1_000, retryLongest: 8_000 } });
    const { edus } = world.server("a");
    const say = (is: boolean): Promise<unknown> => done(edus.typing({ roomId, userId: alice, typing: is }));
    world.cut("a", "b");
    world.calls.length = 0;
    const tries = (): number => sentTo("b").length;
    await say(true);
    await world.settle();
    expect(tries()).toBe(1);
    await say(true);
    await world.pass(900);
    expect([tries(), world.server("a").isDelivering], "the pause").toEqual([1, true]);
    await world.pass(100);
    expect([tries(), world.server("a").isDelivering], "there is nothing left to say").toEqual([1, false]);
    await say(true);
    await world.pass(1_999);
    expect([tries(), world.server("a").isDelivering], "the pause is longer").toEqual([2, true]);
    await world.pass(1);
    expect(world.server("a").isDelivering).toBe(false);
    world.heal("a", "b");
    await say(true);
    await world.settle();
    expect([tries(), hereB.typing.length]).toEqual([3, 1]);
    world.cut("a", "b");
    await say(false);
    await world.pass(999);
    expect(world.server("a").isDelivering, "after it answered the pause is short again").toBe(true);
    await world.pass(1);
    expect(world.server("a").isDelivering).toBe(false);
  });

  it("is not told what had to wait while it was tried, either", async () => {
    const roomId = await two();
    const { edus } = world.server("a");
    let fail = (): void => undefined;
    const failed = new Promise<void>((resolve) => (fail = resolve));
    const unreachable = { ok: false, error: { code: "unreachable", reason: "no" } } as const;
    world.intercept((call) => (call.name === "send" ? failed.then(() => unreachable) : undefined));
    await done(edus.typing({ roomId, userId: alice, typing: true }));
    await tick();
    await done(edus.receipt({ roomId, userId: alice, eventId: EVENT }));
    fail();
    await tick();
    world.intercept(undefined);
    await world.deliver();
    await done(edus.toDevice(toBob("later")));
    await world.deliver();
    expect([hereB.typing, hereB.receipts, hereB.bodies]).toEqual([[], [], ["later"]]);
  });

  it("gets messages to devices when it is back, in order, and each once", async () => {
    await two();
    const { edus } = world.server("a");
    await done(edus.toDevice(toBob("before")));
    await world.settle();
    // Answers are lost: it has what the sender believes it has not.
    world.network.block("b.example", "a.example");
    await done(edus.toDevice(toBob("one")));
    await world.settle();
    world.cut("a", "b");
    await done(edus.toDevice(toBob("two")));
    await done(edus.toDevice(toBob("three")));
    await world.pass(600_000);
    expect(hereB.bodies).toEqual(["before", "one"]);
    world.heal("a", "b");
    await world.deliver();
    expect(hereB.bodies).toEqual(["before", "one", "two", "three"]);
    expect(await world.node("a").storage.readIntents()).toEqual([]);
  });

  it("costs the sender's storage one removal for each transaction, and for updates that another replaces", async () => {
    const rows = createMemoryStorage();
    const removed: number[] = [];
    const kept: number[] = [];
    const storage: Storage = {
      ...rows,
      removeIntents: async (ids) => {
        removed.push(ids.length);
        kept.push((await rows.readIntents()).length);
        return rows.removeIntents(ids);
      },
    };
    await two({ storage, edus: { transactionEdus: 2, queuedReliable: 4 } });
    const { edus } = world.server("a");
    world.cut("a", "b");
    await done(edus.toDevice(toBob("one")));
    for (const streamId of [1, 2]) await done(edus.deviceListUpdate({ userId: alice, deviceId: "X", streamId }));
    await done(edus.toDevice(toBob("two")));
    await done(edus.deviceListUpdate({ userId: alice, deviceId: "X", streamId: 3 }));
    expect(removed).toEqual([2]);
    // A crash in between leaves an update too many, and not none.
    expect(kept).toEqual([5]);
    world.heal("a", "b");
    await world.deliver();
    // The first was under way already.
    expect([hereB.bodies, removed]).toEqual([
      ["one", "two"],
      [2, 1, 2],
    ]);
  });

  it("gets them from a sender that was restarted meanwhile too", async () => {
    await two({ edus: { transactionEdus: 1 } });
    world.network.block("b.example", "a.example");
    await done(world.server("a").edus.toDevice(toBob("one")));
    await done(world.server("a").edus.deviceListUpdate({ userId: alice, deviceId: "X", streamId: 1 }));
    await world.settle();
    await done(world.server("a").edus.toDevice(toBob("two")));
    expect(hereB.bodies).toEqual(["one"]);
    // An intent of another kind is none of the queue's, whatever it holds.
    const strange = {
      id: "strange",
      kind: "strange",
      data: { destination: nameOf("b"), sequence: 1, edu: { edu_type: "m.x" } },
    };
    await world.node("a").storage.putIntent(strange);
    await world.restart("a");
    await done(world.server("a").edus.toDevice(toBob("three")));
    await world.settle();
    world.heal("a", "b");
    await world.deliver();
    expect(hereB.bodies).toEqual(["one", "two", "three"]);
    expect(hereB.changes).toEqual(["outdated"]);
    expect(hereB.codes, "the first came again, in another transaction").toContain("duplicate");
    expect(sentTo("b").flat()).not.toContainEqual(strange.data.edu);
    expect(await world.node("a").storage.readIntents()).toEqual([strange]);
  });

  it("gets them once from a sender that stopped and began again", async () => {
    await two();
    world.cut("a", "b");
    await done(world.server("a").edus.toDevice(toBob("one")));
    await world.settle();
    await done(world.server("a").edus.toDevice(toBob("two")));
    world.server("a").stop();
    await done(world.server("a").edus.toDevice(toBob("three")));
    await world.settle();
    world.heal("a", "b");
    world.calls.length = 0;
    expect(sentTo("b")).toEqual([]);
    await world.server("a").start();
    await world.deliver();
    expect(hereB.bodies).toEqual(["one", "two", "three"]);
    expect(sentTo("b").flat().length).toBe(3);
  });

  it("has a queue of a certain length, in which the last device update of a user stands for all", async () => {
    await two({ edus: { queuedReliable: 3 } });
    const { edus } = world.server("a");
    const update = (streamId: number): Promise<unknown> =>
      done(edus.deviceListUpdate({ userId: alice, deviceId: "X", streamId, prevIds: [streamId - 1] }));
    world.cut("a", "b");
    await done(edus.toDevice(toBob("one")));
    await update(1);
    await update(2);
    expect(await codeOf(edus.toDevice(toBob("too many")))).toBe("too_large");
    await update(3);
    await done(edus.toDevice(toBob("two")));
    expect(await codeOf(edus.toDevice(toBob("too many")))).toBe("too_large");
    expect((await world.node("a").storage.readIntents()).length).toBe(3);
    world.calls.length = 0;
    world.heal("a", "b");
    await world.deliver();
    expect(hereB.bodies).toEqual(["one", "two"]);
    const updates = sentTo("b")
      .flat()
      .filter(({ edu_type }) => edu_type === "m.device_list_update");
    expect(updates.map(({ content }) => (content as JsonObject)["stream_id"])).toEqual([3]);
  });

  it("does not make what may be lost pile up either", async () => {
    const roomId = await two({ edus: { queuedEphemeral: 2 } });
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.intercept((call, proceed) => (call.name === "send" ? held.then(proceed) : undefined));
    for (const name of ["1", "2", "3", "4"]) {
      const userId = userOf("a", name);
      const update = { userId, presence: "offline", lastActiveAgo: 1, destinations: ["b.example"] } as const;
      await done(world.server("a").edus.presence(update));
      await tick();
    }
    release();
    await world.deliver();
    expect(hereB.presence.map(({ userId }) => userId)).toEqual(["1", "3", "4"].map((name) => userOf("a", name)));
    expect(roomId).toContain("!");
  });
});

describe("a server without the module", () => {
  beforeEach(async () => {
    world = new World();
    hereA = new Heard();
    await addTo(world, "a", hereA);
    await world.add("b");
  });

  it("takes transactions and ignores their EDUs", async () => {
    const roomId = await world.shared("11", "a", "b");
    await done(world.server("a").edus.typing({ roomId, userId: alice, typing: true }));
    await done(world.server("a").edus.toDevice(toBob("to nobody")));
    await world.deliver();
    expect(world.server("a").isDelivering).toBe(false);
    expect(await send("a", "b", [typing(), null])).toBe("ok");
    expect(
      await send(
        "a",
        "b",
        Array.from({ length: 101 }, () => typing()),
      ),
    ).toBe("too_large");
    expect(world.faults()).toEqual([]);
  });

  it("sends none, and knows of nobody's devices", async () => {
    expect(() => world.server("b").edus).toThrow(UsageError);
    expect(await codeOf(world.ask("a", "b", "user_devices", { userId: bob }))).toBe("not_found");
    expect(await codeOf(world.server("a").edus.deviceList(bob))).toBe("refused_by_peer");
  });
});

// ---- messages to devices --------------------------------------------------------------------------------------

describe("a message to devices [cap:edus]", () => {
  it("goes to the server of each user whom it is for", async () => {
    await two();
    const hereC = new Heard();
    await addTo(world, "c", hereC);
    const to = { sender: alice, type: "m.key", messageId: "same" };
    const messages = [
      { userId: bob, deviceId: "PHONE", content: { body: "for the phone" } },
      { userId: bob, deviceId: ALL_DEVICES, content: { body: "for all" } },
      { userId: carol, deviceId: "__proto__", content: { body: "for an odd one" } },
    ];
    expect(await done(world.server("a").edus.toDevice({ ...to, messages }))).toEqual(["b.example", "c.example"]);
    await world.deliver();
    expect(hereB.messages).toEqual([{ ...to, messages: messages.slice(0, 2) }]);
    expect(hereC.messages).toEqual([{ ...to, messages: messages.slice(2) }]);
  });

  it("has an id of its own unless it is given one", async () => {
    await two();
    await done(world.server("a").edus.toDevice(toBob("one")));
    await done(world.server("a").edus.toDevice(toBob("two")));
    await world.deliver();
    const ids = hereB.messages.map(({ messageId }) => messageId);
    expect(new Set(ids).size).toBe(2);
    for (const id of ids) expect(id.length).toBeLessThanOrEqual(32);
  });

  it("is not made of what no server would take", async () => {
    await two();
    const { edus } = world.server("a");
    await expect(edus.toDevice({ ...toBob("x"), sender: bob })).rejects.toThrow(UsageError);
    await expect(edus.toDevice(toBob("x", "x".repeat(33)))).rejects.toThrow(UsageError);
    await expect(edus.toDevice(toBob("x", ""))).rejects.toThrow(UsageError);
    const local = [{ userId: alice, deviceId: "X", content: {} }];
    await expect(edus.toDevice({ ...toBob("x"), messages: local })).rejects.toThrow(UsageError);
    await expect(
      edus.toDevice({ ...toBob("x"), messages: [{ userId: bob, deviceId: "X", content: { half: 0.5 } }] }),
    ).rejects.toThrow(UsageError);
  });

  it("is taken once, whatever transaction it is in", async () => {
    await two();
    await send("b", "a", [message(), message()]);
    await send("b", "a", [message()]);
    await send("b", "a", [message({ message_id: "other" }), message({ sender: userOf("b", "other") })]);
    expect(hereA.messages.map(({ sender, messageId }) => [sender, messageId])).toEqual([
      [bob, "id"],
      [bob, "other"],
      [userOf("b", "other"), "id"],
    ]);
    expect(hereA.codes).toEqual(["duplicate", "duplicate"]);
  });

  it("is taken once when it comes again while it is worked on", async () => {
    const heard = new Heard();
    const onToDevice = async (one: ToDevice): Promise<void> => {
      await tick();
      heard.messages.push(one);
    };
    await two({ handler: { ...heard.handler, onToDevice } });
    expect(await Promise.all([send("b", "a", [message()]), send("b", "a", [message()])])).toEqual(["ok", "ok"]);
    expect([heard.messages.length, heard.codes]).toEqual([1, ["duplicate"]]);
  });

  it("is known after a restart where the host's store outlives it", async () => {
    const store = createToDeviceStore();
    await two({ store });
    await send("b", "a", [message()]);
    await world.restart("a");
    await send("b", "a", [message()]);
    expect(hereA.messages.length).toBe(1);
  });

  it("reaches users of this server and nobody else", async () => {
    await two();
    await send("b", "a", [message({ messages: { [alice]: { X: {} }, [carol]: { X: {} }, [bob]: { X: {} } } })]);
    await send("b", "a", [message({ message_id: "2", messages: { [carol]: { X: {} } } })]);
    expect(hereA.messages.flatMap(({ messages }) => messages.map(({ userId }) => userId))).toEqual([alice]);
    expect(hereA.codes).toEqual(["foreign_user", "foreign_user"]);
  });

  it("that the host cannot take is not acknowledged, and comes again", async () => {
    const roomId = await two();
    let fail = true;
    hereB.before = (what) => {
      if (what === "onToDevice" && fail) throw new Error("no database");
    };
    await done(world.server("a").edus.toDevice(toBob("kept")));
    await done(world.say("a", roomId, "beside"));
    await world.pass(5_000);
    expect([hereB.bodies, world.server("a").isDelivering]).toEqual([[], true]);
    fail = false;
    await world.deliver();
    expect(hereB.bodies).toEqual(["kept"]);
    expect(await world.view("b", roomId)).toEqual(await world.view("a", roomId));
  });

  it("is heard even if another in the transaction cannot be taken", async () => {
    await two();
    let calls = 0;
    hereA.before = (what) => {
      if (what === "onToDevice" && calls++ === 0) throw new Error("no database");
    };
    expect(await send("b", "a", [message(), message({ message_id: "2" })])).toBe("internal");
    expect(hereA.messages.map(({ messageId }) => messageId)).toEqual(["2"]);
    expect(await send("b", "a", [message(), message({ message_id: "2" })])).toBe("ok");
    expect(hereA.messages.map(({ messageId }) => messageId)).toEqual(["2", "id"]);
  });
});

describe("the store of message ids in memory", () => {
  it("forgets the oldest of a server, and the servers that were silent for longest", async () => {
    const store = createToDeviceStore({ perServer: 2, total: 3 });
    const add = (sender: string, ...ids: readonly string[]): void => {
      for (const id of ids) void store.add(sender, id);
    };
    const known = async (sender: string, ...ids: readonly string[]): Promise<readonly boolean[]> =>
      Promise.all(ids.map(async (id) => store.has(sender, id)));
    add(bob, "1", "2", "2", "3");
    expect(await known(bob, "1", "2", "3")).toEqual([false, true, true]);
    expect(await known(userOf("b", "other"), "2")).toEqual([false]);
    add(carol, "1");
    expect(await known(bob, "2", "3")).toEqual([true, true]);
    add(carol, "2");
    expect(await known(bob, "2", "3")).toEqual([false, false]);
    expect(await known(carol, "1", "2")).toEqual([true, true]);
    expect(() => createToDeviceStore({ perServer: 0 })).toThrow(UsageError);
    expect(() => createToDeviceStore({ perServer: 10, total: 9 })).toThrow(UsageError);
  });
});

// ---- devices --------------------------------------------------------------------------------------------------

describe("the devices of a user", () => {
  it("are told to who asks, of this server's users", async () => {
    await two();
    const list: DeviceList = {
      userId: bob,
      streamId: 4,
      devices: [{ deviceId: "PHONE", displayName: "Bob's", keys: deviceKeys(bob, "PHONE") }, { deviceId: "BARE" }],
      masterKey: signingKey(bob, "master"),
      selfSigningKey: signingKey(bob, "self_signing"),
    };
    hereB.lists.set(bob, list);
    expect(await done(world.server("a").edus.deviceList(bob))).toEqual(list);
    expect(hereA.devices).toEqual([{ kind: "list", list }]);
    expect(await codeOf(world.ask("a", "b", "user_devices", { userId: userOf("b", "nobody") }))).toBe("not_found");
    expect(await codeOf(world.ask("a", "b", "user_devices", { userId: alice }))).toBe("invalid_param");
    expect(await codeOf(world.ask("a", "b", "user_devices", { userId: 5 as never }))).toBe("bad_request");
    await expect(world.server("a").edus.deviceList(alice)).rejects.toThrow(UsageError);
  });

  it("are followed by the updates of the user's server, from the first to the last", async () => {
    await two();
    const list = { userId: alice, streamId: 3, devices: [] };
    hereA.lists.set(alice, list);
    const { edus } = world.server("a");
    const keys = deviceKeys(alice, "X");
    const update = { userId: alice, deviceId: "X", displayName: "new", keys };
    await done(edus.deviceListUpdate({ ...update, streamId: 3 }));
    await world.deliver();
    expect(hereB.changes, "what is before the first is not known").toEqual(["outdated", "list 3"]);
    expect(await done(edus.deviceListUpdate({ ...update, streamId: 4, prevIds: [3] }))).toEqual(["b.example"]);
    await done(edus.deviceListUpdate({ userId: alice, deviceId: "X", streamId: 5, prevIds: [4], deleted: true }));
    await world.deliver();
    expect(hereB.devices.slice(2)).toEqual([
      { kind: "update", update: { ...update, streamId: 4, prevIds: [3], deleted: false } },
      { kind: "update", update: { userId: alice, deviceId: "X", streamId: 5, prevIds: [4], deleted: true } },
    ]);
    await expect(edus.deviceListUpdate({ ...update, streamId: 6, keys: deviceKeys(bob, "X") })).rejects.toThrow(
      UsageError,
    );
  });

  it("and their signing keys too", async () => {
    await two();
    const keys = { userId: alice, masterKey: signingKey(alice, "master") };
    expect(await done(world.server("a").edus.signingKeys(keys))).toEqual(["b.example"]);
    await world.deliver();
    expect(hereB.keys).toEqual([keys]);
    const wrong = { userId: alice, selfSigningKey: signingKey(alice, "master") };
    await expect(world.server("a").edus.signingKeys(wrong)).rejects.toThrow(UsageError);
  });
});

/** Server `a`, and a played server `b` whose list is at `place`. */
interface Played {
  place: number;
  answer: ((userId: string) => unknown) | undefined;
  readonly asked: string[];
  readonly update: (streamId: number, prevIds?: readonly number[], userId?: string) => Promise<void>;
}

async function playedB(given: Given = {}): Promise<Played> {
  world = new World();
  hereA = new Heard();
  await addTo(world, "a", hereA, given);
  const played: Played = {
    place: 5,
    answer: undefined,
    asked: [],
    update: async (streamId, prevIds = [streamId - 1], userId = bob) => {
      await send("b", "a", [device({ stream_id: streamId, prev_id: prevIds, user_id: userId })]);
    },
  };
  const answers: Partial<PeerAnswers> = {
    user_devices: ({ userId }) => {
      played.asked.push(userId);
      return played.answer?.(userId) ?? { userId, streamId: played.place, devices: [] };
    },
  };
  world.peer("b", answers);
  return played;
}

describe("an update of devices that builds on what is not known [cap:device-lists]", () => {
  it("makes the list be asked for, and is followed from there", async () => {
    const b = await playedB();
    await b.update(5);
    await b.update(6);
    b.place = 9;
    await b.update(9);
    await b.update(10, [9]);
    await b.update(11, [9, 8]);
    await world.settle();
    expect(hereA.changes).toEqual([
      "outdated",
      "list 5",
      "update 6",
      "outdated",
      "list 9",
      "update 10",
      "outdated",
      "list 9",
    ]);
    expect(b.asked.length).toBe(3);
    await b.update(12, [11]);
    expect(hereA.changes.at(-1), "11 was sent before the list was asked for").toBe("update 12");
  });

  it("is one that builds on none, since a sequence that begins says nothing of what was", async () => {
    const b = await playedB();
    await b.update(5, []);
    await b.update(5, []);
    await b.update(6, []);
    expect(hereA.changes).toEqual(["outdated", "list 5", "outdated", "list 5", "outdated", "list 5"]);
  });

  it("is known by no number that was given before its server began anew", async () => {
    const b = await playedB();
    await b.update(5);
    await b.update(6);
    b.place = 1;
    await b.update(1, []);
    b.place = 6;
    await b.update(6, [5]);
    expect(hereA.changes).toEqual(["outdated", "list 5", "update 6", "outdated", "list 1", "outdated", "list 6"]);
  });

  it("is not one that came before", async () => {
    const b = await playedB();
    await b.update(5);
    await b.update(6);
    await b.update(6);
    await b.update(5, [4]);
    expect(hereA.changes).toEqual(["outdated", "list 5", "update 6"]);
    expect(b.asked.length).toBe(1);
  });

  it("while the list is on its way makes it be asked for once more, however many there are", async () => {
    const b = await playedB();
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.intercept((call, proceed) => (call.name === "user_devices" ? held.then(proceed) : undefined));
    for (const streamId of [5, 6, 7, 8]) await b.update(streamId);
    expect(b.asked.length).toBe(0);
    b.place = 8;
    release();
    await world.pass(10_000);
    expect(hereA.changes).toEqual(["outdated", "list 8", "list 8"]);
    await b.update(9);
    expect(hereA.changes.at(-1)).toBe("update 9");
    expect(b.asked.length).toBe(2);
  });

  it("is not undone by a list that was asked for before it", async () => {
    const b = await playedB();
    await b.update(5);
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    world.intercept((call, proceed) =>
      call.name === "user_devices" ? proceed().then(async (answer) => held.then(() => answer)) : undefined,
    );
    const asking = world.server("a").edus.deviceList(bob);
    await tick();
    await b.update(6);
    b.place = 6;
    release();
    expect((await done(asking)).streamId).toBe(5);
    world.intercept(undefined);
    await world.pass(1_000);
    expect(hereA.changes).toEqual(["outdated", "list 5", "outdated", "list 5", "list 6"]);
  });

  it("makes the list be asked for less and less often while it cannot be had, and in the end not at all", async () => {
    const b = await playedB({ edus: { resyncAttempts: 4, retryFirst: 1_000, retryLongest: 3_000 } });
    b.answer = () => refusal("internal");
    const times: number[] = [];
    const began = world.clock.now();
    world.intercept((call) => {
      if (call.name === "user_devices") times.push(world.clock.now() - began);
      return undefined;
    });
    await b.update(5);
    await world.pass(60_000);
    expect(times).toEqual([0, 1_000, 3_000, 6_000]);
    expect(hereA.changes).toEqual(["outdated"]);
    b.answer = undefined;
    await b.update(6);
    await world.pass(1_000);
    expect(hereA.changes, "the host was told already").toEqual(["outdated", "list 5"]);
  });

  it("asks a server for one list at a time, and for no more users than it may cause", async () => {
    const b = await playedB({ edus: { resyncUsers: 3 } });
    let atOnce = 0;
    let most = 0;
    world.intercept((call, proceed) => {
      if (call.name !== "user_devices") return undefined;
      most = Math.max(most, ++atOnce);
      return tick()
        .then(proceed)
        .finally(() => atOnce--);
    });
    const users = ["1", "2", "3", "4", "5"].map((name) => userOf("b", name));
    await send(
      "b",
      "a",
      users.map((userId) => device({ user_id: userId })),
    );
    for (let turn = 0; turn < 20; turn++) await tick();
    expect([most, b.asked]).toEqual([1, users.slice(0, 3)]);
    await b.update(7, [6], users[4]);
    for (let turn = 0; turn < 20; turn++) await tick();
    expect(b.asked.at(-1), "it has its turn at the next update").toBe(users[4]);
  });

  it("of a user whom the host does not care for changes nothing", async () => {
    const heard = new Heard();
    const b = await playedB({ handler: { ...heard.handler, wantsDevices: (userId) => userId !== bob } });
    await b.update(5);
    await b.update(5, [4], userOf("b", "other"));
    expect(b.asked).toEqual([userOf("b", "other")]);
    expect(heard.changes).toEqual(["outdated", "list 5"]);
  });

  it("is forgotten by a server that stops", async () => {
    const b = await playedB();
    b.answer = () => refusal("internal");
    await b.update(5);
    world.server("a").stop();
    await world.pass(60_000);
    expect(b.asked.length).toBe(1);
    b.answer = undefined;
    await world.server("a").start();
    await b.update(6);
    await world.settle();
    expect(hereA.changes).toEqual(["outdated", "list 5"]);
  });
});

describe("a list of devices", () => {
  it.each<[string, unknown]>([
    ["is about another user", { userId: carol, streamId: 5, devices: [] }],
    ["has no place", { userId: bob, streamId: "5", devices: [] }],
    ["has no devices", { userId: bob, streamId: 5 }],
    ["is empty", {}],
    ["holds what is no JSON", { userId: bob, streamId: 5, devices: [{ device_id: "X", at: new Date(0) }] }],
    ["has too many devices", { userId: bob, streamId: 5, devices: Array.from({ length: 10_001 }, () => ({})) }],
  ])("is not believed if it %s", async (_, answer) => {
    const b = await playedB();
    b.answer = () => answer;
    expect(await codeOf(world.server("a").edus.deviceList(bob))).toBe("refused_by_peer");
    expect(hereA.changes).toEqual([]);
  });

  it("is believed without what in it does not hold", async () => {
    const b = await playedB();
    const good = { device_id: "GOOD", keys: deviceKeys(bob, "GOOD") };
    b.answer = () => ({
      userId: bob,
      streamId: 5,
      devices: [{ device_id: 5 }, good, null, { device_id: "BAD", keys: deviceKeys(carol, "BAD") }],
      masterKey: signingKey(carol, "master"),
      selfSigningKey: signingKey(bob, "self_signing"),
    });
    expect(await done(world.server("a").edus.deviceList(bob))).toEqual({
      userId: bob,
      streamId: 5,
      devices: [{ deviceId: "GOOD", keys: good.keys }],
      selfSigningKey: signingKey(bob, "self_signing"),
    });
  });

  it("that the host could not take is asked for again, as after an update or keys that it could not take", async () => {
    const b = await playedB();
    const failing = new Set<string>();
    hereA.before = (what) => {
      if (failing.delete(what)) throw new Error("no database");
    };
    await b.update(5);
    failing.add("onDeviceLists");
    await b.update(6);
    await world.pass(10_000);
    expect(hereA.changes).toEqual(["outdated", "list 5", "outdated", "list 5"]);
    failing.add("onSigningKeys");
    await send("b", "a", [signing()]);
    await world.pass(10_000);
    expect(hereA.changes.slice(4)).toEqual(["outdated", "list 5"]);
    failing.add("onDeviceLists");
    expect(await codeOf(world.server("a").edus.deviceList(bob))).toBe("undecided");
    expect(world.faults().length).toBe(3);
  });
});

describe("a host that fails", () => {
  it("loses what may be lost, is told of it, and keeps no other EDU from being heard", async () => {
    const roomId = await two();
    hereA.before = () => {
      throw new Error("broken");
    };
    expect(
      await send("b", "a", [
        typing({ room_id: roomId }),
        receipts(roomId, bob, receipt(1)),
        presence({ user_id: bob, presence: "online", last_active_ago: 0 }),
      ]),
    ).toBe("ok");
    expect(world.faults().length).toBe(3);
  });

  it("need not listen to everything", async () => {
    const roomId = await two({ handler: {} });
    expect(
      await send("b", "a", [
        typing({ room_id: roomId }),
        receipts(roomId, bob, receipt(1)),
        presence({ user_id: bob, presence: "online", last_active_ago: 0 }),
        device(),
        signing(),
        message(),
        null,
      ]),
    ).toBe("ok");
    expect(await codeOf(world.ask("b", "a", "user_devices", { userId: alice }))).toBe("not_found");
    await world.pass(100_000);
    expect(world.faults()).toEqual([]);
    expect(world.callsOf("user_devices")).toEqual([]);
  });

  it("sets no limit that is none", () => {
    for (const transactionEdus of [0, -1, 1.5, NaN]) {
      expect(() => createEdus({ handler: {}, limits: { transactionEdus } })).toThrow(UsageError);
    }
  });
});
