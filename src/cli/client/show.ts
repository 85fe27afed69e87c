/** Answers of the API as lines for people. What came from other servers is made safe to print. */
import { printable } from "../../inspect/format.js";
import { encodeCanonical } from "../../json/canonical.js";
import { get, isArray, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";

type Lines = readonly string[];

function text(object: JsonObject, key: string): string {
  const value = get(object, key);
  if (value === undefined) return "";
  return printable(typeof value === "string" ? value : encodeCanonical(value));
}

function objects(object: JsonObject, key: string): readonly JsonObject[] {
  const value = get(object, key);
  return isArray(value) ? value.filter((one): one is JsonObject => isObject(one)) : [];
}

function inner(object: JsonObject, key: string): JsonObject {
  const value = get(object, key);
  return isObject(value) ? value : {};
}

/** The words that are there, one space apart. */
function joined(...words: readonly string[]): string {
  return words.filter((word) => word !== "").join(" ");
}

export function sent(answer: JsonObject): Lines {
  return [text(answer, "eventId")];
}

export function room(answer: JsonObject): Lines {
  const refused = objects(answer, "notInvited").map(
    (one) => `not invited: ${text(one, "user")}: ${text(one, "reason")}`,
  );
  return [roomLine(answer), ...refused];
}

function roomLine(answer: JsonObject): string {
  const members = text(inner(answer, "members"), "join");
  const name = text(answer, "name");
  const membership = text(answer, "membership");
  return joined(
    text(answer, "roomId"),
    `version ${text(answer, "version")}`,
    membership,
    members === "" ? "" : `${members} joined`,
    name === "" ? "" : `"${name}"`,
  );
}

export function roomInFull(answer: JsonObject): Lines {
  return Object.keys(answer).map((key) => `${key.padEnd(19)}${text(answer, key)}`);
}

export function rooms(answer: JsonObject): Lines {
  return some(
    objects(answer, "rooms").map((one) =>
      get(one, "version") === undefined ? joined(text(one, "roomId"), text(one, "membership")) : roomLine(one),
    ),
    "no rooms",
  );
}

function some(lines: Lines, otherwise: string): Lines {
  return lines.length === 0 ? [otherwise] : lines;
}

export function timeline(answer: JsonObject): Lines {
  return objects(answer, "events").map((event) => {
    const time = get(event, "time");
    const at = typeof time === "number" ? timeOf(time) : "";
    const what = `${said(event)}${get(event, "redactedBy") === undefined ? "" : " (redacted)"}`;
    return joined(text(event, "position").padStart(4), at, text(event, "sender"), what, text(event, "eventId"));
  });
}

/** Others write what they like there: beyond the dates that there are it is shown as it is. */
function timeOf(time: number): string {
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString().slice(0, 19) : String(time);
}

/** A message by its text, other events by their type, key and content. */
function said(event: JsonObject): string {
  const content = inner(event, "content");
  const body = get(content, "body") ?? blockIn(content);
  if (get(event, "stateKey") === undefined && typeof body === "string") return `"${printable(body)}"`;
  return joined(text(event, "type"), text(event, "stateKey"), summary(content));
}

function blockIn(content: JsonObject): JsonValue | undefined {
  const [block] = objects(content, "m.text");
  return block && get(block, "body");
}

const LONGEST = 100;

function summary(content: JsonObject): string {
  const membership = get(content, "membership");
  if (typeof membership === "string") return printable(membership);
  const all = printable(encodeCanonical(content));
  return all.length <= LONGEST ? all : `${all.slice(0, LONGEST)}…`;
}

export function state(answer: JsonObject): Lines {
  const lines = objects(answer, "state").map((event) =>
    joined(text(event, "type"), text(event, "stateKey"), summary(inner(event, "content")), text(event, "eventId")),
  );
  return some([...lines].sort(), "nothing");
}

export function members(answer: JsonObject): Lines {
  const lines = objects(answer, "members").map((one) => `${text(one, "membership").padEnd(7)}${text(one, "userId")}`);
  const partial = get(answer, "partial") === true ? ["(not all members are known yet)"] : [];
  return [...[...lines].sort(), ...partial];
}

export function backfilled(answer: JsonObject): Lines {
  const events = objects(answer, "events");
  const fresh = events.filter((one) => get(one, "duplicate") !== true).length;
  return [`${fresh} more events`];
}

export function raw(answer: JsonObject): Lines {
  return [printable(encodeCanonical(inner(answer, "original")))];
}

export function why(answer: JsonObject): Lines {
  const what = joined(text(answer, "type"), text(answer, "stateKey"));
  const by = text(answer, "sender");
  const rule = joined(
    text(answer, "rule"),
    get(answer, "ruleName") === undefined ? "" : `(${text(answer, "ruleName")})`,
  );
  return [
    joined(text(answer, "eventId"), what, by === "" ? "" : `by ${by}`),
    `  in ${text(answer, "roomId")}, version ${text(answer, "roomVersion")}`,
    `  ${text(answer, "verdict")}: ${text(answer, "words")}`,
    ...(rule === "" ? [] : [`  ${rule}${get(answer, "reason") === undefined ? "" : `: ${text(answer, "reason")}`}`]),
    ...(get(answer, "waitsFor") === undefined ? [] : [`  waits for ${text(answer, "waitsFor")}`]),
    ...(get(answer, "redactedBy") === undefined ? [] : [`  redacted by ${text(answer, "redactedBy")}`]),
    ...(get(answer, "redactedCopy") === true ? ["  its content hash does not match: its redacted copy is judged"] : []),
    ...under("  looked at, in the state before:", objects(answer, "consulted").map(consultedLine)),
    ...under("  changed:", objects(answer, "changes").map(changeLine)),
    ...under("  follows:", objects(answer, "prevEvents").map(namedLine)),
    ...under("  cites:", objects(answer, "authEvents").map(namedLine)),
    ...currentLines(answer),
  ];
}

function under(title: string, lines: Lines): Lines {
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `    ${line}`)];
}

function consultedLine(one: JsonObject): string {
  const inState = text(one, "inState");
  const cited = text(one, "cited");
  const key = joined(text(one, "type"), text(one, "stateKey"));
  if (inState === cited) return `${key}: ${inState === "" ? "nothing" : inState}`;
  return `${key}: ${inState === "" ? "nothing, or not known" : inState}; it cites ${cited === "" ? "nothing" : cited}`;
}

function changeLine(one: JsonObject): string {
  const side = (key: string): string => {
    const event = get(one, key);
    return isObject(event) ? `${summary(inner(event, "content"))} ${text(event, "eventId")}` : "nothing";
  };
  return `${joined(text(one, "type"), text(one, "stateKey"))}: ${side("before")} -> ${side("after")}`;
}

function namedLine(one: JsonObject): string {
  return joined(text(one, "eventId"), text(one, "verdict"), text(one, "type"), text(one, "stateKey"));
}

function currentLines(answer: JsonObject): Lines {
  const current = get(answer, "current");
  if (!isObject(current)) return [];
  if (get(current, "isCurrent") === true) return ["  It is the room's current state."];
  const other = text(current, "eventId");
  return [
    other === "" ? "  It is not the room's current state: nothing is." : `  The room's current state is ${other}.`,
  ];
}

export function check(answer: JsonObject): Lines {
  const findings = objects(answer, "findings").map((one) =>
    joined(text(one, "kind"), text(one, "roomId"), text(one, "events"), text(one, "reason")),
  );
  const end = get(answer, "sound") === true ? "sound" : `${findings.length} findings`;
  return [...findings, `${end}: ${text(answer, "rooms")} rooms, ${text(answer, "events")} events`];
}

export function pairs(answer: JsonObject): Lines {
  return Object.entries(answer).flatMap(([name, value]) =>
    isObject(value)
      ? Object.keys(value).map((key) => `${printable(`${name}.${key}`).padEnd(34)}${text(value, key)}`)
      : [`${printable(name).padEnd(34)}${text(answer, name)}`],
  );
}
