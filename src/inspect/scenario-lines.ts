/** What a line of a scenario says, by itself: who does what, after what. */
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { get, isArray, isObject, setOwn } from "../json/value.js";
import type { JsonObject, JsonValue } from "../json/value.js";
import type { RecordedStanding } from "./dump.js";
import { readTime } from "./scenario-times.js";
import type { Word } from "./scenario-words.js";

/** A line that was read. What is absent follows from the room. */
export interface Line {
  readonly name: string | undefined;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: string;
  readonly content: JsonObject;
  /** Whether the content is to be taken as it is. */
  readonly exact: boolean;
  /** Changes of the power levels, by path; without a level the entry is removed. */
  readonly levels: readonly (readonly [path: readonly string[], level: number | undefined])[] | undefined;
  readonly redacts: string | undefined;
  readonly after: readonly string[] | undefined;
  readonly cites: readonly string[] | undefined;
  readonly given: readonly string[] | undefined;
  /** Milliseconds since 1970. */
  readonly time: number | undefined;
  readonly depth: number | undefined;
  readonly recorded: RecordedStanding;
}

type Users = (text: string) => string | undefined;
type Act = Pick<Line, "type" | "stateKey" | "sender" | "content" | "exact" | "levels" | "redacts">;

const NAME = /^[A-Za-z0-9_.-]+:$/;
/** Words that end what somebody does and begin when and where. */
const PLACES: ReadonlySet<string> = new Set(["after", "cites", "given", "at", "depth", "rejected", "soft-failed"]);
const SCALARS: ReadonlySet<string> = new Set([
  "ban",
  "events_default",
  "invite",
  "kick",
  "redact",
  "state_default",
  "users_default",
]);

const bad = (reason: string): Result<never> => refuse("bad_format", reason);

export function readLine(words: readonly Word[], users: Users): Result<Line> {
  const [first, ...others] = words;
  const named = first?.kind === "name" && NAME.test(first.text) && others.length > 0;
  const name = named ? first.text.slice(0, -1) : undefined;
  const said = named ? others : words;
  const end = said.findIndex((word, at) => at > 0 && word.kind === "name" && PLACES.has(word.text));
  const act = readAct(end < 0 ? said : said.slice(0, end), users);
  if (!act.ok) return act;
  const place = readPlace(end < 0 ? [] : said.slice(end));
  if (!place.ok) return place;
  const [json] = said;
  const written = json?.kind === "json" ? readWritten(json.value) : ok({});
  if (!written.ok) return written;
  const empty = { after: undefined, cites: undefined, given: undefined, time: undefined, depth: undefined };
  return ok({ name, ...act.value, ...empty, recorded: {}, ...written.value, ...place.value });
}

function readAct(words: readonly Word[], users: Users): Result<Act> {
  const [who, verb, ...rest] = words;
  if (who?.kind === "json") return verb === undefined ? readJson(who.value, users) : bad("something follows the JSON");
  const sender = who?.kind === "name" ? users(who.text) : undefined;
  if (sender === undefined) return bad(`a line begins with a user, and ${who?.text ?? "nothing"} is none`);
  if (verb?.kind !== "name") return bad(`${who?.text ?? ""} does nothing`);
  const last = rest.at(-1);
  const more = last?.kind === "json" ? last.value : {};
  const args = last?.kind === "json" ? rest.slice(0, -1) : rest;
  const act = readVerb(sender, verb.text, args, users);
  if (!act.ok) return act;
  return ok({ ...act.value, content: together(act.value.content, more) });
}

function together(content: JsonObject, more: JsonObject): JsonObject {
  const all: Record<string, JsonValue> = {};
  for (const source of [content, more]) for (const [key, value] of Object.entries(source)) setOwn(all, key, value);
  return all;
}

/** `TYPE`, `STATE KEY` and content of what verbs with one argument do. */
const sayings: Readonly<Record<string, readonly [type: string, state: boolean, key: string]>> = {
  says: ["m.room.message", false, "body"],
  names: ["m.room.name", true, "name"],
  topics: ["m.room.topic", true, "topic"],
  rules: ["m.room.join_rules", true, "join_rule"],
};

const memberships: Readonly<Record<string, readonly [membership: string, aimed: boolean]>> = {
  joins: ["join", false],
  leaves: ["leave", false],
  knocks: ["knock", false],
  invites: ["invite", true],
  kicks: ["leave", true],
  unbans: ["leave", true],
  bans: ["ban", true],
};

function readVerb(sender: string, verb: string, args: readonly Word[], users: Users): Result<Act> {
  const membership = Object.hasOwn(memberships, verb) ? memberships[verb] : undefined;
  if (membership !== undefined) return readMembership(sender, verb, membership, args, users);
  if (verb === "power") return readLevels(sender, args, users);
  const texts = args.flatMap((word) => (word.kind === "json" ? [] : [word]));
  if (texts.length < args.length) return bad(`what ${verb} says in {} comes last`);
  return readOther(sender, verb, texts, users);
}

type Text = Exclude<Word, { readonly kind: "json" }>;

function readOther(sender: string, verb: string, args: readonly Text[], users: Users): Result<Act> {
  const [first, second] = args;
  const act = (type: string, stateKey: string | undefined, content: JsonObject, redacts?: string): Result<Act> =>
    ok({ type, stateKey, sender, content, exact: false, levels: undefined, redacts });
  const saying = Object.hasOwn(sayings, verb) ? sayings[verb] : undefined;
  if (verb === "creates") return first === undefined ? act("m.room.create", "", {}) : bad("creates takes {} alone");
  if (verb === "sets") {
    if (first === undefined || args.length > 2) return bad("sets takes a type, a key and {content}");
    return act(first.text, keyOf(second, users), {});
  }
  if (saying === undefined && verb !== "redacts" && verb !== "sends") return bad(`nobody ${verb}: it is ${VERBS}`);
  if (first === undefined || args.length > 1) return bad(`${verb} takes one word or "text"`);
  if (verb === "redacts") return act("m.room.redaction", undefined, {}, first.text);
  if (saying === undefined) return act(first.text, undefined, {});
  const [type, state, key] = saying;
  return act(type, state ? "" : undefined, {
    ...(type === "m.room.message" ? { msgtype: "m.text" } : {}),
    [key]: first.text,
  });
}

/** A state key that is a user may be written as users are. */
function keyOf(word: Text | undefined, users: Users): string {
  const user = word?.kind === "name" && word.text.startsWith("@") ? users(word.text) : undefined;
  return user ?? word?.text ?? "";
}

const VERBS = [
  ...Object.keys(memberships),
  ...Object.keys(sayings),
  "creates",
  "power",
  "redacts",
  "sends",
  "sets",
].join(", ");

function readMembership(
  sender: string,
  verb: string,
  [membership, aimed]: readonly [string, boolean],
  args: readonly Word[],
  users: Users,
): Result<Act> {
  const texts = args.map((word) => (word.kind === "json" ? "" : word.text));
  const common = { type: "m.room.member", sender, exact: false, levels: undefined, redacts: undefined };
  if (aimed) {
    const target = texts.length === 1 ? users(texts[0] ?? "") : undefined;
    if (target === undefined) return bad(`${verb} takes a user`);
    return ok({ ...common, stateKey: target, content: { membership } });
  }
  if (texts.length === 0) return ok({ ...common, stateKey: sender, content: { membership } });
  const authoriser = verb === "joins" && texts[0] === "via" && texts.length === 2 ? users(texts[1] ?? "") : undefined;
  if (authoriser === undefined)
    return bad(verb === "joins" ? "it is joins, or joins via USER" : `${verb} takes nothing`);
  const content = { membership, join_authorised_via_users_server: authoriser };
  return ok({ ...common, stateKey: sender, content });
}

const LEVEL = /^(.+)=(-?[0-9]{1,16}|none)$/;

function readLevels(sender: string, args: readonly Word[], users: Users): Result<Act> {
  const levels: (readonly [readonly string[], number | undefined])[] = [];
  for (const word of args) {
    const parts = word.kind === "name" ? LEVEL.exec(word.text) : null;
    const [, of, value] = parts ?? [];
    if (of === undefined || value === undefined)
      return bad("power takes levels, such as bob=50 kick=60 events.m.room.name=50");
    const path = levelPath(of, users);
    if (path === undefined) return bad(`${of} has no power level`);
    levels.push([path, value === "none" ? undefined : Number(value)]);
  }
  const common = { type: "m.room.power_levels", stateKey: "", sender, content: {}, redacts: undefined };
  return ok({ ...common, exact: false, levels });
}

function levelPath(of: string, users: Users): readonly string[] | undefined {
  if (SCALARS.has(of)) return [of];
  for (const map of ["events", "notifications"]) if (of.startsWith(`${map}.`)) return [map, of.slice(map.length + 1)];
  const user = users(of);
  return user === undefined ? undefined : ["users", user];
}

/** A line of JSON: an event whose references are names. */
function readJson(json: JsonObject, users: Users): Result<Act> {
  const type = get(json, "type");
  const stateKey = get(json, "state_key");
  const from = get(json, "sender");
  const content = get(json, "content") ?? {};
  const redacts = get(json, "redacts");
  const sender = typeof from === "string" ? users(from) : undefined;
  if (typeof type !== "string" || sender === undefined) return bad("an event has a `type` and a `sender`");
  if (stateKey !== undefined && typeof stateKey !== "string") return bad("`state_key` is a string");
  if (redacts !== undefined && typeof redacts !== "string") return bad("`redacts` is the name of an event");
  if (!isObject(content)) return bad("`content` is an object");
  const stray = Object.keys(json).find((key) => !WRITTEN.has(key));
  if (stray !== undefined) return bad(`\`${stray}\` is nothing that can be said of an event here`);
  return ok({ type, stateKey, sender, content, exact: true, levels: undefined, redacts });
}

const WRITTEN: ReadonlySet<string> = new Set([
  ...["type", "state_key", "sender", "content", "redacts"],
  ...["prev_events", "auth_events", "origin_server_ts", "depth"],
]);

type Place = { -readonly [K in "after" | "cites" | "given" | "time" | "depth" | "recorded"]?: Line[K] };

function readWritten(json: JsonObject): Result<Place> {
  const place: Place = {};
  for (const [key, as] of [
    ["prev_events", "after"],
    ["auth_events", "cites"],
  ] as const) {
    const list = get(json, key);
    if (list === undefined) continue;
    if (!isArray(list) || !list.every((name) => typeof name === "string")) return bad(`\`${key}\` is a list of names`);
    place[as] = list;
  }
  const time = get(json, "origin_server_ts");
  const depth = get(json, "depth");
  if (time !== undefined && typeof time !== "number") return bad("`origin_server_ts` is a number of milliseconds");
  if (depth !== undefined && typeof depth !== "number") return bad("`depth` is a number");
  if (time !== undefined) place.time = time;
  if (depth !== undefined) place.depth = depth;
  return ok(place);
}

function readPlace(words: readonly Word[]): Result<Place> {
  const place: Place = {};
  let recorded: RecordedStanding = {};
  for (let at = 0; at < words.length;) {
    const word = words[at]?.kind === "name" ? words[at] : undefined;
    const key = word?.kind === "name" ? word.text : "";
    at++;
    if (key === "rejected") recorded = { ...recorded, rejected: true };
    else if (key === "soft-failed") recorded = { ...recorded, softFailed: true };
    else if (key === "after" || key === "cites" || key === "given") {
      const list = readList(words, at);
      if (!list.ok) return list;
      place[key] = list.value.names;
      at = list.value.next;
    } else if (key === "at" || key === "depth") {
      const value = words[at];
      const number = value?.kind === "name" ? readNumber(key, value.text) : undefined;
      if (number === undefined) return bad(key === "at" ? "`at` takes seconds" : "`depth` takes a number");
      place[key === "at" ? "time" : "depth"] = number;
      at++;
    } else return bad(`${JSON.stringify(key)} is out of place: it is ${[...PLACES].join(", ")}`);
  }
  if (Object.keys(recorded).length > 0) place.recorded = recorded;
  return ok(place);
}

function readNumber(key: "at" | "depth", text: string): number | undefined {
  if (key === "at") return readTime(text);
  return /^[0-9]{1,16}$/.test(text) ? Number(text) : undefined;
}

/** Names with commas between them; the word `nothing` is the empty list. */
function readList(
  words: readonly Word[],
  start: number,
): Result<{ readonly names: readonly string[]; readonly next: number }> {
  const names: string[] = [];
  for (let at = start; at < words.length; at++) {
    const word = words[at];
    if (word?.kind !== "name") break;
    names.push(...word.text.split(",").filter((name) => name !== ""));
    if (word.text.endsWith(",")) continue;
    const [only] = names;
    return ok({ names: only === "nothing" && names.length === 1 ? [] : names, next: at + 1 });
  }
  return bad("a list of names ends too early");
}
