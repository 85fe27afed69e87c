/** Which room versions a host supports. Immutable, unordered, open. */
import { UsageError, refuse, ok } from "../errors.js";
import type { Result } from "../errors.js";
import { parseRoomVersion } from "../ids/grammar.js";
import type { RoomVersion } from "./room-version.js";

/** Room versions by identifier. */
export interface RoomVersionRegistry {
  /** The room version, or a refusal with code `unknown_room_version`. */
  get(id: string): Result<RoomVersion>;
  /** Whether the room version is here. */
  has(id: string): boolean;
  /** Identifiers in no meaningful order: room versions are opaque and cannot be compared. */
  ids(): readonly string[];
  /**
   * A registry with more versions.
   * @throws UsageError when an identifier is malformed or taken: a room version never changes its meaning.
   */
  with(...versions: readonly RoomVersion[]): RoomVersionRegistry;
}

/** A registry of exactly these versions. */
export function createRegistry(versions: readonly RoomVersion[]): RoomVersionRegistry {
  const known = new Map<string, RoomVersion>();
  for (const version of versions) {
    if (!parseRoomVersion(version.id).ok)
      throw new UsageError(`${JSON.stringify(version.id)} is no room version identifier`);
    if (known.has(version.id))
      throw new UsageError(`room version ${version.id} is registered already: choose another identifier`);
    known.set(version.id, version);
  }
  return Object.freeze({
    get(id: string): Result<RoomVersion> {
      const version = known.get(id);
      return version === undefined
        ? refuse("unknown_room_version", `room version ${JSON.stringify(id)} is not registered`)
        : ok(version);
    },
    has: (id: string) => known.has(id),
    ids: () => [...known.keys()],
    with: (...more: readonly RoomVersion[]) => createRegistry([...known.values(), ...more]),
  });
}
