/** What is looked at when a run is over. */
import type { Room } from "../../engine/room.js";
import type { StoredEvent } from "../../ports/storage.js";
import type { SimulatedServer } from "./world.js";

/** A room as one server has it. */
export interface Seen {
  readonly server: SimulatedServer;
  readonly room: Room;
  readonly rows: ReadonlyMap<string, StoredEvent>;
  /** Ids of what it was told and cannot decide yet. */
  readonly undecided: ReadonlySet<string>;
  /** Ids of the current state, sorted, as one text. */
  readonly current: string;
  /** Ids of a state, sorted, as one text, by the number of its group. */
  readonly states: ReadonlyMap<number, string>;
}
