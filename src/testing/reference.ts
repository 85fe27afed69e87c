/**
 * State resolution as the spec writes it, with sets of ids and no cleverness: slow, short, and without a
 * line in common with the resolvers of this library but the authorisation rules. It is what
 * {@link resolutionLaws} compares with.
 */
import { checkStateDependent } from "../auth/check.js";
import { selectAuthEvents } from "../auth/select.js";
import { userLevel } from "../auth/power.js";
import type { Level } from "../auth/power.js";
import { sha1Hex } from "../crypto/sha1.js";
import { UsageError } from "../errors.js";
import { compareCodePoints } from "../json/compare.js";
import { utf8Encode } from "../json/utf8.js";
import { get } from "../json/value.js";
import type { RoomVersionRules } from "../rules/model.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";
import { read } from "./forge.js";
import type { LooseEvent } from "./forge.js";
import { versionOf } from "./room.js";
import type { ResolutionRequest } from "./room.js";

/** A state: the id of the event at each `JSON.stringify([type, state key])`. */
type State = ReadonlyMap<string, string>;

/**
 * Resolves by the letter of the algorithm that the room version names: ids sorted by code point.
 * @throws UsageError when an event of the states or their auth chains is not among the events.
 */
export function referenceResolve(
  request: ResolutionRequest,
  registry: RoomVersionRegistry = roomVersions,
): readonly string[] {
  return new ReferenceResolver(versionOf(request.room_version, registry).rules, request).resolve();
}

/** Steps are methods, so that a test can break one of them and see whether the laws notice. */
export class ReferenceResolver {
  protected readonly rules: RoomVersionRules;
  protected readonly events: ReadonlyMap<string, LooseEvent>;
  protected readonly states: readonly State[];

  constructor(rules: RoomVersionRules, request: ResolutionRequest) {
    this.rules = rules;
    this.events = new Map(request.events.map((json) => read(rules, json)).map((event) => [event.eventId, event]));
    this.states = request.state_sets.map((ids) => new Map(ids.map((id) => [this.keyOf(id), id])));
  }

  resolve(): readonly string[] {
    const state = this.rules.stateResolution === "v1" ? this.resolveV1() : this.resolveV2();
    return [...state.values()].sort(compareCodePoints);
  }

  // Definitions

  protected event(id: string): LooseEvent {
    const event = this.events.get(id);
    if (event === undefined) throw new UsageError(`the request lacks ${id}`);
    return event;
  }

  protected keyOf(id: string): string {
    const { type, stateKey } = this.event(id);
    return JSON.stringify([type, stateKey]);
  }

  /** What an event cites; in room version 12 its room id names the create event as well. */
  protected cited(id: string): readonly LooseEvent[] {
    return this.event(id).authEvents.map((other) => this.event(other));
  }

  /** The events themselves, what they cite, what those cite, and so on. */
  protected withAuthChains(ids: Iterable<string>): ReadonlySet<string> {
    const chain = new Set<string>();
    const next = [...ids];
    for (let id = next.pop(); id !== undefined; id = next.pop()) {
      if (chain.has(id)) continue;
      chain.add(id);
      next.push(...this.event(id).authEvents);
    }
    return chain;
  }

  protected authDifference(): ReadonlySet<string> {
    const chains = this.states.map((state) => this.withAuthChains(state.values()));
    const union = new Set(chains.flatMap((chain) => [...chain]));
    return new Set([...union].filter((id) => !chains.every((chain) => chain.has(id))));
  }

  /** Events on a path of citations between two conflicted events. */
  protected subgraph(conflicted: ReadonlySet<string>): ReadonlySet<string> {
    const below = this.withAuthChains(conflicted);
    return new Set([...below].filter((id) => [...this.withAuthChains([id])].some((lower) => conflicted.has(lower))));
  }

  /** Keys and events that all states agree on, and the distinct events at the other keys. */
  protected separate(): { readonly agreed: State; readonly conflicted: ReadonlyMap<string, ReadonlySet<string>> } {
    const agreed = new Map<string, string>();
    const conflicted = new Map<string, Set<string>>();
    for (const key of new Set(this.states.flatMap((state) => [...state.keys()]))) {
      const ids = this.states.flatMap((state) => state.get(key) ?? []);
      const distinct = new Set(ids);
      const [only] = ids;
      if (distinct.size === 1 && only !== undefined && this.isAgreed(ids.length)) agreed.set(key, only);
      else conflicted.set(key, distinct);
    }
    return { agreed, conflicted };
  }

  /** In v1 a key that some states lack is settled by those that have it; later it is a conflict. */
  protected isAgreed(statesWithKey: number): boolean {
    return this.rules.stateResolution === "v1" || statesWithKey === this.states.length;
  }

  // Algorithm version 2 and 2.1

  protected resolveV2(): State {
    const { agreed, conflicted } = this.separate();
    if (conflicted.size === 0) return agreed;
    const full = this.fullConflictedSet();
    const power = this.closePowerEvents(full);
    const state = new Map(this.rules.stateResolution === "v2.1" ? [] : agreed);
    this.checkEach(this.byPower(power), state);
    const rest = [...full].filter((id) => !power.has(id));
    this.checkEach(this.byMainline(rest, state.get(JSON.stringify(["m.room.power_levels", ""]))), state);
    return new Map([...state, ...agreed]);
  }

  fullConflictedSet(): ReadonlySet<string> {
    const conflicted = new Set([...this.separate().conflicted.values()].flatMap((ids) => [...ids]));
    const subgraph = this.rules.stateResolution === "v2.1" ? this.subgraph(conflicted) : [];
    return new Set([...conflicted, ...this.authDifference(), ...subgraph]);
  }

  protected isPowerEvent(id: string): boolean {
    const { type, stateKey, sender, content } = this.event(id);
    if (["m.room.create", "m.room.power_levels", "m.room.join_rules"].includes(type)) return stateKey === "";
    const membership = get(content, "membership");
    return type === "m.room.member" && (membership === "leave" || membership === "ban") && sender !== stateKey;
  }

  /** Power events and what they cite, as far as citations lead through the full conflicted set (SR6). */
  protected closePowerEvents(full: ReadonlySet<string>): ReadonlySet<string> {
    const found = new Set<string>();
    const next = [...full].filter((id) => this.isPowerEvent(id));
    for (let id = next.pop(); id !== undefined; id = next.pop()) {
      if (found.has(id)) continue;
      found.add(id);
      next.push(...this.event(id).authEvents.filter((other) => full.has(other)));
    }
    return found;
  }

  /** Reverse topological power order: of the events whose parents are all sorted, the first by rank. */
  protected byPower(power: ReadonlySet<string>): readonly string[] {
    const left = new Set(power);
    const sorted: string[] = [];
    while (left.size > 0) {
      const ready = [...left].filter((id) => !this.event(id).authEvents.some((other) => left.has(other)));
      const [next] = ready.sort((a, b) => this.compareRank(a, b));
      if (next === undefined) throw new UsageError("the auth events form a cycle");
      left.delete(next);
      sorted.push(next);
    }
    return sorted;
  }

  protected compareRank(a: string, b: string): number {
    const [left, right] = [this.senderLevel(a), this.senderLevel(b)];
    if (left !== right) return left > right ? -1 : 1;
    return this.compareTime(a, b);
  }

  protected compareTime(a: string, b: string): number {
    return this.event(a).originServerTs - this.event(b).originServerTs || this.compareIds(a, b);
  }

  protected compareIds(a: string, b: string): number {
    return compareCodePoints(a, b);
  }

  /** By the event's own auth events. */
  protected senderLevel(id: string): Level {
    const cited = this.cited(id);
    const create = cited.find(({ type }) => type === "m.room.create") ?? this.impliedCreate(id);
    const powerLevels = cited.find(({ type, stateKey }) => type === "m.room.power_levels" && stateKey === "");
    return create === undefined ? 0 : (userLevel(this.rules, create, powerLevels, this.event(id).sender) ?? 0);
  }

  protected impliedCreate(id: string): LooseEvent | undefined {
    return this.rules.auth.createEvent === "implied"
      ? this.events.get(`$${this.event(id).roomId.slice(1)}`)
      : undefined;
  }

  /** Judges each event by the state so far and puts it there if it passes. */
  protected checkEach(sorted: readonly string[], state: Map<string, string>): void {
    for (const id of sorted) if (this.passes(id, state)) state.set(this.keyOf(id), id);
  }

  protected passes(id: string, state: State): boolean {
    const event = this.event(id);
    const known = new Map<string, LooseEvent>();
    for (const own of this.fallback(id)) known.set(this.keyOf(own.eventId), own);
    for (const key of selectAuthEvents(this.rules, event).concat([["m.room.create", ""]])) {
      const current = state.get(JSON.stringify(key));
      if (current !== undefined) known.set(JSON.stringify(key), this.event(current));
    }
    const verdict = checkStateDependent(this.rules, event, (type, key) => known.get(JSON.stringify([type, key])));
    return verdict.verdict === "allowed";
  }

  /** What an event is judged by where the state has nothing: its own auth events. */
  protected fallback(id: string): readonly LooseEvent[] {
    return [...this.cited(id), ...[this.impliedCreate(id) ?? []].flat()];
  }

  protected byMainline(ids: readonly string[], powerLevels: string | undefined): readonly string[] {
    const mainline: string[] = [];
    for (let at = powerLevels; at !== undefined; at = this.citedPowerLevels(at)) mainline.push(at);
    const position = (id: string): number => {
      for (let at = this.citedPowerLevels(id); at !== undefined; at = this.citedPowerLevels(at)) {
        if (mainline.includes(at)) return mainline.indexOf(at);
      }
      return Number.POSITIVE_INFINITY;
    };
    const positions = new Map(ids.map((id) => [id, position(id)]));
    return [...ids].sort(
      (a, b) => this.comparePosition(positions.get(a) ?? 0, positions.get(b) ?? 0) || this.compareTime(a, b),
    );
  }

  /** The oldest part of the mainline first, and what has no part in it before all. */
  protected comparePosition(a: number, b: number): number {
    return a === b ? 0 : a > b ? -1 : 1;
  }

  protected citedPowerLevels(id: string): string | undefined {
    return this.cited(id).find(({ type, stateKey }) => type === "m.room.power_levels" && stateKey === "")?.eventId;
  }

  // Algorithm version 1

  protected resolveV1(): State {
    const { agreed, conflicted } = this.separate();
    const state = new Map(agreed);
    const left = new Map(conflicted);
    const passes: ((type: string, stateKey: string) => boolean)[] = [
      (type, stateKey) => type === "m.room.power_levels" && stateKey === "",
      (type) => type === "m.room.join_rules",
      (type) => type === "m.room.member",
      () => true,
    ];
    passes.forEach((belongs, phase) => {
      const settled: [string, string][] = [];
      for (const [key, ids] of left) {
        const { type, stateKey } = this.event([...ids][0] ?? "");
        if (!belongs(type, stateKey ?? "")) continue;
        settled.push([key, phase < 3 ? this.lastBeforeFailure(key, ids, state) : this.deepestPassing(ids, state)]);
        left.delete(key);
      }
      for (const [key, id] of settled) state.set(key, id);
    });
    return state;
  }

  /** Ascending depth, then descending SHA-1 of the id. */
  protected byDepth(ids: Iterable<string>): readonly string[] {
    const hash = (id: string): string => sha1Hex(utf8Encode(id));
    return [...ids].sort((a, b) => this.event(a).depth - this.event(b).depth || (hash(a) > hash(b) ? -1 : 1));
  }

  protected lastBeforeFailure(key: string, ids: Iterable<string>, state: State): string {
    const [first, ...others] = this.byDepth(ids);
    let current = first ?? "";
    for (const id of others) {
      if (!this.passesV1(id, new Map([...state, [key, current]]))) break;
      current = id;
    }
    return current;
  }

  protected deepestPassing(ids: Iterable<string>, state: State): string {
    const deepestFirst = [...this.byDepth(ids)].reverse();
    return deepestFirst.find((id) => this.passesV1(id, state)) ?? deepestFirst.at(-1) ?? "";
  }

  /** No fallback here: v1 knows the resolved state alone. */
  protected passesV1(id: string, state: State): boolean {
    const at = (type: string, key: string): LooseEvent | undefined => {
      const found = state.get(JSON.stringify([type, key]));
      return found === undefined ? undefined : this.event(found);
    };
    return checkStateDependent(this.rules, this.event(id), at).verdict === "allowed";
  }
}
