/** What a room shows of itself: its control record, kept up with its memory, and who is told when it moves. */
import type { StateChange } from "../../ports/observer.js";
import { causeOf, differencesOf } from "../cause.js";
import type { Step } from "../cause.js";
import { ControlKeeper } from "../control.js";
import type { Control, Residents } from "../control.js";
import type { Host } from "../host.js";
import type { RoomMemory } from "../memory.js";
import type { Snapshot } from "../snapshot.js";
import { StateView } from "../state-view.js";
import type { RoomUpdate } from "./types.js";

type Listener = (update: RoomUpdate) => void;

export class ControlFeed {
  readonly #host: Host;
  readonly #listeners = new Set<Listener>();
  #keeper: ControlKeeper;
  /** What the control record was last made of. */
  #shown: { readonly snapshot: Snapshot; readonly index: RoomMemory["index"] } | undefined;

  constructor(host: Host, memory: RoomMemory) {
    this.#host = host;
    this.#keeper = keeperOf(host, memory);
  }

  /** The room as it is now. Immutable. */
  get control(): Control {
    return this.#keeper.control;
  }

  get residents(): Residents {
    return this.#keeper.residents;
  }

  /** Whether anybody looks at the steps of the current state. */
  get isWatched(): boolean {
    return this.#listeners.size > 0 || this.#host.observer.onStateChange !== undefined;
  }

  /** Tells `listener` of every change from now on. Returns what ends it. */
  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Moves on to what memory holds now, which `steps` led to, and tells whoever looks. */
  advance(memory: RoomMemory, steps: readonly Step[], events: readonly string[]): void {
    const { record, current, index } = memory;
    if (record === undefined) return;
    const known = this.control.state;
    const state = this.#shown?.snapshot === current ? known : new StateView(index, current);
    const old = this.control;
    const anew = this.#shown?.index !== index;
    if (anew) this.#keeper = keeperOf(this.#host, memory);
    this.#shown = { snapshot: current, index };
    const advanced = this.#keeper.advance(record, state, this.#listeners.size > 0 && !anew);
    const patches = anew && this.#listeners.size > 0 ? this.#keeper.patchesFrom(old) : advanced;
    const changes = steps.flatMap((step) => changeOf(memory, step));
    for (const change of changes) this.#host.observer.onStateChange?.(change);
    if (this.#listeners.size > 0) this.#tell(Object.freeze({ control: this.control, patches, changes, events }));
  }

  #tell(update: RoomUpdate): void {
    for (const listener of this.#listeners) {
      try {
        listener(update);
      } catch (error) {
        this.#host.observer.onFault?.({ where: `subscriber of ${update.control.roomId}`, error });
      }
    }
  }
}

function keeperOf({ server }: Host, { roomId, version, index }: RoomMemory): ControlKeeper {
  return new ControlKeeper(server, roomId, version.id, StateView.empty(index));
}

function changeOf(memory: RoomMemory, step: Step): readonly StateChange[] {
  const differences = differencesOf(memory, step.before, step.after);
  if (differences.length === 0) return [];
  return [{ roomId: memory.roomId, differences, cause: causeOf(memory, step, differences) }];
}
