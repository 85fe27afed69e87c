/**
 * What a state group changes, as text: a number for each key of the state and one for each event, which the database
 * gives to names once for each room. A change of one key takes some ten bytes so, and a member who renames themselves
 * adds no name to what is known.
 */
import type { StateEntry } from "../../ports/storage.js";
import { damaged } from "./row.js";

/** A key of a state, escaped. */
export interface StateKey {
  readonly type: string;
  readonly stateKey: string;
}

/** Instead of an event where a key is taken away; names are numbered from 1. */
const REMOVED = 0;

/** Pairs of a key and an event, all separated by spaces. */
export function encodeDelta(
  delta: readonly StateEntry[],
  numberOfKey: (type: string, stateKey: string) => number,
  numberOfEvent: (eventId: string) => number,
): string {
  const numbers: number[] = [];
  for (const [type, stateKey, eventId] of delta) {
    numbers.push(numberOfKey(type, stateKey), eventId === undefined ? REMOVED : numberOfEvent(eventId));
  }
  return numbers.join(" ");
}

/** The pairs of a delta: a key, and an event or `undefined`. */
export function readDelta(text: string): readonly (readonly [key: number, event: number | undefined])[] {
  if (text === "") return [];
  const numbers = text.split(" ").map(Number);
  if (numbers.length % 2 !== 0 || !numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) {
    throw damaged("a state group is no list of pairs of numbers");
  }
  const pairs: (readonly [number, number | undefined])[] = [];
  for (let at = 0; at < numbers.length; at += 2) {
    const [key = 0, event = REMOVED] = numbers.slice(at, at + 2);
    pairs.push([key, event === REMOVED ? undefined : event]);
  }
  return pairs;
}

export function decodeDelta(
  text: string,
  keys: ReadonlyMap<number, StateKey>,
  events: ReadonlyMap<number, string>,
): readonly StateEntry[] {
  return readDelta(text).map(([key, event]): StateEntry => {
    const name = keys.get(key);
    const eventId = event === undefined ? undefined : events.get(event);
    if (name === undefined || (event !== undefined && eventId === undefined)) {
      throw damaged("a state group names what has no name");
    }
    return [name.type, name.stateKey, eventId];
  });
}
