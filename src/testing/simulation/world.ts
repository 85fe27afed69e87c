/** The servers of one run, over the ports of the simulation. */
import { createMemoryStorage } from "../../adapters/memory/storage.js";
import { UsageError } from "../../errors.js";
import { limitsOf } from "../../engine/limits.js";
import type { Limits } from "../../engine/limits.js";
import type { Room } from "../../engine/room.js";
import { createServer } from "../../federation/server.js";
import type { Server } from "../../federation/server.js";
import type { Keys } from "../../ports/keys.js";
import type { Observer } from "../../ports/observer.js";
import type { Random } from "../../ports/random.js";
import type { Storage } from "../../ports/storage.js";
import { roomVersions } from "../../versions/index.js";
import type { RoomVersion } from "../../versions/room-version.js";
import { createKeyRing, rotatingKeys } from "./keys.js";
import type { KeyRing, RotatingKeys } from "./keys.js";
import { VirtualNetwork } from "./network.js";
import { randomPort, seededRandom } from "./random.js";
import type { SeededRandom } from "./random.js";
import { castOf } from "./script.js";
import type { CastServer, SimulationScript } from "./script.js";
import { crashable, slowStorage } from "./storage.js";
import type { CrashableStorage } from "./storage.js";
import { VirtualTime } from "./time.js";
import type { VirtualClock } from "./time.js";
import { Trace } from "./trace.js";

/** What is put between a server and its ports, for runs that have to fail. */
export interface Sabotage {
  readonly keys?: (server: string, keys: Keys) => Keys;
  readonly storage?: (server: string, storage: Storage) => Storage;
}

/** How long a slow disk takes at most, in virtual milliseconds. */
export const SLOWEST_WRITE = 20;

export interface WorldOptions {
  readonly settle: () => Promise<void>;
  readonly trace?: boolean;
  readonly sabotage?: Sabotage;
}

/** An event that a server said it had taken: a call of a user that resolved without a refusal. */
export interface Acknowledged {
  readonly server: string;
  readonly roomId: string;
  readonly eventId: string;
}

/** The most that was seen of what has to stay bounded. */
export interface Peaks {
  extremities: number;
  pending: number;
  conflicts: number;
}

/** One server: its process, its disk, and what was seen of it. */
export class SimulatedServer {
  readonly name: string;
  readonly hostile: boolean;
  readonly users: CastServer["users"];
  /** As it is on the disk. */
  readonly storage: Storage;
  readonly disk: CrashableStorage;
  readonly clock: VirtualClock;
  readonly limits: Limits;
  readonly keys: RotatingKeys;
  readonly peaks: Peaks = { extremities: 0, pending: 0, conflicts: 0 };
  readonly #world: World;
  readonly #random: Random;
  #server: Server;

  constructor(world: World, { name, hostile, users }: CastServer) {
    this.name = name;
    this.hostile = hostile;
    this.users = users;
    this.#world = world;
    this.limits = limitsOf(hostile ? {} : (world.script.limits ?? {}));
    const { ring, script, sabotage } = world;
    const keys = rotatingKeys(name, ring, script.keys);
    this.keys = { ...(sabotage.keys?.(name, keys) ?? keys), rotate: keys.rotate };
    this.storage = createMemoryStorage();
    const storage = sabotage.storage?.(name, this.storage) ?? this.storage;
    const slow = script.disks === "slow" && !hostile;
    const disk = slow
      ? slowStorage(storage, world.time, world.random.fork(`disk of ${name}`), [0, SLOWEST_WRITE], "writes")
      : storage;
    this.disk = crashable(disk, undefined, { server: name, trace: world.trace });
    this.clock = world.time.clock();
    this.#random = randomPort(world.random.fork(`ids of ${name}`));
    this.#server = this.#boot();
  }

  get server(): Server {
    return this.#server;
  }

  get isUp(): boolean {
    return this.disk.generation.lifeline.alive;
  }

  /** Starts another process over the same disk. */
  restart(): void {
    this.disk.plan(undefined);
    this.disk.restart();
    this.#server = this.#boot();
  }

  #boot(): Server {
    const { network } = this.#world;
    const { lifeline } = this.disk.generation;
    network.bringUp(this.name);
    lifeline.onEnd(() => {
      network.takeDown(this.name);
    });
    const server = this.newServer(this.disk.generation.storage);
    this.#world.watch(`start of ${this.name}`, this, () => server.start());
    return server;
  }

  /** A server over a storage; nothing is started. */
  newServer(storage: Storage): Server {
    const { lifeline } = this.disk.generation;
    return createServer({
      server: this.name,
      storage,
      transport: lifeline.guardTransport(this.#world.network.transport(this.name)),
      keys: lifeline.guardKeys(this.keys),
      clock: lifeline.guardClock(this.clock),
      random: this.#random,
      limits: this.limits,
      observer: this.#observer(() => lifeline.alive),
    });
  }

  #observer(isAlive: () => boolean): Observer {
    const { peaks } = this;
    const world = this.#world;
    return {
      ...(world.script.watched ? { onStateChange: () => (world.stateChanges += 1) } : {}),
      onMetric: ({ name, value }) => {
        if (name === "room.extremities") peaks.extremities = Math.max(peaks.extremities, value);
        if (name === "room.pending") peaks.pending = Math.max(peaks.pending, value);
        if (name === "room.commit.conflict") peaks.conflicts += value;
      },
      onFault: ({ where, error }) => {
        if (isAlive() && !this.hostile) world.fault(`${this.name}, ${where}: ${textOf(error)}`);
      },
    };
  }

  room(roomId: string): Promise<Room | undefined> {
    return this.#server.room(roomId);
  }
}

export class World {
  readonly script: SimulationScript;
  readonly version: RoomVersion;
  readonly time: VirtualTime = new VirtualTime();
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly network: VirtualNetwork;
  readonly ring: KeyRing = createKeyRing();
  readonly sabotage: Sabotage;
  readonly servers: ReadonlyMap<string, SimulatedServer>;
  /** Ids of the rooms, in the order in which they came to be. */
  readonly rooms: string[] = [];
  readonly acknowledged: Acknowledged[] = [];
  /** Of {@link acknowledged}, what was sent when nothing stood between servers any more. */
  readonly lastWords: { readonly server: string; readonly roomId: string; readonly eventId: string }[] = [];
  /** What must not happen at any time, whatever the script says. */
  readonly faults: string[] = [];
  readonly outcomes: Map<string, { readonly done: number; readonly refused: number }> = new Map();
  keysWereHidden = false;
  /** Whether a server ACL was ever asked for. */
  wasDenied = false;
  readonly serverAcls: Set<string> = new Set();
  /** Servers, with rooms in which none of their users may say anything any more, be it that they are still there. */
  readonly mute: Set<string> = new Set();
  stateChanges = 0;
  /** Crashes at once; those at a commit are counted by the disk. */
  crashes = 0;
  /** Servers that were in a room once and not at some time after that. */
  readonly #left = new Set<string>();
  readonly #were = new Set<string>();
  readonly #founders = new Set<string>();
  readonly #open = new Map<symbol, { readonly what: string; readonly isAlive: () => boolean }>();
  readonly #settle: () => Promise<void>;

  constructor(script: SimulationScript, options: WorldOptions) {
    const version = roomVersions.get(script.version);
    if (!version.ok) throw new UsageError(`${version.error.reason}: use one of ${roomVersions.ids().join(", ")}`);
    this.script = script;
    this.version = version.value;
    this.#settle = options.settle;
    this.sabotage = options.sabotage ?? {};
    this.random = seededRandom(script.seed);
    this.trace = new Trace(this.time, { on: options.trace === true });
    this.network = new VirtualNetwork(this.time, this.random.fork("network"), { trace: this.trace });
    this.servers = new Map(castOf(script).map((one) => [one.name, new SimulatedServer(this, one)]));
  }

  get honest(): readonly SimulatedServer[] {
    return [...this.servers.values()].filter(({ hostile }) => !hostile);
  }

  get hostile(): SimulatedServer | undefined {
    return [...this.servers.values()].find(({ hostile }) => hostile);
  }

  serverOf(userId: string): SimulatedServer | undefined {
    const server = this.servers.get(userId.slice(userId.indexOf(":") + 1));
    return server?.users.some((user) => user.userId === userId) === true ? server : undefined;
  }

  fault(what: string): void {
    if (this.faults.length < 50) this.faults.push(`at ${this.time.now} ms: ${what}`);
  }

  /** Lets time pass; without a limit, until nothing is left to do. */
  async run(ms: number = Infinity): Promise<void> {
    const report = await this.time.run({
      settle: () => this.#settled(),
      until: this.time.now + ms,
      maxTasks: 200_000,
    });
    if (report.stopped === "max-tasks") this.fault("the servers do not come to rest");
  }

  async #settled(): Promise<void> {
    await this.#settle();
    await this.noteResidents();
  }

  /** What comes of something while no time passes; `undefined` if it has to wait. */
  async glimpse<T>(work: Promise<T>): Promise<T | undefined> {
    const [seen] = await this.#glimpses([work]);
    return seen;
  }

  async #glimpses<T>(works: readonly Promise<T>[]): Promise<readonly (T | undefined)[]> {
    const seen: (T | undefined)[] = works.map(() => undefined);
    works.forEach((work, at) => void work.then((value) => (seen[at] = value)));
    await this.#settle();
    return seen;
  }

  /** Lets time pass until something is done, for a minute at most; `undefined` if it takes longer. */
  async during<T>(work: Promise<T>): Promise<T | undefined> {
    const until = this.time.now + 60_000;
    const seen: { value?: T; ended: boolean } = { ended: false };
    void work.then(
      (value) => Object.assign(seen, { value, ended: true }),
      () => (seen.ended = true),
    );
    await this.#settle();
    while (!seen.ended && this.time.now < until) await this.run(1);
    return seen.value;
  }

  /** Notes who has ceased to be in a room: what is sent to it then never arrives. */
  async noteResidents(): Promise<void> {
    const up = this.honest.filter(({ isUp }) => isUp);
    const places = this.rooms.flatMap((roomId) => up.map((server) => ({ server, roomId })));
    const rooms = await this.#glimpses(places.map(({ server, roomId }) => server.room(roomId)));
    places.forEach(({ server, roomId }, at) => {
      const name = `${server.name} ${roomId}`;
      if (rooms[at]?.isResident === true) this.#were.add(name);
      else if (this.#were.has(name)) this.#left.add(name);
    });
  }

  /** Notes which servers are in the room from its beginning, before anything can go wrong. */
  noteFounders(): void {
    for (const name of this.#were) this.#founders.add(name);
  }

  /** Whether a server was in the room from the beginning and always. */
  founded(server: string, roomId: string): boolean {
    return this.#founders.has(`${server} ${roomId}`) && this.stayed(server, roomId);
  }

  /** Whether a server, once in the room, never left it. */
  stayed(server: string, roomId: string): boolean {
    const name = `${server} ${roomId}`;
    return this.#were.has(name) && !this.#left.has(name);
  }

  /** Does something in a server's process. That it throws is a fault; that its process ends is none. */
  watch<T>(
    what: string,
    server: SimulatedServer,
    work: () => Promise<T>,
    then: (value: T) => void = () => undefined,
  ): void {
    const { lifeline } = server.disk.generation;
    const call = Symbol(what);
    this.#open.set(call, { what, isAlive: () => lifeline.alive });
    lifeline.passPromise(work).then(
      (value) => {
        this.#open.delete(call);
        this.#count(what, value);
        then(value);
      },
      (error: unknown) => {
        this.#open.delete(call);
        this.fault(`${what} threw: ${textOf(error)}`);
      },
    );
  }

  #count(what: string, value: unknown): void {
    if (typeof value !== "object" || value === null || !("ok" in value)) return;
    const [kind = ""] = what.split(" ");
    const { done, refused } = this.outcomes.get(kind) ?? { done: 0, refused: 0 };
    const taken = value.ok === true;
    this.outcomes.set(kind, { done: done + (taken ? 1 : 0), refused: refused + (taken ? 0 : 1) });
  }

  /** Calls that have neither come to an end nor lost their process. */
  get unfinished(): readonly string[] {
    return [...this.#open.values()].filter(({ isAlive }) => isAlive()).map(({ what }) => what);
  }

  acknowledge(server: SimulatedServer, roomId: string, eventId: string): void {
    if (!server.hostile) this.acknowledged.push({ server: server.name, roomId, eventId });
  }

  /** The last of a room's acknowledged events but `back`. */
  eventBack(roomId: string, back: number): string | undefined {
    return this.acknowledged.filter((one) => one.roomId === roomId).at(-1 - back)?.eventId;
  }
}

export function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
