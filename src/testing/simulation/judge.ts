/**
 * What has to hold once the network is whole, every server is up and nothing is on its way any more
 * (docs/simulation.md says why each of these is true, and what is not asked because it is not).
 */
import { currentlyRefused } from "../../federation/context.js";
import type { StateView } from "../../engine/state-view.js";
import type { Room } from "../../engine/room.js";
import { redact } from "../../event/redact.js";
import { domainOf } from "../../ids/grammar.js";
import { encodeCanonical } from "../../json/canonical.js";
import { omit } from "../../event/hashes.js";
import { get } from "../../json/value.js";
import { compareCodePoints } from "../../json/compare.js";
import type { StoredEvent } from "../../ports/storage.js";
import { recompute } from "./recompute.js";
import type { Seen } from "./seen.js";
import type { SimulatedServer, World } from "./world.js";

export interface JudgeOptions {
  /** Ids of events with more than one body: what they look like is not compared. */
  readonly manyBodied: ReadonlySet<string>;
  /** Says more about an event in a violation. */
  readonly describe: (eventId: string) => string;
}

/** Everything that is wrong, in sentences. */
export async function judge(world: World, options: JudgeOptions): Promise<readonly string[]> {
  const violations: string[] = [...world.faults];
  for (const { server, origin, name, error } of world.network.faults) {
    if (world.servers.get(server)?.hostile === true) continue;
    violations.push(`${server} threw at ${name} of ${origin}: ${String(error)}`);
  }
  for (const what of world.unfinished) violations.push(`${what} never came to an end`);
  for (const server of world.honest) violations.push(...(await boundsOf(server)));
  for (const roomId of world.rooms) violations.push(...(await judgeRoom(world, roomId, options)));
  return violations;
}

async function boundsOf(server: SimulatedServer): Promise<readonly string[]> {
  const wrong: string[] = [];
  const { name, limits, peaks, storage } = server;
  try {
    server.disk.assertMonotonicRevisions();
  } catch (error) {
    wrong.push(`${name}: ${String(error)}`);
  }
  if (peaks.pending > limits.pendingCount) wrong.push(`${name} kept ${peaks.pending} undecided events`);
  for (const destination of await storage.outboxDestinations()) {
    const rows = await storage.readOutbox(destination, 1000);
    if (rows.length > 0) wrong.push(`${name} still has ${rows.length} rows for ${destination}`);
  }
  if (server.server.isDelivering) wrong.push(`${name} is still delivering`);
  const intents = await storage.readIntents();
  for (const { id } of intents) wrong.push(`${name} did not finish: ${id}`);
  return wrong;
}

async function judgeRoom(world: World, roomId: string, options: JudgeOptions): Promise<readonly string[]> {
  const violations: string[] = [];
  const all: Seen[] = [];
  for (const server of world.honest) {
    const one = await look(server, roomId);
    if (one === undefined) continue;
    violations.push(...(await reopened(one)));
    if (one.room.isResident && one.room.control.partial) {
      violations.push(`${server.name} never came to know all of the state of ${roomId}`);
    }
    all.push(one);
  }
  violations.push(...(await kept(world, roomId, all)));
  const seen = all.filter(({ room }) => room.isResident);
  const named: JudgeOptions = { ...options, describe: describing(all, options) };
  for (const one of seen) violations.push(...recompute(one, named.describe));
  for (const [a, b] of inTouch(seen)) violations.push(...compare(world, a, b, named));
  return violations;
}

/**
 * Servers that take each other for residents. One that a merge took out of the room is told nothing any more by
 * those who know of it, as the specification has it: events go to servers with a joined user.
 */
function inTouch(seen: readonly Seen[]): readonly (readonly [Seen, Seen])[] {
  return seen.flatMap((a, at) =>
    seen
      .slice(at + 1)
      .filter((b) => a.room.isServerJoined(b.server.name) && b.room.isServerJoined(a.server.name))
      .map((b) => [a, b] as const),
  );
}

/** What a person wants to know of an event: what it is and who says so. */
function describing(all: readonly Seen[], { describe }: JudgeOptions): (eventId: string) => string {
  return (eventId) => {
    const json = all.find(({ rows }) => rows.has(eventId))?.rows.get(eventId)?.json;
    const text = (key: string): string => {
      const value = json === undefined ? undefined : get(json, key);
      return typeof value === "string" ? value : "";
    };
    const key = text("state_key") === "" ? "" : ` of ${text("state_key")}`;
    return `${text("type")}${key} by ${text("sender")} ${describe(eventId)}`;
  };
}

/** The room of one server, read from its disk. */
async function look(server: SimulatedServer, roomId: string): Promise<Seen | undefined> {
  const room = await server.room(roomId);
  const changes = await server.storage.changesSince(roomId, 0);
  if (room === undefined || changes === undefined) return undefined;
  const rows = new Map(changes.events.map((row) => [row.eventId, row]));
  const states = new Map<number, string>();
  for (const row of changes.events) {
    const { stateBefore, stateAfter } = row;
    if (stateBefore === undefined || stateAfter === undefined) continue;
    if (states.has(stateBefore) && states.has(stateAfter)) continue;
    const at = await room.stateAt(row.eventId);
    if (at === undefined) continue;
    states.set(stateBefore, textOfState(at.before));
    states.set(stateAfter, textOfState(at.after));
  }
  const undecided = new Set(changes.pending.map(({ eventId }) => eventId));
  return { server, room, rows, undecided, current: textOfState(room.current), states };
}

function textOfState(state: StateView): string {
  return [...state.ids()].sort(compareCodePoints).join(" ");
}

/** A process that starts now finds what the one before it had. */
async function reopened({ server, room, current }: Seen): Promise<readonly string[]> {
  const again = await server.newServer(server.storage).room(room.roomId);
  const same =
    again !== undefined &&
    textOfState(again.current) === current &&
    again.isResident === room.isResident &&
    again.servers.join() === room.servers.join() &&
    again.control.forwardExtremities.join() === room.control.forwardExtremities.join();
  return same ? [] : [`${server.name} would start again with another ${room.roomId} than it has`];
}

/** Nothing acknowledged is lost: not where it was sent, and not where it was to go. */
async function kept(world: World, roomId: string, all: readonly Seen[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  const audiences = new Map<string, ReadonlySet<string>>();
  for (const { server, roomId: where, eventId } of world.acknowledged) {
    if (where !== roomId) continue;
    const author = all.find((one) => one.server.name === server);
    const own = author?.rows.get(eventId);
    if (author === undefined || own === undefined || isRejected(own)) {
      wrong.push(`${server} acknowledged ${eventId} and ${own === undefined ? "lost" : "rejected"} it`);
      continue;
    }
    // Who is out of the room may have sent what nobody in it may cite.
    if (!author.room.isResident) continue;
    const name = `${server} ${own.stateBefore ?? eventId}`;
    let audience = audiences.get(name);
    if (audience === undefined) {
      const at = await author.room.stateAt(eventId);
      audiences.set(name, (audience = new Set(at === undefined ? [] : serversIn(at.before))));
    }
    for (const other of all) {
      if (!audience.has(other.server.name) || !mustHear(world, author, other)) continue;
      const what = await deprived(world, author, other, eventId);
      if (what !== undefined) wrong.push(`${other.server.name} ${what} ${eventId}, acknowledged by ${server}`);
    }
  }
  return wrong;
}

/** What went wrong with an event that a server was to get. */
async function deprived(world: World, author: Seen, other: Seen, eventId: string): Promise<string | undefined> {
  const row = other.rows.get(eventId);
  if (row !== undefined) return isRejected(row) ? "rejected" : undefined;
  if (isBeyondReach(author, other, eventId)) return undefined;
  const mayLackHistory = !world.founded(other.server.name, other.room.roomId);
  return mayLackHistory && (await isBefore(author, other, eventId)) ? undefined : "never got";
}

function mustHear(world: World, author: Seen, { server, room }: Seen): boolean {
  const { roomId } = room;
  // To whom put the author out meanwhile it is an outsider, of whom is kept what can be decided at once.
  if (!room.isServerJoined(author.server.name)) return false;
  // A server that left for a while gets a state when it is back, not all that it missed.
  if (!world.stayed(server.name, roomId)) return false;
  // What cannot be verified is not kept. Who is in the room gets it again with what cites it, others do not; who came
  // back cites nothing of what it sent before it left; and what lies in a gap is there for who asks for it.
  const isCited =
    author.room.isServerJoined(server.name) && world.stayed(author.server.name, roomId) && !isMute(world, author);
  return !world.keysWereHidden || (isCited && room.gaps.length === 0);
}

/** Who is out by a merge has what it was told last, and is not given the ancestors that it would be decided by. */
function isBeyondReach(author: Seen, { server, undecided }: Seen, eventId: string): boolean {
  return undecided.has(eventId) && !author.room.isServerJoined(server.name);
}

/**
 * Whether an event lies before what another server has of the history, as that of `author` has it. Who crashed while
 * it joined, joins once more; to the others it was there in between.
 */
async function isBefore(author: Seen, { room }: Seen, eventId: string): Promise<boolean> {
  const seen = new Set<string>();
  let generation = room.gaps.map(({ missing }) => missing);
  while (generation.length > 0 && !seen.has(eventId)) {
    for (const id of generation) seen.add(id);
    const events = await author.room.load(generation);
    const cited = events.flatMap(({ event }) => event.prevEvents as readonly string[]);
    generation = [...new Set(cited)].filter((id) => !seen.has(id));
  }
  return seen.has(eventId);
}

function isAccepted(row: StoredEvent): boolean {
  return row.verdict.standing === "accepted" && row.position !== undefined;
}

function compare(world: World, a: Seen, b: Seen, { manyBodied, describe }: JudgeOptions): readonly string[] {
  const wrong = [...lacking(world, a, b, describe), ...lacking(world, b, a, describe)];
  const names = `${a.server.name} and ${b.server.name}`;
  if (a.current !== b.current && (haveSameEnds(a, b) || !isParted(world, a, b))) {
    wrong.push(`${names} have other current states: ${difference(a.current, b.current, describe)}`);
  }
  for (const [eventId, mine] of a.rows) {
    const theirs = b.rows.get(eventId);
    if (theirs === undefined) continue;
    for (const what of [decidedOtherwise(a, b, mine, theirs, describe), shownOtherwise(a, b, mine, theirs)]) {
      if (what === undefined || (what.kind === "form" && manyBodied.has(eventId))) continue;
      wrong.push(`${names} ${what.text} ${describe(eventId)}${what.how}`);
    }
  }
  return wrong;
}

function haveSameEnds(a: Seen, b: Seen): boolean {
  const [endsA, endsB] = [a, b].map(({ room }) => [...room.control.forwardExtremities].sort().join(" "));
  return endsA === endsB;
}

/** Who may say nothing cannot merge what was soft-failed elsewhere, and keeps it among its extremities. */
function isMute(world: World, ...seen: readonly Seen[]): boolean {
  return seen.some(({ server, room }) => world.mute.has(`${server.name} ${room.roomId}`));
}

/** Where what one says is soft-failed at the other, neither can merge what the other has. */
function isParted(world: World, a: Seen, b: Seen): boolean {
  return isMute(world, a, b) || isUnheard(world, a, b) || isUnheard(world, b, a);
}

/** Whether all that a server said last was soft-failed at another, whose current state lets none of it in. */
function isUnheard(world: World, speaker: Seen, { room, rows }: Seen): boolean {
  const words = world.lastWords.filter((one) => one.server === speaker.server.name && one.roomId === room.roomId);
  const heard = words.flatMap(({ eventId }) => rows.get(eventId) ?? []);
  return (
    heard.length > 0 &&
    heard.every(({ verdict, json }) => verdict.standing === "soft-failed" && currentlyRefused(room, json) !== undefined)
  );
}

/**
 * What one accepted and another does not have. Who was let in again begins with the state that it is given, and
 * what it was told by one alone before that it tells nobody.
 */
function lacking(world: World, one: Seen, other: Seen, describe: JudgeOptions["describe"]): readonly string[] {
  const { roomId } = one.room;
  if (!world.founded(other.server.name, roomId) || !world.stayed(one.server.name, roomId)) return [];
  if (isMute(world, one)) return [];
  return [...one.rows.values()]
    .filter((row) => isAccepted(row) && !other.rows.has(row.eventId))
    .map(
      ({ eventId }) => `${one.server.name} accepted ${describe(eventId)}, and ${other.server.name} does not have it`,
    );
}

interface Difference {
  readonly kind: "decision" | "form";
  readonly text: string;
  readonly how: string;
}

function decidedOtherwise(
  a: Seen,
  b: Seen,
  mine: StoredEvent,
  theirs: StoredEvent,
  describe: JudgeOptions["describe"],
): Difference | undefined {
  if (mine.stateBefore === undefined || theirs.stateBefore === undefined) return undefined;
  const [stateA, stateB] = [a.states.get(mine.stateBefore) ?? "", b.states.get(theirs.stateBefore) ?? ""];
  if (stateA !== stateB) {
    return { kind: "decision", text: "have other states before", how: `: ${difference(stateA, stateB, describe)}` };
  }
  if (isRejected(mine) === isRejected(theirs)) return undefined;
  return { kind: "decision", text: "differ about", how: `: ${verdictText(mine)}, ${verdictText(theirs)}` };
}

function shownOtherwise(a: Seen, b: Seen, mine: StoredEvent, theirs: StoredEvent): Difference | undefined {
  if (isRejected(mine) || isRejected(theirs)) return undefined;
  // Who came later may know a state event and not that it was redacted.
  if (!hasRedaction(a, theirs) || !hasRedaction(b, mine)) return undefined;
  // A copy that came redacted, because another server may not show more, is compared with what it is a copy of.
  const bare = mine.hashMismatch || theirs.hashMismatch;
  if (shownText(a.room, mine, bare) === shownText(b.room, theirs, bare)) return undefined;
  return { kind: "form", text: "show other forms of", how: `: ${formText(mine)}, ${formText(theirs)}` };
}

function hasRedaction({ rows }: Seen, { redactedBy }: StoredEvent): boolean {
  return redactedBy === undefined || rows.has(redactedBy);
}

function formText({ redactedBy, hashMismatch }: StoredEvent): string {
  return `${redactedBy === undefined ? "not redacted" : "redacted"}${hashMismatch ? " (hash mismatch)" : ""}`;
}

function isRejected(row: StoredEvent): boolean {
  return row.verdict.standing === "rejected";
}

function verdictText({ verdict }: StoredEvent): string {
  return verdict.standing === "rejected" ? `rejected (${verdict.check}: ${verdict.refusal.reason})` : verdict.standing;
}

/** What readers are shown; signatures may be more at one server than at another. */
function shownText(room: Room, { json, redactedBy }: StoredEvent, bare: boolean): string {
  const shown = redactedBy === undefined && !bare ? json : redact(room.version.rules, json);
  return encodeCanonical(omit(shown, ["signatures", "unsigned"]));
}

function difference(a: string, b: string, describe: (eventId: string) => string): string {
  const [idsA, idsB] = [a.split(" "), b.split(" ")];
  const only = (ids: readonly string[], others: readonly string[]): string =>
    ids
      .filter((id) => id !== "" && !others.includes(id))
      .map(describe)
      .join(", ") || "nothing";
  return `${only(idsA, idsB)} against ${only(idsB, idsA)}`;
}

/** Servers with a joined user in a state. */
export function serversIn(state: StateView): readonly string[] {
  return [...new Set(state.members("join").flatMap(({ userId }) => domainOf(userId) ?? []))];
}
