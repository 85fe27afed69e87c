/** `roomdag demo`: servers that share a room, told step by step. */
import type { Room } from "../engine/index.js";
import type { Refusal } from "../errors.js";
import { printable } from "../inspect/format.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import type { LostState, StateCause, StateDifference } from "../ports/index.js";
import { roomVersions } from "../versions/index.js";
import { figuresOf, Stage } from "./demo-stage.js";
import type { Figures, Player, SeenChange } from "./demo-stage.js";
import { Failure } from "./failure.js";
import type { Output } from "./output.js";

export interface DemoArguments {
  readonly version: string;
  readonly json: boolean;
  readonly colour: boolean;
}

const WIDTH = 100;

/** Exit status: 0 when all servers end with the same events and the same state, 1 when they do not. */
export async function runDemo({ version, json, colour }: DemoArguments, output: Output): Promise<number> {
  if (!roomVersions.has(version)) {
    const known = roomVersions.ids().join(", ");
    throw new Failure(`room version ${printable(version)} is unknown: it is one of ${known}`);
  }
  const story = new Story(version, json ? undefined : output, colour);
  const figures = await story.play();
  const agree = figures.every(
    ({ eventsHash, stateHash }) => eventsHash === figures[0]?.eventsHash && stateHash === figures[0].stateHash,
  );
  if (json) await output.write(`${JSON.stringify({ room_version: version, agree, servers: figures })}\n`);
  else await story.close(agree);
  return agree ? 0 : 1;
}

/** Somebody who acts through a server. */
interface Person {
  readonly name: string;
  readonly userId: string;
  readonly at: Player;
}

class Story {
  readonly #version: string;
  readonly #output: Output | undefined;
  readonly #colour: boolean;
  readonly #stage = new Stage();
  #roomId = "";
  #chapters = 0;

  constructor(version: string, output: Output | undefined, colour: boolean) {
    this.#version = version;
    this.#output = output;
    this.#colour = colour;
  }

  async play(): Promise<readonly Figures[]> {
    const stage = this.#stage;
    await this.#say(`A room of version ${this.#version} and the servers that share it, over a network in memory.`);

    await this.#chapter("Two servers");
    const alice = await this.#person("alice", await stage.addServer("amsterdam"));
    const bob = await this.#person("bob", await stage.addServer("berlin"));
    await this.#create(alice, "Garden");
    await this.#talk(alice, "Is anybody there?");
    await this.#invite(alice, bob);
    await this.#join(bob);
    await this.#backfill(bob.at);
    await this.#talk(bob, "I am now.");
    await this.#standings();

    await this.#chapter("Five servers");
    const carol = await this.#person("carol", await stage.addServer("cairo"));
    const delhi = await stage.addServer("delhi");
    const dan = await this.#person("dan", delhi);
    const dora = await this.#person("dora", delhi);
    const erin = await this.#person("erin", await stage.addServer("edinburgh"));
    for (const person of [carol, dan, dora, erin]) {
      await this.#invite(alice, person);
      await this.#join(person);
    }
    for (const at of [carol.at, delhi, erin.at]) await this.#backfill(at);
    await this.#levels(alice, { [bob.userId]: 50, [carol.userId]: 100, [dan.userId]: 50 });
    for (const person of [carol, dora, erin]) await this.#talk(person, `Hello from ${person.at.name}.`);
    await this.#standings();

    await this.#chapter("The network splits: amsterdam and berlin here, cairo, delhi and edinburgh there");
    const [left, right] = [
      [alice.at, bob.at],
      [carol.at, delhi, erin.at],
    ];
    stage.split(left, right);
    await this.#say("Here:");
    await this.#ban(alice, dan, "spam");
    await this.#set(bob, "m.room.topic", "topic", "Tulips only");
    await this.#talk(alice, "Quiet today.");
    await this.#say("There, at the same time:");
    await this.#levels(carol, { [bob.userId]: 0, [erin.userId]: 50 });
    await this.#set(dan, "m.room.name", "name", "Dan's orchard");
    await this.#set(erin, "m.room.topic", "topic", "All that grows");
    await this.#talk(dan, "Nobody can stop me.");
    await this.#talk(erin, "Is amsterdam asleep?");
    stage.takeChanges();
    await this.#standings();

    await this.#chapter("The network heals, and what was queued is delivered");
    await stage.heal(left, right);
    await this.#say("The current state is resolved anew. What each server decided, and why:");
    await this.#decided();
    await this.#say("Events that the new state would refuse are soft-failed: kept, served, and part of resolutions:");
    await this.#softFailures();
    await this.#standings();

    await this.#chapter("Every server says one more thing, which ties the branches together");
    for (const person of [alice, bob, carol, dora, erin]) await this.#talk(person, "There you are.");
    const figures = await this.#figures();
    stage.stop();
    return figures;
  }

  async close(agree: boolean): Promise<void> {
    const figures = await this.#figures();
    await this.#line("");
    for (const line of tableOf(figures)) await this.#line(line);
    await this.#line("");
    const [first] = figures;
    const end = agree
      ? `All ${figures.length} servers agree: ${first?.events ?? 0} events, state ${first?.stateHash ?? ""}.`
      : "The servers do not agree.";
    await this.#line(this.#paint(agree ? 32 : 31, end));
  }

  // ---- what people do -------------------------------------------------------------------------------------

  async #person(name: string, at: Player): Promise<Person> {
    const userId = `@${name}:${at.server.host.server}`;
    await this.#step(`${userId} is here`);
    return { name, userId, at };
  }

  async #create({ name, userId, at }: Person, title: string): Promise<void> {
    const { server } = at;
    const room = await this.#stage.act(() => server.create({ version: this.#version, creator: userId, name: title }));
    this.#roomId = room.roomId;
    this.#stage.watch(at, room);
    await this.#step(`${name} makes the room "${title}": ${room.roomId}`);
  }

  async #invite(from: Person, to: Person): Promise<void> {
    const { roomId } = this.#here();
    await this.#stage.act(() => from.at.server.invite({ roomId, userId: from.userId, target: to.userId }));
    await this.#step(`${from.name} invites ${to.name}`);
  }

  async #join({ name, userId, at }: Person): Promise<void> {
    const { roomId } = this.#here();
    const before = await at.server.room(roomId);
    const room = await this.#stage.act(() => at.server.join({ roomId, userId }));
    if (before === undefined) this.#stage.watch(at, room);
    const how = before === undefined ? `and ${at.name} gets the room's state` : `by an event of ${at.name} itself`;
    await this.#step(`${name} joins, ${how}`);
  }

  async #backfill(at: Player): Promise<void> {
    const receipts = await this.#stage.act(() => at.server.backfill(this.#roomId, 100));
    const fresh = receipts.filter(({ duplicate }) => !duplicate).length;
    await this.#step(`${at.name} asks for what was said before it came: ${fresh} more events have their place now`);
  }

  async #talk({ name, userId, at }: Person, text: string): Promise<void> {
    const message = messageIn(this.#version, text);
    await this.#stage.act(() => at.server.send({ ...this.#here(), userId, ...message }));
    await this.#step(`${name} says "${text}"`);
  }

  async #set({ name, userId, at }: Person, type: string, key: string, value: string): Promise<void> {
    await this.#stage.act(() => at.server.setState({ ...this.#here(), userId, type, content: { [key]: value } }));
    await this.#step(`${name} sets the ${key} to "${value}"`);
  }

  async #ban(from: Person, who: Person, reason: string): Promise<void> {
    await this.#stage.act(() =>
      from.at.server.ban({ ...this.#here(), userId: from.userId, target: who.userId, reason }),
    );
    await this.#step(`${from.name} bans ${who.name} for ${reason}`);
  }

  async #levels({ name, userId, at }: Person, levels: Readonly<Record<string, number>>): Promise<void> {
    const room = await this.#room(at);
    const before = room.control.powerLevels ?? {};
    const users = get(before, "users");
    const content: JsonObject = { ...before, users: { ...(isObject(users) ? users : {}), ...levels } };
    await this.#stage.act(() => at.server.setState({ ...this.#here(), userId, type: "m.room.power_levels", content }));
    const told = Object.entries(levels).map(([user, level]) => `${nameOf(user)} ${level}`);
    await this.#step(`${name} changes power levels: ${told.join(", ")}`);
  }

  #here(): { readonly roomId: string } {
    return { roomId: this.#roomId };
  }

  async #room({ server, name }: Player): Promise<Room> {
    const room = await server.room(this.#roomId);
    if (room === undefined) throw new Failure(`${name} has lost the room`);
    return room;
  }

  // ---- what servers have and decide -----------------------------------------------------------------------

  #figures(): Promise<readonly Figures[]> {
    return Promise.all(this.#stage.players.map((player) => figuresOf(player, this.#roomId)));
  }

  /** One line for all servers that have the same. */
  async #standings(): Promise<void> {
    const groups = new Map<string, string[]>();
    for (const player of this.#stage.players) {
      const { events, softFailed, extremities } = await figuresOf(player, this.#roomId);
      const { control } = await this.#room(player);
      const soft = softFailed === 0 ? "" : ` (${softFailed} soft-failed)`;
      const ends = `${extremities} forward ${extremities === 1 ? "extremity" : "extremities"}`;
      const topic = control.topic === undefined ? "" : `, topic "${control.topic}"`;
      const text = `${events} events${soft}, ${ends}, name "${control.name ?? ""}"${topic}`;
      groups.set(text, [...(groups.get(text) ?? []), player.name]);
    }
    for (const [text, names] of groups) await this.#wrapped("   = ", `${names.join(", ")}: ${text}`);
  }

  /** What the servers decided when the branches met, as their subscribers were told. */
  async #decided(): Promise<void> {
    const told: [string, string][] = [];
    for (const seen of this.#stage.takeChanges()) {
      told.push([seen.player.name, await describe(await this.#room(seen.player), seen)]);
    }
    await this.#grouped(told);
  }

  async #softFailures(): Promise<void> {
    const told: [string, string][] = [];
    for (const player of this.#stage.players) {
      const room = await this.#room(player);
      const stored = await player.storage.changesSince(this.#roomId, 0);
      for (const { eventId, verdict } of stored?.events ?? []) {
        if (verdict.standing !== "soft-failed") continue;
        told.push([player.name, `${await valueOf(room, eventId)}\n${reasonOf(verdict.refusal)}`]);
      }
    }
    await this.#grouped(told);
  }

  /** Who said it, and what: what several servers say is printed once. */
  async #grouped(told: readonly (readonly [name: string, text: string])[]): Promise<void> {
    const order = this.#stage.players.map(({ name }) => name);
    for (const text of new Set(told.map(([, one]) => one))) {
      const names = order.filter((name) => told.some((one) => one[0] === name && one[1] === text));
      const [head = "", ...details] = text.split("\n");
      await this.#wrapped("   * ", `${names.join(", ")}: ${head}`);
      for (const detail of details) await this.#wrapped("       ", detail);
    }
  }

  // ---- printing -------------------------------------------------------------------------------------------

  async #chapter(title: string): Promise<void> {
    await this.#line("");
    await this.#line(this.#paint(1, `${++this.#chapters}. ${title}`));
  }

  #say(text: string): Promise<void> {
    return this.#wrapped(this.#chapters === 0 ? "" : "   ", text);
  }

  #step(text: string): Promise<void> {
    return this.#wrapped("   - ", text);
  }

  async #wrapped(indent: string, text: string): Promise<void> {
    for (const line of wrap(indent, printable(text))) await this.#line(line);
  }

  async #line(text: string): Promise<void> {
    await this.#output?.write(`${text}\n`);
  }

  #paint(code: number, text: string): string {
    return this.#colour ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/** I.1 has extensible events, where a message is an `m.message` (MSC1767). */
function messageIn(version: string, text: string): { readonly type: string; readonly content: JsonObject } {
  return version === "I.1"
    ? { type: "m.message", content: { "m.text": [{ body: text }] } }
    : { type: "m.room.message", content: { msgtype: "m.text", body: text } };
}

// ---- describing changes of state --------------------------------------------------------------------------

async function describe(room: Room, { change }: SeenChange): Promise<string> {
  const { cause, differences } = change;
  const lines: string[] = [causes[cause.cause]];
  const lost = cause.cause === "rollback" ? cause.lost : [];
  for (const difference of differences) {
    const taken = lost.find(({ type, stateKey }) => type === difference.type && stateKey === difference.stateKey);
    lines.push(await describeDifference(room, difference, taken));
  }
  return lines.join("\n");
}

const causes: Readonly<Record<StateCause["cause"], string>> = {
  advance: "advance (an event came after all that was there)",
  merge: "merge (branches resolved, nothing that was current is refused)",
  rollback: "rollback (branches resolved, and a rule refuses what was current)",
  completion: "completion (the room's state became known)",
  "late-decision": "late decision (an event that was waiting was decided)",
};

async function describeDifference(
  room: Room,
  { type, stateKey, before, after }: StateDifference,
  lost: LostState | undefined,
): Promise<string> {
  const [was, is] = [await valueOf(room, before), await valueOf(room, after)];
  const change = `${subjectOf(type, stateKey)}: ${is}, in place of ${was}`;
  return lost === undefined ? change : `${change}, ${becauseOf(lost)}`;
}

function becauseOf({ because, kind }: LostState): string {
  if (because === undefined) return kind;
  if (because.why !== "refused") return "over which an event later in the order of resolution went";
  return reasonOf(because.refusal);
}

function reasonOf({ rule, code, reason }: Refusal): string {
  return `refused by ${rule ?? code}: ${reason}`;
}

function subjectOf(type: string, stateKey: string): string {
  if (type === "m.room.member") return `membership of ${nameOf(stateKey)}`;
  return type.replace(/^m\.room\./, "").replaceAll("_", " ");
}

async function valueOf(room: Room, eventId: string | undefined): Promise<string> {
  const view = eventId === undefined ? undefined : await room.event(eventId);
  if (view === undefined) return "nothing";
  const { original } = view;
  const content = get(original, "content");
  const sender = get(original, "sender");
  const by = typeof sender === "string" ? ` by ${nameOf(sender)}` : "";
  return `${summaryOf(isObject(content) ? content : {})}${by}`;
}

function summaryOf(content: JsonObject): string {
  const blocks = get(content, "m.text");
  const [block] = isArray(blocks) ? blocks : [];
  for (const value of [get(content, "name"), get(content, "topic"), get(content, "body"), block]) {
    const text = isObject(value) ? get(value, "body") : value;
    if (typeof text === "string") return `"${text}"`;
  }
  const membership = get(content, "membership");
  if (typeof membership === "string") return membership;
  const users = get(content, "users");
  if (!isObject(users)) return "other content";
  return `{${Object.entries(users)
    .map(([user, level]) => `${nameOf(user)} ${JSON.stringify(level)}`)
    .join(", ")}}`;
}

function nameOf(userId: string): string {
  return userId.slice(1).split(":", 1)[0] ?? userId;
}

/** Lines of at most `WIDTH` columns; the first begins with `indent`, the others stand below its end. */
function wrap(indent: string, text: string): readonly string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(" ")) {
    const isFirst = line.trim() === indent.trim();
    if (!isFirst && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = " ".repeat(indent.length) + word;
    } else line += isFirst && line.length === indent.length ? word : ` ${word}`;
  }
  return [...lines, line];
}

function tableOf(figures: readonly Figures[]): readonly string[] {
  const rows = [
    ["server", "events", "soft-failed", "rejected", "extremities", "state", "hash of events", "hash of state"],
    ...figures.map((one) => [
      one.server,
      String(one.events),
      String(one.softFailed),
      String(one.rejected),
      String(one.extremities),
      String(one.stateEntries),
      one.eventsHash,
      one.stateHash,
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
