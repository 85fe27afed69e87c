import { encodeUnpadded, publicKeyFromSeed } from "../../src/crypto/index.js";
import { version } from "../../src/index.js";
import { checkRoom, readDump } from "../../src/inspect/index.js";
import type { CheckOptions, Dump, ReadOptions, RoomReport } from "../../src/inspect/index.js";
import type { JsonObject } from "../../src/json/index.js";

const seed = new Uint8Array(32).fill(7);
const key = { server: "a.example", keyId: "ed25519:1", seed };

/** The keys of every server of the rooms made here. */
export const keys: JsonObject = { "a.example": { "ed25519:1": encodeUnpadded(publicKeyFromSeed(seed)) } };

export const alice = "@alice:a.example";
export const bob = "@bob:a.example";

/** What differs from event to event. */
export interface Draft {
  readonly type: string;
  readonly sender?: string;
  readonly stateKey?: string;
  readonly content?: JsonObject;
  readonly after?: readonly JsonObject[];
  readonly auth?: readonly JsonObject[];
  /** Further top-level keys. */
  readonly more?: JsonObject;
}

/** Makes signed events of room version 10, each a millisecond after the one before. */
export class RoomMaker {
  #time = 1000;

  idOf(event: JsonObject): string {
    return version("10").eventId(event);
  }

  make({ type, sender = alice, stateKey, content = {}, after = [], auth = [], more = {} }: Draft): JsonObject {
    this.#time++;
    return version("10").sign(
      {
        type,
        sender,
        content,
        room_id: "!room:a.example",
        depth: 1,
        origin_server_ts: this.#time,
        prev_events: after.map((event) => this.idOf(event)),
        auth_events: auth.map((event) => this.idOf(event)),
        ...(stateKey === undefined ? {} : { state_key: stateKey }),
        ...more,
      },
      key,
    );
  }
}

/** A room of Alice's that anybody may join, and Bob's attempt to rename it without having joined. */
export function smallRoom(): Record<"create" | "join" | "rules" | "message" | "intruder", JsonObject> {
  const room = new RoomMaker();
  const content = { creator: alice, room_version: "10" };
  const create = room.make({ type: "m.room.create", stateKey: "", content });
  const join = room.make({
    type: "m.room.member",
    stateKey: alice,
    content: { membership: "join" },
    after: [create],
    auth: [create],
  });
  const auth = [create, join];
  const rules = room.make({
    type: "m.room.join_rules",
    stateKey: "",
    content: { join_rule: "public" },
    after: [join],
    auth,
  });
  const message = room.make({ type: "m.room.message", content: { body: "hello" }, after: [rules], auth });
  const intruder = room.make({
    type: "m.room.name",
    sender: bob,
    stateKey: "",
    content: { name: "mine" },
    after: [rules],
    auth: [create],
  });
  return { create, join, rules, message, intruder };
}

export function dumpOf(value: unknown, options: ReadOptions = {}): Dump {
  const dump = readDump(JSON.stringify(value), options);
  if (!dump.ok) throw new Error(dump.error.reason);
  return dump.value;
}

export function reportOf(value: unknown, options: ReadOptions & CheckOptions = {}): RoomReport {
  const report = checkRoom(dumpOf(value, options), { keys: [keys], ...options });
  if (!report.ok) throw new Error(report.error.reason);
  return report.value;
}
