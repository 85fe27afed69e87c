/** What laws are, and how one is tried on generated cases until it fails. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { canonicalText } from "./canonical-text.js";
import { roomVersions } from "../versions/index.js";
import type { RoomVersionRegistry } from "../versions/registry.js";

/** How a law is tried. */
export interface LawOptions {
  /** How many cases, for each room version where the law is about one. Default 50. */
  readonly runs?: number;
  /** Seed of the generator; a failure names the one that it was found with. Default: another one each time. */
  readonly seed?: number;
  /** Identifiers of the room versions to try. Default: all that the registry has and the law is about. */
  readonly versions?: readonly string[];
  /** Where room versions are looked up. Default: every version of the spec, and I.1. */
  readonly registry?: RoomVersionRegistry;
}

/**
 * Something that holds of every right implementation. `run` resolves where it held in every case and
 * rejects with a {@link LawViolation} otherwise. Any test runner takes `it(law.name, () => law.run())`. What a
 * runner passes to a test is ignored, so plain JavaScript may hand over `law.run` itself; TypeScript sees
 * that a test's context is no {@link LawOptions}.
 */
export interface Law {
  readonly name: string;
  readonly run: (options?: LawOptions) => Promise<void>;
}

/** A law that does not hold; the message holds the smallest case found, the seed, and what went wrong. */
export class LawViolation extends Error {
  override readonly name = "LawViolation";
  /** The law's name. */
  readonly law: string;
  /** The room version, for a law that is about one. */
  readonly version: string | undefined;
  /** Pass it as `seed` to find the violation again. */
  readonly seed: number;
  /** The smallest case found, as what was asked of the implementation. */
  readonly counterexample: unknown;

  constructor(found: {
    law: string;
    version?: string | undefined;
    seed: number;
    counterexample: unknown;
    reason: string;
  }) {
    const where = found.version === undefined ? "" : ` (room version ${found.version})`;
    const replay = `seed: ${found.seed}
counterexample: ${canonicalText(found.counterexample)}`;
    super(`${found.law}${where}: ${found.reason}
${replay}`);
    this.law = found.law;
    this.version = found.version;
    this.seed = found.seed;
    this.counterexample = found.counterexample;
  }
}

/** Thrown by a case that does not hold. */
class Broken extends Error {
  readonly evidence: unknown;
  constructor(reason: string, evidence: unknown) {
    super(reason);
    this.evidence = evidence;
  }
}

/** Ends a case with the sentence and the evidence that a violation shows. */
export function broken(reason: string, evidence: unknown): never {
  throw new Broken(reason, evidence);
}

/** Asks the implementation; what it throws becomes a violation about `evidence`. */
export async function ask<T>(question: () => T | Promise<T>, evidence: unknown): Promise<T> {
  try {
    return await question();
  } catch (error) {
    return broken(`it threw ${describe(error)}`, evidence);
  }
}

export function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : canonicalText(error);
}

/** A law about each room version: cases by version (none where the law is not about it) and what holds of each. */
export function versionLaw<T>(
  name: string,
  cases: (version: string, registry: RoomVersionRegistry) => Arbitrary<T> | undefined,
  holds: (sample: T) => Promise<void>,
): Law {
  return {
    name,
    run: async (options = {}) => {
      const { registry = roomVersions } = options;
      for (const version of options.versions ?? registry.ids()) {
        const arbitrary = cases(version, registry);
        if (arbitrary !== undefined) await tryLaw(name, version, arbitrary, holds, options);
      }
    },
  };
}

/** A law that is about no room version. `atMost` bounds the runs of one whose cases are few and slow. */
export function plainLaw<T>(
  name: string,
  cases: Arbitrary<T>,
  holds: (sample: T) => Promise<void>,
  atMost: number = Infinity,
): Law {
  return { name, run: (options = {}) => tryLaw(name, undefined, cases, holds, options, atMost) };
}

async function tryLaw<T>(
  law: string,
  version: string | undefined,
  cases: Arbitrary<T>,
  holds: (sample: T) => Promise<void>,
  options: LawOptions,
  atMost: number = Infinity,
): Promise<void> {
  // A runner's own context may come in as `options`: only numbers count.
  const numRuns = Math.min(atMost, typeof options.runs === "number" ? options.runs : 50);
  const mark = markOf(`${law} ${version ?? ""}`);
  const seed = typeof options.seed === "number" ? { seed: options.seed ^ mark } : {};
  const details = await fc.check(fc.asyncProperty(cases, holds), { numRuns, ...seed });
  if (!details.failed) return;
  const error = details.errorInstance;
  const reason = error instanceof Broken ? error.message : `the case could not be made: ${describe(error)}`;
  const counterexample = error instanceof Broken ? error.evidence : details.counterexample;
  throw new LawViolation({ law, version, seed: details.seed ^ mark, counterexample, reason });
}

/** Sets laws and versions apart: with one seed for all of them, all would try the same few cases. */
function markOf(text: string): number {
  let mark = 0;
  for (const character of text) mark = (Math.imul(mark, 31) + (character.codePointAt(0) ?? 0)) | 0;
  return mark;
}

/** `list` in another order that `salt` chooses; 0 turns it round. */
export function shuffle<T>(list: readonly T[], salt: number): T[] {
  const copy = [...list];
  if (salt === 0) return copy.reverse();
  let seed = salt >>> 0;
  for (let left = copy.length; left > 1; left--) {
    seed = (Math.imul(seed ^ (seed >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    const [taken] = copy.splice(seed % left, 1);
    if (taken !== undefined) copy.push(taken);
  }
  return copy;
}

/** Salts of {@link shuffle}. */
export const salts: Arbitrary<number> = fc.nat(0xffff);

/** A copy of JSON data with the keys of every object in another order. */
export function shuffleKeys<T>(value: T, salt: number): T {
  return reordered(value, salt) as T;
}

function reordered(value: unknown, salt: number): unknown {
  if (Array.isArray(value)) return value.map((entry: unknown) => reordered(entry, salt));
  if (typeof value !== "object" || value === null) return value;
  const entries = shuffle(Object.entries(value), salt).map(([key, entry]) => [key, reordered(entry, salt)] as const);
  return Object.fromEntries(entries);
}
