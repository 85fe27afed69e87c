/** What the demonstration plays on: servers over the ports in memory, time that is moved, and a network that splits. */
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createSeededRandom,
} from "../adapters/memory/index.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import type { Room, RoomUpdate } from "../engine/index.js";
import type { Result } from "../errors.js";
import { createServer } from "../federation/index.js";
import type { Server } from "../federation/index.js";
import { compareCodePoints } from "../json/compare.js";
import { encodeCanonical } from "../json/canonical.js";
import { utf8Encode } from "../json/utf8.js";
import type { JsonValue } from "../json/value.js";
import type { StateChange, Storage } from "../ports/index.js";
import { Failure } from "./failure.js";

/** Noon of the first of January 2025. */
const START = Date.UTC(2025, 0, 1, 12);
/** What passes between two things that people do. */
const MINUTE = 60_000;

/** A server of the demonstration, called by the first label of its name. */
export interface Player {
  readonly name: string;
  readonly server: Server;
  readonly storage: Storage;
}

/** A change of the current state at one server. */
export interface SeenChange {
  readonly player: Player;
  readonly change: StateChange;
}

/** What one server has of the room. */
export interface Figures {
  readonly server: string;
  /** Every event it keeps, whatever it decided about it. */
  readonly events: number;
  readonly softFailed: number;
  readonly rejected: number;
  readonly extremities: number;
  readonly stateEntries: number;
  /** Hashes of the event ids with what readers are shown, and of the current state. */
  readonly eventsHash: string;
  readonly stateHash: string;
}

export class Stage {
  readonly #network = createMemoryNetwork();
  readonly #clock = createManualClock(START);
  readonly #directory = createKeyDirectory();
  readonly #players: Player[] = [];
  readonly #seen: SeenChange[] = [];
  #isSplit = false;

  get players(): readonly Player[] {
    return this.#players;
  }

  async addServer(name: string): Promise<Player> {
    const server = `${name}.example`;
    const random = createSeededRandom(server);
    const storage = createMemoryStorage();
    const keys = createMemoryKeys({ server, keyId: "ed25519:demo", seed: random.bytes(32) }, this.#directory);
    const transport = this.#network.transport(server);
    const player: Player = {
      name,
      storage,
      server: createServer({ server, storage, transport, keys, clock: this.#clock, random }),
    };
    await player.server.start();
    this.#players.push(player);
    return player;
  }

  /** Notes from now on what changes the room's current state at this server. */
  watch(player: Player, room: Room): void {
    room.subscribe(({ changes }: RoomUpdate) => {
      for (const change of changes) this.#seen.push({ player, change });
    });
  }

  /** What was noted since the last call. */
  takeChanges(): readonly SeenChange[] {
    return this.#seen.splice(0);
  }

  /** One thing that somebody does, and all that follows from it at every server that hears of it. */
  async act<T>(work: () => Promise<Result<T>>): Promise<T> {
    this.#clock.advance(MINUTE);
    const result = await work();
    if (!result.ok) throw new Failure(`the demonstration cannot go on: ${result.error.reason}`);
    await this.settle();
    return result.value;
  }

  /** Waits until nothing is under way. While the network is split, what cannot be delivered is let wait. */
  async settle(): Promise<void> {
    await quiet();
    while (!this.#isSplit && this.#players.some(({ server }) => server.isDelivering)) {
      this.#clock.advance(this.#clock.untilNext() ?? 0);
      await quiet();
    }
  }

  split(left: readonly Player[], right: readonly Player[]): void {
    this.#isSplit = true;
    this.#eachWire(left, right, (from, to) => {
      this.#network.block(from, to);
    });
  }

  heal(left: readonly Player[], right: readonly Player[]): Promise<void> {
    this.#isSplit = false;
    this.#eachWire(left, right, (from, to) => {
      this.#network.unblock(from, to);
    });
    return this.settle();
  }

  #eachWire(left: readonly Player[], right: readonly Player[], visit: (from: string, to: string) => void): void {
    for (const here of left) {
      for (const there of right) {
        visit(here.server.host.server, there.server.host.server);
        visit(there.server.host.server, here.server.host.server);
      }
    }
  }

  stop(): void {
    for (const { server } of this.#players) server.stop();
  }
}

/** All that goes on without time passing ends before the next turn of the event loop. */
function quiet(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What a server has, counted from its storage and not from what it says. */
export async function figuresOf({ name, server, storage }: Player, roomId: string): Promise<Figures> {
  const room = await server.room(roomId);
  const stored = await storage.changesSince(roomId, 0);
  if (room === undefined || stored === undefined) throw new Failure(`${name} has lost the room`);
  const { control } = room;
  const shown: [string, JsonValue][] = [];
  for (const { eventId } of stored.events) {
    const view = await room.event(eventId);
    if (view !== undefined) shown.push([eventId, view.shown]);
  }
  shown.sort(([a], [b]) => compareCodePoints(a, b));
  const entries = control.state.events().map(({ type, stateKey = "", eventId }) => [type, stateKey, eventId] as const);
  entries.sort((a, b) => compareCodePoints(a[0], b[0]) || compareCodePoints(a[1], b[1]));
  const standing = (wanted: string): number =>
    stored.events.filter(({ verdict }) => verdict.standing === wanted).length;
  return {
    server: name,
    events: stored.events.length,
    softFailed: standing("soft-failed"),
    rejected: standing("rejected"),
    extremities: control.forwardExtremities.length,
    stateEntries: entries.length,
    eventsHash: shortHash(shown),
    stateHash: shortHash(entries),
  };
}

function shortHash(value: JsonValue): string {
  return encodeUnpadded(sha256(utf8Encode(encodeCanonical(value))), "url-safe").slice(0, 12);
}
