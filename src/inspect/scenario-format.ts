/** Rooms written as scenarios: the shortest line for each event that reads as the same event. */
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import type { Pdu } from "../event/pdu.js";
import { domainOf } from "../ids/grammar.js";
import { encodeCanonical } from "../json/canonical.js";
import { compareCodePoints } from "../json/compare.js";
import { get, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import { omit } from "../event/hashes.js";
import { fileOrder } from "./arrivals.js";
import type { Dump } from "./dump.js";
import { checkRoom } from "./room.js";
import type { CheckOptions, RoomReport } from "./room.js";
import { shortUser } from "./scenario-names.js";
import { ScenarioRoom } from "./scenario-room.js";
import type { Plan } from "./scenario-room.js";
import { writeTime } from "./scenario-times.js";
import { wordsOf } from "./scenario-words.js";

/** What a scenario cannot be made of. */
const MAX_EVENTS = 2_000;

/**
 * Writes a room as a scenario that reads as the same events, in the file's order if that is causal. What a scenario
 * does not say is lost: ids and signatures of others, keys that no rule reads, malformed entries. Events keep their
 * names where the dump has some.
 *
 * @returns the text, or a refusal: `too_large` for more than 2,000 events, what {@link checkRoom} refuses,
 * `bad_format` for a room that no scenario can say.
 */
export function formatScenario(dump: Dump, options: CheckOptions = {}): Result<string> {
  if (dump.events.length > MAX_EVENTS) {
    return refuse("too_large", `a scenario is for small rooms: this one has ${dump.events.length} events`);
  }
  const report = checkRoom(dump, options);
  return report.ok ? new Writer(report.value, dump).write() : report;
}

class Writer {
  readonly #report: RoomReport;
  readonly #room: ScenarioRoom;
  readonly #server: string;
  readonly #order: readonly string[];
  readonly #names = new Map<string, string>();
  /** Names by the ids that events have in the scenario. */
  readonly #written = new Map<string, string>();
  readonly #lines: string[] = [];

  constructor(report: RoomReport, dump: Dump) {
    const { replay } = report;
    const [first] = replay.order;
    this.#report = report;
    this.#server = domainOf(replay.pdu(first ?? "")?.sender ?? "") ?? "example.org";
    const domain = replay.roomVersion.rules.format.roomIds === "domain";
    const roomId = domain ? report.roomId : undefined;
    this.#room = new ScenarioRoom(replay.roomVersion, { server: this.#server, roomId, signed: false });
    this.#lines.push(`version ${report.roomVersion}`, `server ${this.#server}`);
    if (roomId !== undefined) this.#lines.push(`room ${roomId}`);
    const width = String(replay.order.length).length;
    const taken = new Set(dump.names?.values());
    let number = 0;
    this.#order = inFileOrder(report) ? fileOrder(report) : replay.order;
    for (const id of this.#order) {
      const given = dump.names?.get(id);
      const plain = given !== undefined && /^[A-Za-z0-9_.-]+$/.test(given);
      let name = plain ? given : "";
      while (name === "" || (!plain && taken.has(name))) name = `e${String(++number).padStart(width, "0")}`;
      this.#names.set(id, name);
    }
  }

  write(): Result<string> {
    for (const id of this.#order) {
      const pdu = this.#report.replay.pdu(id);
      if (pdu === undefined) continue;
      const line = this.#lineOf(pdu);
      if (line === undefined) return refuse("bad_format", `no scenario can say ${id}`, { events: [id] });
      this.#lines.push(line);
    }
    return ok(`${this.#lines.join("\n")}\n`);
  }

  /** Tries ways to say it, the shortest first, and takes the first that reads as the event. */
  #lineOf(pdu: Pdu): string | undefined {
    const name = this.#names.get(pdu.eventId) ?? "";
    const places = [this.#place(pdu, { short: true, cites: false }), this.#place(pdu, { short: true, cites: true })];
    const full = this.#place(pdu, { short: false, cites: true });
    for (const act of [...this.#acts(pdu), this.#json(pdu)]) {
      for (const place of [...places, full]) {
        const line = `${name}: ${act}${place}`;
        const words = wordsOf(line);
        const plan = words.ok ? this.#room.plan(words.value) : words;
        if (!plan.ok || !this.#says(plan.value, pdu)) continue;
        const made = this.#room.commit(plan.value, "");
        if (!made.ok) continue;
        this.#written.set(made.value.eventId, name);
        return line;
      }
    }
    return undefined;
  }

  #says(plan: Plan, pdu: Pdu): boolean {
    const names = (ids: readonly string[]): string => JSON.stringify(ids.map((id) => this.#nameOf(id)));
    const planned = (references: readonly string[]): string =>
      JSON.stringify(references.map((reference) => this.#plannedName(reference)));
    return (
      plan.type === pdu.type &&
      plan.stateKey === pdu.stateKey &&
      plan.sender === pdu.sender &&
      plan.originServerTs === pdu.originServerTs &&
      (plan.redacts === undefined) === (pdu.redacts === undefined) &&
      (plan.depth === undefined ? this.#depth(pdu) === pdu.depth : plan.depth === pdu.depth) &&
      encodeCanonical(plan.content) === encodeCanonical(this.#content(pdu)) &&
      planned(plan.prevEvents) === names(pdu.prevEvents) &&
      planned(plan.authEvents) === names(pdu.authEvents)
    );
  }

  /** References of a plan are names, or the ids that the scenario's own events have. */
  #plannedName(reference: string): string {
    return this.#written.get(reference) ?? reference;
  }

  #nameOf(id: string): string {
    return this.#names.get(id) ?? id;
  }

  /** From room version 11 on `redacts` is in the content, and the scenario puts it there. */
  #content(pdu: Pdu): JsonObject {
    return pdu.redacts === undefined ? pdu.content : omit(pdu.content, ["redacts"]);
  }

  #depth({ prevEvents }: Pdu): number {
    let deepest = 0;
    for (const id of prevEvents) deepest = Math.max(deepest, this.#report.replay.pdu(id)?.depth ?? 0);
    return deepest + 1;
  }

  #place(pdu: Pdu, { short, cites }: { readonly short: boolean; readonly cites: boolean }): string {
    const last = this.#room.made.at(-1)?.pdu.eventId;
    const list = (ids: readonly string[]): string =>
      ids.length === 0 ? "nothing" : ids.map((id) => this.#nameOf(id)).join(", ");
    const [only, ...others] = pdu.prevEvents;
    const follows = only === undefined ? last === undefined : others.length === 0 && this.#isLast(only, last);
    let text = short && follows ? "" : ` after ${list(pdu.prevEvents)}`;
    if (cites) text += ` cites ${list(pdu.authEvents)}`;
    const recorded = this.#report.received.events.get(pdu.eventId)?.recorded;
    const given = this.#report.replay.recorded.find(({ before }) => before === pdu.eventId);
    const missing = pdu.prevEvents.some((id) => !this.#names.has(id));
    const time = writeTime(pdu.originServerTs);
    if (!short || time !== String(this.#room.made.length + 1)) text += ` at ${time}`;
    if (!short || this.#depth(pdu) !== pdu.depth) text += ` depth ${pdu.depth}`;
    if (given !== undefined && missing && given.members.every((id) => this.#names.has(id))) {
      text += ` given ${list(given.members)}`;
    }
    if (recorded?.rejected === true) text += " rejected";
    if (recorded?.softFailed === true) text += " soft-failed";
    return text;
  }

  #isLast(id: string, last: string | undefined): boolean {
    return last !== undefined && this.#plannedName(last) === this.#names.get(id);
  }

  /** What the event is in a few words, as far as there are words for it. */
  #acts(pdu: Pdu): readonly string[] {
    const who = this.#user(pdu.sender);
    const acts: string[] = [];
    const content = this.#content(pdu);
    if (pdu.redacts !== undefined) acts.push(`${who} redacts ${this.#nameOf(pdu.redacts)}${rest(content, [])}`);
    else if (pdu.stateKey === undefined) acts.push(...this.#messages(who, pdu));
    else if (pdu.type === "m.room.create") acts.push(`${who} creates${rest(content, ["creator", "room_version"])}`);
    else if (pdu.type === "m.room.member") acts.push(...this.#memberships(who, pdu));
    else if (pdu.type === "m.room.power_levels") acts.push(`${who} power${this.#levels(content)}`);
    const saying = sayings.find(({ type }) => type === pdu.type);
    if (saying !== undefined && pdu.stateKey === "") acts.push(`${who} ${said(saying.verb, saying.key, content)}`);
    if (pdu.stateKey !== undefined) {
      acts.push(`${who} sets ${word(pdu.type)} ${JSON.stringify(pdu.stateKey)} ${encodeCanonical(content)}`);
    }
    return acts;
  }

  #user(user: string): string {
    return shortUser(user, this.#server);
  }

  #messages(who: string, { type, content }: Pdu): readonly string[] {
    const plain = type === "m.room.message" && get(content, "msgtype") === "m.text";
    return [
      ...(plain ? [`${who} ${said("says", "body", content, ["msgtype"])}`] : []),
      `${who} sends ${word(type)} ${encodeCanonical(content)}`,
    ];
  }

  #memberships(who: string, { sender, stateKey = "", content }: Pdu): readonly string[] {
    const membership = get(content, "membership");
    const via = get(content, "join_authorised_via_users_server");
    const more = rest(content, ["membership"]);
    if (stateKey === sender) {
      const verb = own.get(membership);
      if (verb === undefined) return [];
      const by = membership === "join" && typeof via === "string" ? ` via ${this.#user(via)}` : "";
      const others = by === "" ? more : rest(content, ["membership", "join_authorised_via_users_server"]);
      return [`${who} ${verb}${by}${others}`];
    }
    const verb = aimed.get(membership);
    return verb === undefined ? [] : [`${who} ${verb} ${this.#user(stateKey)}${more}`];
  }

  /** All levels: what was there before and is the same again does no harm. */
  #levels(content: JsonObject): string {
    let text = "";
    for (const [key, value] of sorted(content)) {
      if (typeof value === "number") text += ` ${key}=${value}`;
      const map = isObject(value) ? sorted(value) : [];
      for (const [of, level] of map) {
        if (typeof level !== "number") continue;
        text += key === "users" ? ` ${this.#user(of)}=${level}` : ` ${key}.${of}=${level}`;
      }
    }
    return text;
  }

  #json(pdu: Pdu): string {
    const event: Record<string, JsonValue> = { type: pdu.type, sender: pdu.sender, content: this.#content(pdu) };
    if (pdu.stateKey !== undefined) event["state_key"] = pdu.stateKey;
    if (pdu.redacts !== undefined) event["redacts"] = this.#nameOf(pdu.redacts);
    return encodeCanonical(event);
  }
}

/** Whether every event of the file stands after what it was made after, so that its order can stay. */
function inFileOrder(report: RoomReport): boolean {
  const seen = new Set<string>();
  const order = fileOrder(report);
  for (const id of order) {
    if (report.replay.madeAfter(id).some((other) => report.replay.pdu(other) !== undefined && !seen.has(other)))
      return false;
    seen.add(id);
  }
  return order.length === report.replay.order.length;
}

const own: ReadonlyMap<JsonValue | undefined, string> = new Map([
  ["join", "joins"],
  ["leave", "leaves"],
  ["knock", "knocks"],
]);
const aimed: ReadonlyMap<JsonValue | undefined, string> = new Map([
  ["invite", "invites"],
  ["ban", "bans"],
  ["leave", "kicks"],
]);

const sayings = [
  { verb: "names", type: "m.room.name", key: "name" },
  { verb: "topics", type: "m.room.topic", key: "topic" },
  { verb: "rules", type: "m.room.join_rules", key: "join_rule" },
] as const;

function said(verb: string, key: string, content: JsonObject, implied: readonly string[] = []): string {
  const value = get(content, key);
  const text = typeof value === "string" ? value : "";
  return `${verb} ${word(text)}${rest(content, [key, ...implied])}`;
}

/** The entries in an order that does not depend on how the object came to be. */
function sorted(object: JsonObject): readonly (readonly [string, JsonValue])[] {
  return Object.entries(object).sort(([a], [b]) => compareCodePoints(a, b));
}

/** A word as it is, or quoted. */
function word(text: string): string {
  return /^[a-z][A-Za-z0-9_.]*$/.test(text) ? text : JSON.stringify(text);
}

/** What else is in the content. */
function rest(content: JsonObject, without: readonly string[]): string {
  const others: Record<string, JsonValue> = {};
  for (const [key, value] of Object.entries(content)) if (!without.includes(key)) setOwn(others, key, value);
  return Object.keys(others).length === 0 ? "" : ` ${encodeCanonical(others)}`;
}
