// @ts-check
/**
 * The messenger in a room with two full servers: it joins, talks, forgets, restarts, lets somebody in, and meets a
 * fork. An argument says for how many rounds they talk, of three messages each.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as quiet } from "node:timers/promises";
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "roomdag/adapters/memory";
import { createServer } from "roomdag/federation";
import { openMessenger } from "./messenger.mjs";

/** @import { Room } from "roomdag/engine" */
/** @import { Result } from "roomdag" */

const folder = mkdtempSync(join(tmpdir(), "minimal-messenger-"));
const network = createMemoryNetwork();
const directory = createKeyDirectory();
const clock = createManualClock(Date.UTC(2025, 0, 1));

/** @param {string} server */
function portsOf(server) {
  const random = createSeededRandom(server);
  const key = { server, keyId: "ed25519:1", seed: random.bytes(32) };
  return { server, transport: network.transport(server), keys: createMemoryKeys(key, directory), clock, random };
}

const [one, two] = ["one.example", "two.example"].map((server) =>
  createServer({ ...portsOf(server), storage: createMemoryStorage() }),
);
if (one === undefined || two === undefined) throw new Error("two servers were made");

/** What the messenger's engine counted. @type {Map<string, number>} */
const counts = new Map();
const messengerPorts = portsOf("messenger.example");
/** Nothing but its two files survives from one of these to the next. */
const openHere = () =>
  openMessenger({
    ...messengerPorts,
    folder,
    observer: { onMetric: ({ name, value }) => counts.set(name, (counts.get(name) ?? 0) + value) },
    show: ({ id, author, text }) => console.log(`   [messenger] ${id} ${author}: ${text}`),
  });
let messenger = openHere();

/** Lets everything happen that can happen; with `wait`, also what needs time to pass. */
async function settle(wait = true) {
  await quiet();
  while (wait && [one, two, messenger.homeserver].some((server) => server?.isDelivering)) {
    clock.advance(clock.untilNext() ?? 0);
    await quiet();
  }
  await messenger.shown();
}

/** Cuts two.example off. @param {readonly string[]} from */
function cut(...from) {
  for (const server of from) {
    network.block(server, "two.example");
    network.block("two.example", server);
  }
}

/** @param {readonly string[]} from */
function heal(...from) {
  for (const server of from) {
    network.unblock(server, "two.example");
    network.unblock("two.example", server);
  }
}

/**
 * @template T
 * @param {Promise<Result<T>>} doing
 * @returns {Promise<T>}
 */
async function done(doing) {
  clock.advance(1000);
  const result = await doing;
  if (!result.ok) throw new Error(result.error.reason);
  return result.value;
}

async function restart() {
  messenger.stop();
  messenger = openHere();
  await messenger.start();
}

/** @param {Room | undefined} room */
function stateHash(room) {
  const ids = [...(room?.current.ids() ?? [])].sort();
  return createHash("sha256").update(ids.join(" ")).digest("hex").slice(0, 12);
}

console.log("1. alice makes a room on one.example; bob of two.example and anna of the messenger join it");
await one.start();
await two.start();
await messenger.start();
const alice = "@alice:one.example";
const bob = "@bob:two.example";
const { roomId } = await done(one.create({ version: "11", creator: alice, preset: "public", name: "Tea" }));
await done(one.setState({ roomId, userId: alice, ...levelsFor({ [alice]: 100, [bob]: 100 }) }));
await done(two.join({ roomId, userId: bob, via: ["one.example"] }));
await messenger.join("anna", "tea", roomId, ["one.example"]);
await settle();

/**
 * @param {typeof one} server
 * @param {string} userId
 * @param {string} body
 */
const say = (server, userId, body) =>
  done(server.send({ roomId, userId, type: "m.room.message", content: { msgtype: "m.text", body } }));
/**
 * @param {typeof one} server
 * @param {string} userId
 * @param {string} topic
 */
const setTopic = (server, userId, topic) =>
  done(server.setState({ roomId, userId, type: "m.room.topic", content: { topic } }));

console.log("2. they talk");
const rounds = Number(process.argv[2] ?? 6);
for (let round = 1; round <= rounds; round++) {
  await say(one, alice, `cup ${round}`);
  await say(two, bob, `and another, ${round}`);
  await messenger.send("anna", "tea", `cheers, ${round}`);
  await settle();
}
await tell();

console.log("3. the messenger restarts with its files alone, says something, and takes it back");
await restart();
await messenger.send("anna", "tea", "Is there any left?");
await settle();
const said = messenger.messages().at(-1);
if (said === undefined) throw new Error("nothing was said");
await messenger.takeBack("anna", said.id);
await settle();
const forBob = await (await two.room(roomId))?.event(said.eventId);
console.log(`   bob sees it ${forBob?.redactedBy === undefined ? "still" : "taken back"}`);

console.log("4. bob leaves and comes back: the messenger lets him in, with what it kept");
await done(two.leave({ roomId, userId: bob }));
await settle();
cut("one.example");
await done(two.join({ roomId, userId: bob, via: ["messenger.example"] }));
heal("one.example");
await settle();

console.log("5. two.example is cut off: both sides talk and change the room, and the messenger restarts meanwhile");
cut("one.example", "messenger.example");
await setTopic(one, alice, "Green tea");
for (let round = 1; round <= 8; round++) await say(one, alice, `still here, ${round}`);
await messenger.send("anna", "tea", "Where is bob?");
await settle(false);
await done(
  two.setState({ roomId, userId: bob, ...levelsFor({ [alice]: 100, [bob]: 100, "@anna:messenger.example": 50 }) }),
);
await setTopic(two, bob, "Black tea");
await say(two, bob, "Hello?");
await settle(false);
await restart();

console.log("6. the network heals: bob's branch grows from an event that the messenger has forgotten");
heal("one.example", "messenger.example");
await settle();
await restart();
await say(two, bob, "There you are.");
await settle();
await messenger.send("anna", "tea", "Here we are.");
await settle();
await say(one, alice, "All of us.");
await settle();
await tell();

const rooms = await Promise.all([one, two, messenger.homeserver].map((server) => server.room(roomId)));
const hashes = rooms.map(stateHash);
const ends = rooms.map((room) => room?.control.forwardExtremities.join(" "));
const joined = rooms.every((room) => room?.isResident);
const agree = joined && new Set(hashes).size === 1 && new Set(ends).size === 1;
console.log(
  agree
    ? `All three agree: topic "${rooms[0]?.control.topic}", state ${hashes[0]}.`
    : `They differ: ${hashes.join(" ")}`,
);
for (const server of [one, two, messenger]) server.stop();
rmSync(folder, { recursive: true });
process.exitCode = agree ? 0 : 1;

async function tell() {
  const events = (await one?.host.storage.changesSince(roomId, 0))?.events.length;
  const { events: kept, states } = messenger.count("tea");
  const kilobytes = Math.ceil((sizeOf("rooms.json") + sizeOf("messages.json")) / 1024);
  console.log(
    `   one.example keeps ${events} events, the messenger ${kept} events and ${states} states, ${kilobytes} kB`,
  );
  const [asked, gaps] = ["fetch.requests", "room.gap"].map((name) => counts.get(name) ?? 0);
  console.log(`   the messenger asked the others ${asked} times for what it lacked, ${gaps} times for a whole state`);
}

/** @param {string} name */
function sizeOf(name) {
  return statSync(join(folder, name)).size;
}

/** @param {Record<string, number>} users */
function levelsFor(users) {
  return { type: "m.room.power_levels", content: { users, users_default: 0, state_default: 50, invite: 0 } };
}
