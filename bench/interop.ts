/**
 * `npm run bench:interop [-- --json]`: servers as they run, over HTTPS on loopback, each a process of its own. Every
 * figure of a real Synapse is of the same run and the same load.
 */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { buildEvent } from "../src/event/index.js";
import type { Pdu } from "../src/event/index.js";
import type { JsonObject } from "../src/json/value.js";
import { eventually } from "../test/interop/federation/processes.js";
import { createRoomdag, removeRoomdag, Roomdag, stopRoomdag } from "../test/interop/federation/roomdag.js";
import type { RoomdagAddress } from "../test/interop/federation/roomdag.js";
import { createSynapse, removeSynapse, stopSynapse } from "../test/interop/federation/synapse.js";
import { path, register } from "../test/interop/federation/synapse-client.js";
import type { SynapseUser } from "../test/interop/federation/synapse-client.js";
import { pduOf, rulesOf, ThirdRoom, ThirdServer } from "../test/interop/federation/third.js";
import { startPostgres } from "../test/interop/postgres/server.js";

const VERSION = "10";
const PDUS = 500;
const TRANSACTION = 50;
const ROUNDS = 3;
const SENDS = 200;
const MEMBERS = 10_000;
/** Probes for a single event do not count: a server is asked again after so many milliseconds. */
const PROBE = 5;

interface Figure {
  readonly what: string;
  readonly server: string;
  readonly value: number;
  readonly unit: string;
}

const figures: Figure[] = [];

function note(what: string, server: string, value: number, unit: string): void {
  figures.push({ what, server, value, unit });
  if (!process.argv.includes("--json")) console.log(`${what}, ${server}: ${value.toPrecision(3)} ${unit}`);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

/** Until it is there, asking as soon as the answer was no. */
async function until(look: () => Promise<unknown>): Promise<void> {
  for (const end = performance.now() + 60_000; ;) {
    try {
      await look();
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, PROBE));
    }
  }
}

/** A server under test, as the bench sees it. */
interface Subject {
  readonly name: string;
  readonly server: string;
  readonly create: () => Promise<string>;
  readonly join: (roomId: string, via: string) => Promise<void>;
  readonly has: (roomId: string, eventId: string) => Promise<unknown>;
  readonly send: (roomId: string, body: string) => Promise<string>;
}

function roomdagSubject(name: string, address: RoomdagAddress): Subject {
  const host = new Roomdag(address);
  const user = host.user("bench");
  return {
    name,
    server: address.server,
    create: () => user.create({ version: VERSION }),
    join: (roomId, via) => user.join(roomId, [via]),
    has: (_, eventId) => host.event(eventId),
    send: (roomId, body) => user.send(roomId, body),
  };
}

function synapseSubject(server: string, user: SynapseUser): Subject {
  return {
    name: "Synapse",
    server,
    create: () => user.create({ version: VERSION }),
    join: (roomId, via) => user.join(roomId, [via]),
    has: (roomId, eventId) => user.event(roomId, eventId),
    send: (roomId, body) => user.send(roomId, body),
  };
}

// ---- inbound ----------------------------------------------------------------------------------------------

/** From the first transaction on until the last event can be read. All events follow each other. */
async function inbound(subject: Subject, third: ThirdServer): Promise<number> {
  const roomId = await subject.create();
  const user = third.user("writer");
  const room = await third.join(VERSION, roomId, user, subject.server);
  const events: Pdu[] = [];
  for (let n = 0; n < PDUS; n++) {
    const content = { msgtype: "m.text", body: `message ${String(n)} ${"x".repeat(200)}` };
    const event = room.build(user, { type: "m.room.message", content });
    room.latest = [event];
    events.push(event);
  }
  const began = performance.now();
  for (let at = 0; at < PDUS; at += TRANSACTION) {
    const some = events.slice(at, at + TRANSACTION);
    const { status } = await third.send(
      subject.server,
      some.map(({ json }) => json),
    );
    if (status !== 200) throw new Error(`${subject.name} answered ${String(status)}`);
    // Synapse answers before it looks at them, and drops what lies beyond 100 that wait.
    const last = some.at(-1)?.eventId ?? "";
    await until(() => subject.has(roomId, last));
  }
  return performance.now() - began;
}

// ---- latency ----------------------------------------------------------------------------------------------

/** From the call that sends to the moment at which the other server shows it. */
async function latency(from: Subject, to: Subject): Promise<readonly number[]> {
  const roomId = await from.create();
  await to.join(roomId, from.server);
  const times: number[] = [];
  for (let n = -10; n < SENDS; n++) {
    const began = performance.now();
    const eventId = await from.send(roomId, `message ${String(n)}`);
    await until(() => to.has(roomId, eventId));
    if (n >= 0) times.push(performance.now() - began);
  }
  return times;
}

// ---- a large room -----------------------------------------------------------------------------------------

/** A public room all of whose members are the third server's, which lets anybody in. */
function largeRoom(third: ThirdServer): string {
  const rules = rulesOf(VERSION);
  const roomId = `!large:${third.name}`;
  const room = new ThirdRoom(third, rules, roomId);
  const founder = third.user("member-0");
  const add = (sender: string, type: string, stateKey: string, content: JsonObject): void => {
    const event = room.build(sender, { type, stateKey, content });
    room.put(event);
    room.latest = [event];
  };
  const made = buildEvent(
    rules,
    {
      roomId,
      type: "m.room.create",
      stateKey: "",
      sender: founder,
      content: { room_version: VERSION, creator: founder },
      originServerTs: Date.now(),
    },
    { prevEvents: [], authEvents: [] },
    third.key,
  );
  if (!made.ok) throw new Error(made.error.reason);
  room.put(made.value);
  room.latest = [made.value];
  add(founder, "m.room.member", founder, { membership: "join" });
  add(founder, "m.room.power_levels", "", { users: { [founder]: 100 } });
  add(founder, "m.room.join_rules", "", { join_rule: "public" });
  for (let n = 1; n < MEMBERS; n++) {
    const user = third.user(`member-${String(n)}`);
    add(user, "m.room.member", user, { membership: "join" });
  }
  third.handler = (_, url, body) => {
    const [, , , , kind, , name = ""] = url.pathname.split("/");
    if (kind === "make_join") {
      const userId = decodeURIComponent(name);
      const join = { type: "m.room.member", stateKey: userId, content: { membership: "join" } };
      const { json } = room.build(userId, join);
      const { hashes: _hashes, signatures: _signatures, ...event } = json;
      return { room_version: VERSION, event };
    }
    if (kind !== "send_join") return undefined;
    const state = [...room.state.values()].map(({ json }) => json);
    const join = pduOf(rules, JSON.parse(body) as JsonObject);
    room.put(join);
    room.latest = [join];
    // All of the auth chain is in the state.
    return { origin: third.name, state, auth_chain: [], event: join.json, members_omitted: false };
  };
  return roomId;
}

async function joinTime(subject: Subject, roomId: string, via: string): Promise<number> {
  const began = performance.now();
  await subject.join(roomId, via);
  return performance.now() - began;
}

// ---- all of it --------------------------------------------------------------------------------------------

/** What was started, the latest last: all of it is stopped, whatever became of the bench. */
const closers: (() => Promise<unknown>)[] = [];

async function opened<T>(open: Promise<T>, close: (value: T) => Promise<unknown>): Promise<T> {
  const value = await open;
  closers.push(() => close(value));
  return value;
}

async function closeRoomdag(address: RoomdagAddress): Promise<void> {
  await stopRoomdag(address);
  removeRoomdag(address);
}

async function startRoomdag(name: string, database?: string): Promise<Subject> {
  return roomdagSubject(name, await opened(createRoomdag(database), closeRoomdag));
}

async function benchAll(): Promise<void> {
  const postgres = await opened(startPostgres(), (server) => server.remove());
  const synapse = await opened(createSynapse(), async (address) => {
    await stopSynapse(address);
    removeSynapse(address);
  });
  const third = await opened(ThirdServer.start(), (server) => server.stop());
  const sqlite = await startRoomdag("roomdag, SQLite");
  const inPostgres = await startRoomdag("roomdag, PostgreSQL", postgres.url);
  const memory = await startRoomdag("roomdag, memory", "memory");
  const user = await register(synapse, "bench");
  const theirs = synapseSubject(synapse.server, user);
  const all = [sqlite, inPostgres, memory, theirs];

  const times = new Map<string, number[]>(all.map(({ name }) => [name, []]));
  // Each round goes over all, so that a slow spell of the machine falls on all of them.
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of all) times.get(subject.name)?.push(await inbound(subject, third));
  }
  for (const { name } of all) note("inbound", name, (PDUS / quantile(times.get(name) ?? [], 0.5)) * 1000, "PDUs/s");

  for (const [from, to] of [
    [memory, sqlite],
    [sqlite, inPostgres],
    [sqlite, theirs],
    [theirs, sqlite],
  ] as const) {
    const taken = await latency(from, to);
    note("send to visible, p50", `${from.name} to ${to.name}`, quantile(taken, 0.5), "ms");
    note("send to visible, p99", `${from.name} to ${to.name}`, quantile(taken, 0.99), "ms");
  }

  const roomId = largeRoom(third);
  const what = `join of a room of ${MEMBERS.toLocaleString("en")} members`;
  note(what, `${memory.name}, from the bench`, (await joinTime(memory, roomId, third.name)) / 1000, "s");
  note(what, `${sqlite.name}, from roomdag`, (await joinTime(sqlite, roomId, memory.server)) / 1000, "s");
  // Both can be used before they know the members, and are completed in the background.
  const complete = async (name: string, join: Promise<void>, isComplete: () => Promise<boolean>): Promise<void> => {
    const began = performance.now();
    await join;
    note(what, `${name}, until it can be used`, (performance.now() - began) / 1000, "s");
    await eventually(async () => {
      if (!(await isComplete())) throw new Error("not all members are known");
    }, 600_000);
    note(what, `${name}, until all members are known`, (performance.now() - began) / 1000, "s");
  };
  const partial = await opened(createRoomdag(), closeRoomdag);
  const host = new Roomdag(partial);
  await complete(
    "roomdag, SQLite, in part from roomdag",
    host.user("bench").join(roomId, [memory.server], true),
    async () => (await host.room(roomId))["partial"] === false,
  );
  await complete("Synapse, in part from roomdag", theirs.join(roomId, memory.server), async () => {
    const members = await user.get(`/_matrix/client/v3/rooms/${path(roomId)}/joined_members`);
    return Object.keys(members["joined"] as JsonObject).length >= MEMBERS;
  });
  note(what, `${inPostgres.name}, from Synapse`, (await joinTime(inPostgres, roomId, synapse.server)) / 1000, "s");
}

try {
  await benchAll();
} finally {
  for (const close of closers.reverse()) await close();
}
if (process.argv.includes("--json")) console.log(JSON.stringify(figures, undefined, 2));
