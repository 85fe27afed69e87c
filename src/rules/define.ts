/** Builds frozen rules records. A version is written as its base and what its page changes. */
import type { AuthRules, FormatRules, RoomVersionRules, SigningRules } from "./model.js";

/** The changes of a room version against its base; nested groups are merged key by key. */
export interface RuleChanges {
  readonly format?: Partial<FormatRules>;
  readonly redaction?: RoomVersionRules["redaction"];
  readonly signing?: Partial<SigningRules>;
  readonly auth?: Partial<AuthRules>;
  readonly stateResolution?: RoomVersionRules["stateResolution"];
  readonly content?: RoomVersionRules["content"];
  readonly tombstoneAboveStateDefault?: boolean;
}

/** A new rules record: `base` with `changes`, under the identifier `id`. Deeply frozen. */
export function deriveRules(base: RoomVersionRules, id: string, changes: RuleChanges): RoomVersionRules {
  return freezeDeep({
    ...base,
    ...changes,
    id,
    format: { ...base.format, ...changes.format },
    signing: { ...base.signing, ...changes.signing },
    auth: { ...base.auth, ...changes.auth },
  });
}

/** Freezes a record and everything in it; rules are small and shallow. */
export function freezeDeep<T extends object>(record: T): T {
  for (const value of Object.values(record)) {
    if (typeof value === "object" && value !== null && !Object.isFrozen(value)) freezeDeep(value as object);
  }
  return Object.freeze(record);
}
