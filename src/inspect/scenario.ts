/**
 * Scenarios: small rooms as text, an event a line. docs/inspect.md is the format's description. The same text always
 * makes the same room, with real ids, hashes and times that count up.
 */
import { ok, refuse } from "../errors.js";
import type { Result } from "../errors.js";
import { isServerName } from "../ids/grammar.js";
import type { JsonObject } from "../json/value.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import type { RoomVersion } from "../versions/room-version.js";
import type { Dump, DumpEvent, RecordedState } from "./dump.js";
import { ScenarioRoom } from "./scenario-room.js";
import { wordsOf } from "./scenario-words.js";
import type { Word } from "./scenario-words.js";

/** What a text expects of its room in some versions. */
export type Expectation = { readonly line: number; readonly versions: readonly string[] } & (
  | {
      /** The event, by its name, that holds a key in the room's last state; `undefined`: none does. */
      readonly expects: "state";
      readonly type: string;
      readonly stateKey: string;
      readonly name: string | undefined;
    }
  /** What an audit says of the event. */
  | { readonly expects: "reset" | "rollback" | "overwritten"; readonly name: string }
  /** The event's verdict. */
  | { readonly expects: "accepted" | "rejected" | "soft-failed"; readonly name: string }
);

/** A text as it was read. */
export interface Scenario {
  readonly dump: Dump;
  readonly roomVersion: string;
  readonly title: string | undefined;
  /** What is to be learnt of it, a sentence a line. */
  readonly lesson: readonly string[];
  /** Where the expectations come from. */
  readonly source: readonly string[];
  readonly expectations: readonly Expectation[];
  /** Ids by the names that the text gives to events. */
  readonly ids: ReadonlyMap<string, string>;
  /** The line of each event of the dump, counted from 1. */
  readonly lines: readonly number[];
}

/** What the reader is told beside the text. */
export interface ScenarioOptions {
  /** The room version; it goes before the text's own. Default: what the text says, or 11. */
  readonly roomVersion?: string;
  readonly registry?: RoomVersionRegistry;
  /** Whether events are signed by {@link publishedKeyOf} their servers. Default: what the text says. */
  readonly signed?: boolean;
}

/** More lines than anybody writes. */
const MAX_LINES = 20_000;
const DEFAULT_VERSION = "11";
const DEFAULT_SERVER = "example.org";

const HEADERS = ["title", "lesson", "source", "server", "version", "room", "signed", "expect"] as const;
type Header = (typeof HEADERS)[number];

function headerOf(line: string): Header | undefined {
  const [word] = line.split(/[ \t]/, 1);
  return HEADERS.find((header) => header === word);
}

/** Whether a text is meant as a scenario: its first line that says something is a header or begins a room. */
export function isScenario(text: string): boolean {
  let at = 0;
  while (at < text.length) {
    const next = text.indexOf("\n", at);
    const end = next < 0 ? text.length : next;
    const line = text.slice(at, Math.min(end, at + 1000)).trim();
    at = end + 1;
    if (line === "" || line.startsWith("#")) continue;
    const header = headerOf(line);
    return header === undefined ? /^(?:[^\s{["]+:\s+)?[^\s{["]+\s+creates\b/.test(line) : true;
  }
  return false;
}

/**
 * Reads a scenario.
 *
 * @returns the room as a dump that everything else here takes, or a refusal that names the line.
 */
export function readScenario(text: string, options: ScenarioOptions = {}): Result<Scenario> {
  const lines = text.split("\n");
  if (lines.length > MAX_LINES) return refuse("too_large", `a scenario has at most ${MAX_LINES} lines`);
  const headers = readHeaders(lines);
  if (!headers.ok) return headers;
  const { server, room, signed, version: named } = headers.value;
  const id = options.roomVersion ?? named ?? DEFAULT_VERSION;
  const version = (options.registry ?? roomVersions).get(id);
  if (!version.ok) return version;
  const scenario = new ScenarioRoom(version.value, {
    server,
    roomId: room,
    signed: options.signed ?? signed,
  });
  const places: number[] = [];
  for (const [at, line] of lines.entries()) {
    if (isSilent(line) || headerOf(line.trim()) !== undefined) continue;
    const words = wordsOf(line);
    const planned = words.ok ? scenario.plan(words.value) : words;
    const done = planned.ok ? scenario.commit(planned.value, `line ${at + 1}`) : planned;
    if (!done.ok) return atLine(at, done.error.code, done.error.reason);
    places.push(at + 1);
  }
  if (places.length === 0)
    return refuse("bad_format", "this scenario has no events: a room begins with `alice creates`");
  const expectations = readExpectations(headers.value.expect, scenario);
  if (!expectations.ok) return expectations;
  return ok({
    dump: dumpOf(version.value, scenario),
    roomVersion: id,
    title: headers.value.title,
    lesson: headers.value.lesson,
    source: headers.value.source,
    expectations: expectations.value,
    ids: scenario.ids(),
    lines: places,
  });
}

function isSilent(line: string): boolean {
  return /^\s*(?:#.*)?$/.test(line);
}

function atLine(at: number, code: Parameters<typeof refuse>[0], reason: string): Result<never> {
  return refuse(code, `line ${at + 1}: ${reason}`);
}

interface Headers {
  server: string;
  version: string | undefined;
  room: string | undefined;
  signed: boolean;
  title: string | undefined;
  readonly lesson: string[];
  readonly source: string[];
  readonly expect: { readonly at: number; readonly text: string }[];
}

function readHeaders(lines: readonly string[]): Result<Headers> {
  const headers: Headers = {
    server: DEFAULT_SERVER,
    version: undefined,
    room: undefined,
    signed: false,
    title: undefined,
    lesson: [],
    source: [],
    expect: [],
  };
  for (const [at, whole] of lines.entries()) {
    const line = whole.trim();
    const header = headerOf(line);
    if (header === undefined) continue;
    const rest = line.slice(header.length).trim();
    if (rest === "" && header !== "signed") return atLine(at, "bad_format", `\`${header}\` says nothing`);
    if (header === "lesson" || header === "source") headers[header].push(rest);
    else if (header === "expect") headers.expect.push({ at, text: rest });
    else if (header === "signed") headers.signed = true;
    else if (header === "server" && !isServerName(rest)) {
      return atLine(at, "bad_identifier", `${rest} is no server`);
    } else headers[header] = rest;
  }
  return ok(headers);
}

const EXPECT = /^([^:]+): *(.*)$/;

function readExpectations(
  found: readonly { readonly at: number; readonly text: string }[],
  scenario: ScenarioRoom,
): Result<readonly Expectation[]> {
  const expectations: Expectation[] = [];
  for (const { at, text } of found) {
    const parts = EXPECT.exec(text);
    const words = wordsOf(parts?.[2] ?? "");
    const [, versions] = parts ?? [];
    if (versions === undefined || !words.ok) return atLine(at, "bad_format", "it is `expect VERSIONS: …`");
    const said = readExpectation(words.value, scenario);
    if (!said.ok) return atLine(at, said.error.code, said.error.reason);
    expectations.push({ line: at + 1, versions: versions.trim().split(/[ ,]+/), ...said.value });
  }
  return ok(expectations);
}

const ABOUT_EVENTS = ["reset", "rollback", "overwritten", "accepted", "rejected", "soft-failed"] as const;

type Said = Expectation extends infer E ? (E extends Expectation ? Omit<E, "line" | "versions"> : never) : never;

function readExpectation(words: readonly Word[], scenario: ScenarioRoom): Result<Said> {
  const texts = words.map((word) => (word.kind === "json" ? "" : word.text));
  const [first = "", second, third, fourth] = texts;
  const known = (name: string | undefined): boolean => name !== undefined && scenario.has(name);
  const bad = (reason: string): Result<never> => refuse("bad_format", reason);
  const about = ABOUT_EVENTS.find((word) => word === first);
  if (about !== undefined) {
    if (second === undefined || !known(second)) return bad(`there is no event ${second ?? ""}`);
    return ok({ expects: about, name: second });
  }
  const withKey = second !== "=";
  const name = withKey ? fourth : third;
  if ((withKey ? third : second) !== "=") return bad("it is `TYPE = NAME` or `TYPE KEY = NAME`");
  if (name !== "nothing" && !known(name)) return bad(`there is no event ${name ?? ""}`);
  const key = withKey ? (second ?? "") : "";
  const stateKey = withKey && words[1]?.kind === "name" ? (scenario.user(key) ?? key) : key;
  return ok({ expects: "state", type: first, stateKey, name: name === "nothing" ? undefined : name });
}

function dumpOf(version: RoomVersion, scenario: ScenarioRoom): Dump {
  const events: DumpEvent[] = scenario.made.map(({ pdu, where, recorded }) => ({
    json: pdu.json,
    givenId: pdu.eventId,
    where,
    role: "timeline",
    recorded,
  }));
  const states: RecordedState[] = scenario.made.flatMap(({ pdu, where, given }) =>
    given === undefined ? [] : [{ name: `${where} given`, before: pdu.eventId, members: given, partial: false }],
  );
  const names = new Map([...scenario.ids()].map(([name, id]) => [id, name]));
  const keys: readonly JsonObject[] = scenario.signed ? [scenario.keys()] : [];
  return {
    roomVersion: version.id,
    roomId: scenario.roomId,
    events,
    keys,
    states,
    request: undefined,
    notes: [],
    names,
    ...(scenario.signed ? {} : { signatures: "assumed" as const }),
  };
}
