/** The graph of a room as a picture needs it: events with their standing, long runs folded, and writers of it. */
import { checkRedactionEffect } from "../auth/redaction.js";
import { domainOf } from "../ids/grammar.js";
import { get } from "../json/value.js";
import type { JsonValue } from "../json/value.js";
import type { Pdu } from "../event/pdu.js";
import type { RoomVersionRules } from "../rules/model.js";
import type { Dump } from "./dump.js";
import { causalOrder } from "./order.js";
import { readEntry } from "./receive.js";
import { standingOfVerdict } from "./replay.js";
import type { EventReport, RoomReport } from "./room.js";

/**
 * How an event stands in the room; `dropped` are events that a server never stores, `unchecked` ones of which only the
 * form was looked at.
 */
export type Standing = "accepted" | "soft-failed" | "rejected" | "pending" | "dropped" | "unchecked";

/** One event of a {@link RoomGraph}. */
export interface GraphEvent {
  readonly eventId: string;
  readonly type: string;
  readonly stateKey: string | undefined;
  readonly sender: string;
  /** The sender's server. */
  readonly server: string;
  /** What the event says, in a few words of its own; empty where there is nothing short to say. */
  readonly gist: string;
  /** As claimed by its author. */
  readonly depth: number;
  readonly originServerTs: number;
  /** One more than the highest layer among its parents; 0 where none of them is in the file. */
  readonly layer: number;
  /** Its place among the events as the file has them. */
  readonly receivedAt: number;
  /** Its `prev_events`, each once; those that the file lacks are in {@link RoomGraph.absent}. */
  readonly parents: readonly string[];
  readonly authEvents: readonly string[];
  readonly standing: Standing;
  /** Whether it came redacted, or an accepted redaction in the file takes effect on it. */
  readonly redacted: boolean;
}

/** The events of a room and how they hang together. */
export interface RoomGraph {
  readonly roomVersion: string;
  readonly roomId: string | undefined;
  /** Ancestors first. */
  readonly events: readonly GraphEvent[];
  /** Parents that the file names and does not hold. */
  readonly absent: readonly string[];
}

/** The graph of a checked room. */
export function graphOf(report: RoomReport): RoomGraph {
  const redacted = redactedIn(report);
  const placed = report.events.flatMap((event) => {
    const pdu = report.replay.pdu(event.eventId);
    if (pdu === undefined) return [];
    const isRedacted = event.hash === "redacted" || redacted.has(event.eventId);
    return [{ pdu, standing: standingOf(event), redacted: isRedacted }];
  });
  return assemble(report.roomVersion, report.roomId, placed, report.received.ids);
}

/**
 * The graph of a dump by the form of its events alone, a good part sooner than a check: every event is `unchecked`, and
 * what is no event of this version is left out.
 */
export function graphOfDump(rules: RoomVersionRules, dump: Dump): RoomGraph {
  const pdus = new Map<string, Pdu>();
  for (const entry of dump.events) {
    const read = readEntry(rules, entry);
    if (read.ok && !pdus.has(read.value.eventId)) pdus.set(read.value.eventId, read.value);
  }
  const cites = (id: string): readonly string[] => [
    ...(pdus.get(id)?.prevEvents ?? []),
    ...(pdus.get(id)?.authEvents ?? []),
  ];
  const { order, cyclic } = causalOrder([...pdus.values()], cites);
  const placed = [...order, ...cyclic].flatMap((id): readonly Placed[] => {
    const pdu = pdus.get(id);
    return pdu === undefined ? [] : [{ pdu, standing: "unchecked", redacted: false }];
  });
  return assemble(rules.id, dump.roomId, placed, [...pdus.keys()]);
}

interface Placed {
  readonly pdu: Pdu;
  readonly standing: Standing;
  readonly redacted: boolean;
}

/** `placed` has ancestors first, `received` the ids as the file has them. */
function assemble(
  roomVersion: string,
  roomId: string | undefined,
  placed: readonly Placed[],
  received: readonly (string | undefined)[],
): RoomGraph {
  const receivedAt = new Map<string, number>();
  for (const id of received) if (id !== undefined && !receivedAt.has(id)) receivedAt.set(id, receivedAt.size);
  const known = new Set<string>(placed.map(({ pdu }) => pdu.eventId));
  const layers = new Map<string, number>();
  const absent = new Set<string>();
  const events = placed.map(({ pdu, standing, redacted }): GraphEvent => {
    const { eventId, type, stateKey, sender, depth, originServerTs, authEvents } = pdu;
    const parents: readonly string[] = [...new Set(pdu.prevEvents)];
    let layer = 0;
    for (const parent of parents) {
      layer = Math.max(layer, (layers.get(parent) ?? -1) + 1);
      if (!known.has(parent)) absent.add(parent);
    }
    layers.set(eventId, layer);
    const place = { depth, originServerTs, layer, receivedAt: receivedAt.get(eventId) ?? 0 };
    const about = { server: domainOf(sender) ?? "", gist: gistOf(pdu) };
    return { eventId, type, stateKey, sender, ...about, ...place, parents, authEvents, standing, redacted };
  });
  return { roomVersion, roomId, events, absent: [...absent] };
}

/** Soft failure depends on when a server got an event: only the file that a server wrote knows it. */
function standingOf({ verdict, recorded }: EventReport): Standing {
  const outcome = standingOfVerdict(verdict);
  if (outcome === "accepted") return recorded.softFailed === true ? "soft-failed" : "accepted";
  return outcome === "undecided" ? "pending" : outcome;
}

function redactedIn({ events, replay }: RoomReport): ReadonlySet<string> {
  const redacted = new Set<string>();
  for (const { eventId, verdict } of events) {
    const pdu = replay.pdu(eventId);
    const state = replay.stateBefore(eventId);
    if (pdu?.redacts === undefined || verdict.verdict !== "accepted" || state === undefined) continue;
    const { rules } = replay.roomVersion;
    const effect = checkRedactionEffect(rules, pdu, replay.pdu(pdu.redacts), replay.lookup(state));
    if (effect.verdict === "apply") redacted.add(effect.target);
  }
  return redacted;
}

/** Where well-known types have what a person would call them by. */
const telling: Readonly<Record<string, string>> = {
  "m.room.member": "membership",
  "m.room.name": "name",
  "m.room.topic": "topic",
  "m.room.join_rules": "join_rule",
  "m.room.history_visibility": "history_visibility",
  "m.room.guest_access": "guest_access",
  "m.room.canonical_alias": "alias",
  "m.room.message": "body",
  "m.room.create": "room_version",
};

const LONGEST_GIST = 60;

function gistOf({ type, stateKey, sender, content }: Pdu): string {
  const key = Object.hasOwn(telling, type) ? telling[type] : undefined;
  const value: JsonValue | undefined = key === undefined ? undefined : get(content, key);
  if (typeof value !== "string") return "";
  const isAboutOther = type === "m.room.member" && stateKey !== undefined && stateKey !== sender;
  const text = type === "m.room.create" ? `version ${value}` : isAboutOther ? `${value} ${stateKey}` : value;
  return text.length > LONGEST_GIST ? `${[...text].slice(0, LONGEST_GIST - 1).join("")}…` : text;
}

/** What is drawn as one: an event, or a run of events with nothing but each other between its ends. */
export type GraphNode =
  | { readonly kind: "event"; readonly id: string; readonly event: GraphEvent; readonly parents: readonly string[] }
  | {
      readonly kind: "run";
      /** The id of the run's first event. */
      readonly id: string;
      readonly events: readonly [GraphEvent, ...GraphEvent[]];
      readonly parents: readonly string[];
    }
  /** A parent that the file lacks. */
  | { readonly kind: "absent"; readonly id: string; readonly parents: readonly [] };

/** How runs are folded. */
export interface FoldOptions {
  /** How many events make a run that is folded; `Infinity` folds nothing. 8 by default. */
  readonly shortest?: number;
  /** Ids of runs that stay open, by any of their events. */
  readonly open?: ReadonlySet<string>;
}

/**
 * Nodes of a drawing, ancestors first; their parents are nodes again. Only accepted events with one parent and one
 * child are folded, so forks, merges, ends and everything that was refused stays in sight.
 */
export function foldRuns(graph: RoomGraph, options: FoldOptions = {}): readonly GraphNode[] {
  const { shortest = 8, open = new Set<string>() } = options;
  const runs = new Map<string, Run>();
  for (const run of runsOf(graph)) {
    if (run.length < shortest || run.some(({ eventId }) => open.has(eventId))) continue;
    for (const { eventId } of run) runs.set(eventId, run);
  }
  const nodeOf = (id: string): string => runs.get(id)?.[0].eventId ?? id;
  const nodes: GraphNode[] = graph.absent.map((id) => ({ kind: "absent", id, parents: [] }));
  const has = new Set([...graph.absent, ...graph.events.map(({ eventId }) => eventId)]);
  for (const event of graph.events) {
    const parents = [...new Set(event.parents.filter((id) => has.has(id)).map(nodeOf))];
    const run = runs.get(event.eventId);
    if (run === undefined) nodes.push({ kind: "event", id: event.eventId, event, parents });
    else if (run[0] === event) nodes.push({ kind: "run", id: event.eventId, events: run, parents });
  }
  return nodes;
}

type Run = [GraphEvent, ...GraphEvent[]];

function runsOf({ events }: RoomGraph): readonly Run[] {
  const children = new Map<string, number>();
  for (const { parents } of events) for (const id of parents) children.set(id, (children.get(id) ?? 0) + 1);
  const isInner = (event: GraphEvent): boolean =>
    (event.standing === "accepted" || event.standing === "unchecked") &&
    event.parents.length === 1 &&
    children.get(event.eventId) === 1;
  const runs = new Map<string, Run>();
  const all: Run[] = [];
  for (const event of events) {
    if (!isInner(event)) continue;
    const before = runs.get(event.parents[0] ?? "");
    const run: Run = before ?? [event];
    if (before === undefined) all.push(run);
    else run.push(event);
    runs.set(event.eventId, run);
  }
  return all;
}
