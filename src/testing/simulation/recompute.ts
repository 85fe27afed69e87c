/**
 * The whole room once more, past the engine: its events folded in causal order by the core alone. What the
 * engine has cached, persisted, decided late or in another order must have come to the same.
 */
import { checkStateDependent, checkStateIndependent, stateOfAuthEvents } from "../../auth/check.js";
import type { KnownEvent } from "../../auth/check.js";
import { RoomIndex } from "../../dag/room-index.js";
import { StateMap } from "../../dag/state-map.js";
import { createEventIdOf } from "../../event/pdu.js";
import type { Pdu } from "../../event/pdu.js";
import { readPdu } from "../../event/format.js";
import { compareCodePoints } from "../../json/compare.js";
import type { StoredEvent } from "../../ports/storage.js";
import type { Seen } from "./seen.js";

/** Where the engine and the core differ, in sentences. */
export function recompute(seen: Seen, describe: (eventId: string) => string): readonly string[] {
  return new Fold(seen, describe).run();
}

class Fold {
  readonly #seen: Seen;
  readonly #describe: (eventId: string) => string;
  readonly #index: RoomIndex;
  readonly #pdus = new Map<string, Pdu>();
  readonly #after = new Map<string, StateMap>();
  readonly #known = new Map<string, KnownEvent>();
  readonly #wrong: string[] = [];

  constructor(seen: Seen, describe: (eventId: string) => string) {
    this.#seen = seen;
    this.#describe = describe;
    this.#index = new RoomIndex(seen.room.version.rules);
  }

  run(): readonly string[] {
    const { rules } = this.#seen.room.version;
    for (const { eventId, json } of this.#seen.rows.values()) {
      const pdu = readPdu(rules, json, { eventId, counts: "tolerated" });
      if (pdu.ok) this.#pdus.set(eventId, pdu.value);
      else this.#say(eventId, `is stored and is no event: ${pdu.error.reason}`);
    }
    for (const row of this.#inCausalOrder()) this.#fold(row);
    this.#compareCurrent();
    return this.#wrong;
  }

  #say(eventId: string, what: string): void {
    this.#wrong.push(`at ${this.#seen.server.name}, ${this.#describe(eventId)} ${what}`);
  }

  #inCausalOrder(): readonly StoredEvent[] {
    const { rows } = this.#seen;
    const ordered: StoredEvent[] = [];
    const done = new Set<string>();
    const entered = new Set<string>();
    const stack = [...rows.keys()];
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      const [row, pdu] = [rows.get(id), this.#pdus.get(id)];
      if (row === undefined || pdu === undefined || entered.has(id)) {
        stack.pop();
        if (row !== undefined && !done.has(id)) {
          done.add(id);
          ordered.push(row);
        }
        continue;
      }
      entered.add(id);
      for (const cited of [...this.#cites(pdu), ...this.#given(row, pdu)])
        if (rows.has(cited) && !entered.has(cited)) stack.push(cited);
    }
    return ordered;
  }

  #cites(pdu: Pdu): readonly string[] {
    const implied = this.#seen.room.version.rules.auth.createEvent === "implied" && pdu.type !== "m.room.create";
    return [...pdu.prevEvents, ...pdu.authEvents, ...(implied ? [createEventIdOf(pdu.roomId)] : [])];
  }

  /** The state that the server was given, where the parents are not there to make it of. */
  #given({ stateBefore }: StoredEvent, pdu: Pdu): readonly string[] {
    if (stateBefore === undefined || pdu.prevEvents.every((id) => this.#isPlaced(id))) return [];
    return (this.#seen.states.get(stateBefore) ?? "").split(" ").filter((id) => id !== "");
  }

  #isPlaced(eventId: string): boolean {
    return this.#seen.rows.get(eventId)?.stateAfter !== undefined;
  }

  #fold(row: StoredEvent): void {
    const pdu = this.#pdus.get(row.eventId);
    if (pdu === undefined) return;
    const before = this.#stateBefore(row, pdu);
    if (before !== undefined && row.stateBefore !== undefined) {
      const theirs = this.#seen.states.get(row.stateBefore) ?? "";
      if (this.#textOf(before) !== theirs) this.#say(row.eventId, "has another state before it by the core alone");
    }
    const refusal = this.#refusal(pdu, before);
    const rejected = row.verdict.standing === "rejected";
    if ((refusal !== undefined) !== rejected) {
      this.#say(
        row.eventId,
        rejected ? "is rejected, and the core allows it" : `is allowed, and the core: ${refusal ?? ""}`,
      );
    }
    this.#known.set(row.eventId, { event: pdu, rejected });
    const number = rejected ? undefined : this.#index.add(pdu);
    if (before === undefined) return;
    const moves = number !== undefined && pdu.stateKey !== undefined;
    this.#after.set(row.eventId, moves ? this.#index.stateAfter(before, number) : before);
  }

  /** By its parents; as the server was given it, where the parents are not there. */
  #stateBefore(row: StoredEvent, pdu: Pdu): StateMap | undefined {
    if (row.stateBefore === undefined) return undefined;
    if (pdu.prevEvents.length === 0) return StateMap.empty;
    const given = this.#given(row, pdu);
    if (given.length > 0) return this.#index.stateOf(given);
    return this.#resolve(
      pdu.prevEvents.flatMap((id) => this.#after.get(id) ?? []),
      row.eventId,
    );
  }

  #resolve(states: readonly StateMap[], eventId: string): StateMap | undefined {
    const distinct = [...new Set(states)];
    const [only] = distinct;
    if (distinct.length === 1) return only;
    const resolution = this.#seen.room.version.resolve(this.#index, distinct);
    if (resolution.verdict === "resolved") return resolution.state;
    this.#say(eventId, `follows states that the core cannot resolve: ${resolution.verdict}`);
    return undefined;
  }

  #refusal(pdu: Pdu, before: StateMap | undefined): string | undefined {
    const { rules } = this.#seen.room.version;
    if (pdu.rejectedForSize !== undefined) return pdu.rejectedForSize.reason;
    const lookup = (id: string): KnownEvent | undefined => this.#known.get(id);
    const independent = checkStateIndependent(rules, pdu, lookup);
    if (independent.verdict === "rejected") return independent.refusal.reason;
    if (independent.verdict === "needs") return `${independent.events.join(", ")} missing`;
    const cited = stateOfAuthEvents(rules, pdu, (id) => lookup(id)?.event);
    const states = [cited, ...(before === undefined ? [] : [this.#index.lookup(before)])];
    for (const state of states) {
      const verdict = checkStateDependent(rules, pdu, state);
      if (verdict.verdict === "rejected") return verdict.refusal.reason;
    }
    return undefined;
  }

  #compareCurrent(): void {
    const { room, current, server } = this.#seen;
    const states = room.control.forwardExtremities.flatMap((id) => this.#after.get(id) ?? []);
    if (states.length < room.control.forwardExtremities.length) {
      this.#wrong.push(`${server.name} has forward extremities without a state`);
      return;
    }
    const resolved = this.#resolve(states, room.control.forwardExtremities.join(" "));
    if (resolved !== undefined && this.#textOf(resolved) !== current) {
      this.#wrong.push(`${server.name} has another current state than the core makes of its extremities`);
    }
  }

  #textOf(state: StateMap): string {
    return [...this.#index.idsOf(state)].sort(compareCodePoints).join(" ");
  }
}
