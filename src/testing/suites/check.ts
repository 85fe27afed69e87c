/** What the checks of a port are, and how they say that something is not as it should be. */
import { JsonFloat } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";

/**
 * A promise that a port makes. `run` resolves where it is kept and rejects with a {@link PortViolation}
 * otherwise. Any test runner takes `it(check.name, check.run)`.
 */
export interface PortCheck {
  readonly name: string;
  readonly run: () => Promise<void>;
}

/** A promise that a port does not keep. */
export class PortViolation extends Error {
  override readonly name = "PortViolation";
  /** The name of the check. */
  readonly check: string;
  constructor(check: string, reason: string, cause?: unknown) {
    super(`${check}: ${reason}`, cause === undefined ? undefined : { cause });
    this.check = check;
  }
}

/** Thrown inside a check, which adds its name. */
class Unkept extends Error {}

/** Ends a check with what is wrong. */
export function unkept(reason: string): never {
  throw new Unkept(reason);
}

export function portCheck(name: string, body: () => Promise<void>): PortCheck {
  const run = async (): Promise<void> => {
    try {
      await body();
    } catch (error) {
      if (error instanceof Unkept) throw new PortViolation(name, error.message);
      const text = error instanceof Error ? `${error.name}: ${error.message}` : show(error);
      throw new PortViolation(name, `it threw ${text}`, error);
    }
  };
  return Object.freeze({ name, run });
}

export function expectTrue(holds: boolean, reason: string): void {
  if (!holds) unkept(reason);
}

/** Whether two plain values are equal. An absent key and one that is `undefined` are the same. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const found = firstDifference(actual, expected, "");
  if (found === undefined) return;
  const { path, mine, theirs } = found;
  unkept(`${what}${path === "" ? "" : ` at \`${path}\``}: expected ${show(theirs)}, got ${show(mine)}`);
}

/** The same entries, in whatever order. */
export function expectSameSet(actual: readonly unknown[], expected: readonly unknown[], what: string): void {
  const left = [...actual];
  for (const wanted of expected) {
    const at = left.findIndex((entry) => isEqual(entry, wanted));
    if (at < 0) unkept(`${what}: expected ${show(wanted)} among ${show(actual)}`);
    left.splice(at, 1);
  }
  if (left.length > 0) unkept(`${what}: ${show(left[0])} should not be there`);
}

export function isEqual(left: unknown, right: unknown): boolean {
  return firstDifference(left, right, "") === undefined;
}

interface Difference {
  readonly path: string;
  readonly mine: unknown;
  readonly theirs: unknown;
}

/** Where two plain values differ first. It recurses: what is compared was made by the suites. */
function firstDifference(mine: unknown, theirs: unknown, path: string): Difference | undefined {
  if (Object.is(mine, theirs)) return undefined;
  const different = { path, mine, theirs };
  if (typeof mine !== "object" || typeof theirs !== "object" || mine === null || theirs === null) return different;
  const leaf = sameLeaf(mine, theirs);
  if (leaf !== undefined) return leaf ? undefined : different;
  if (Array.isArray(mine) !== Array.isArray(theirs)) return different;
  const [left, right] = [entriesOf(mine), entriesOf(theirs)];
  if (left.size !== right.size) return different;
  for (const [key, value] of left) {
    if (!right.has(key)) return different;
    const found = firstDifference(value, right.get(key), path === "" ? key : `${path}.${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether two floats or two arrays of bytes are equal; `undefined` where neither value is either. */
function sameLeaf(mine: object, theirs: object): boolean | undefined {
  if (mine instanceof JsonFloat || theirs instanceof JsonFloat) {
    return mine instanceof JsonFloat && theirs instanceof JsonFloat && Object.is(mine.value, theirs.value);
  }
  if (mine instanceof Uint8Array || theirs instanceof Uint8Array) {
    return mine instanceof Uint8Array && theirs instanceof Uint8Array && sameBytes(mine, theirs);
  }
  return undefined;
}

function entriesOf(value: object): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(value).filter(([, entry]) => Array.isArray(value) || entry !== undefined));
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

const LONGEST = 400;

/** A value for a message, cut where it gets long. */
export function show(value: unknown): string {
  const text =
    value === undefined
      ? "undefined"
      : (JSON.stringify(value, (_, entry: unknown) => {
          if (typeof entry === "bigint") return `${entry}n`;
          if (entry instanceof Uint8Array) return bytesText(entry);
          return typeof entry === "function" || typeof entry === "symbol" ? `<${typeof entry}>` : entry;
        }) as string | undefined);
  if (text === undefined) return `<${typeof value}>`;
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function bytesText(bytes: Uint8Array): string {
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `<${bytes.length} bytes ${start}${bytes.length > 8 ? "…" : ""}>`;
}

/** Freezes plain data with all that is in it, to show who writes where they should not. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value) && !(value instanceof Uint8Array)) {
    Object.freeze(value);
    for (const entry of Object.values(value)) deepFreeze(entry);
  }
  return value;
}

/** A {@link Cancel} to be fired, which counts who listens. */
export interface TestCancel extends Cancel {
  readonly fire: () => void;
  readonly listeners: () => number;
}

export function testCancel(): TestCancel {
  const heard = new Set<() => void>();
  let aborted = false;
  return {
    get aborted(): boolean {
      return aborted;
    },
    onAbort: (listener) => {
      if (aborted) {
        listener();
        return () => undefined;
      }
      const own = (): void => listener();
      heard.add(own);
      return () => void heard.delete(own);
    },
    fire: () => {
      aborted = true;
      const told = [...heard];
      heard.clear();
      for (const listener of told) listener();
    },
    listeners: () => heard.size,
  };
}

/** Lets everything run that waits for nothing. */
export async function flush(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

/** What a promise came to once everything ran that waits for nothing. */
export async function stateOf(promise: Promise<unknown>): Promise<"waiting" | "resolved" | "rejected"> {
  let state: "waiting" | "resolved" | "rejected" = "waiting";
  promise.then(
    () => (state = "resolved"),
    () => (state = "rejected"),
  );
  await flush();
  return state;
}

/** Casts what a port gave out to something that a careless caller would write to. */
export function writable<T>(list: readonly T[]): T[] {
  return list as T[];
}
