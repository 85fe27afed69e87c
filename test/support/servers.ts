/**
 * Servers for the tests of federation: each over its own storage, on one network in memory, with real Ed25519
 * keys, one clock that stands still until it is moved, and a record of every request.
 */
import { afterEach, expect } from "vitest";
import {
  createKeyDirectory,
  createManualClock,
  createMemoryKeys,
  createMemoryNetwork,
  createMemoryStorage,
  createRecordingObserver,
  createSeededRandom,
} from "../../src/adapters/memory/index.js";
import type { KeyDirectory, ManualClock, MemoryNetwork, RecordingObserver } from "../../src/adapters/memory/index.js";
import type { HostOptions, Limits, Room } from "../../src/engine/index.js";
import type { Result } from "../../src/errors.js";
import { contentHashMatches } from "../../src/event/hashes.js";
import { readPdu } from "../../src/event/format.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../../src/event/sign.js";
import type { Pdu } from "../../src/event/index.js";
import { createServer, errorsOf, operationTable } from "../../src/federation/index.js";
import type { Server } from "../../src/federation/index.js";
import { sign } from "../../src/crypto/ed25519.js";
import type { JsonObject, JsonValue } from "../../src/json/index.js";
import type {
  Cancel,
  Identity,
  OperationName,
  OperationRequest,
  OperationResult,
  Policy,
  Random,
  Receiver,
  Storage,
  Transport,
} from "../../src/ports/index.js";
import { crashable } from "../../src/testing/simulation/index.js";
import type { CrashableStorage } from "../../src/testing/simulation/index.js";
import { testKeyOf } from "../../src/testing/keys.js";
import { versionOf } from "./engine.js";

/** A request as it left a server, and the answer once there was one. */
export interface Call {
  readonly from: string;
  readonly to: string;
  readonly name: OperationName;
  readonly request: unknown;
  answer?: unknown;
}

/** May answer in place of the network, or change what it answers. */
export type Interceptor = (
  call: Call,
  proceed: () => Promise<OperationResult<OperationName>>,
) => Promise<OperationResult<OperationName>> | undefined;

export interface NodeOptions {
  readonly policy?: Policy;
  readonly identity?: Identity;
  readonly limits?: Partial<Limits>;
  readonly storage?: Storage;
  readonly random?: Random;
  /** Changes the ports before the server is made. */
  readonly ports?: (ports: HostOptions) => HostOptions;
}

/** One server of a world. `server` is replaced when it starts again. */
export interface Node {
  readonly name: string;
  readonly storage: Storage;
  readonly random: Random;
  readonly options: NodeOptions;
  observer: RecordingObserver;
  server: Server;
}

/** A server over a storage that crashes. */
export interface Crashing {
  readonly node: Node;
  readonly crash: CrashableStorage;
  /** Starts it again over what it had written. */
  readonly rise: () => Promise<void>;
}

export class World {
  readonly network: MemoryNetwork = createMemoryNetwork();
  readonly clock: ManualClock = createManualClock(1_700_000_000_000);
  readonly directory: KeyDirectory = createKeyDirectory();
  readonly calls: Call[] = [];
  readonly #nodes = new Map<string, Node>();
  #interceptor: Interceptor | undefined;

  // ---- servers ------------------------------------------------------------------------------------------

  /** `a.example` for the name `a`. */
  async add(name: string, options: NodeOptions = {}): Promise<Node> {
    const node = this.build(name, options);
    this.#nodes.set(node.name, node);
    await node.server.start();
    return node;
  }

  /** A server that nobody has started and that this world does not count in. */
  build(name: string, options: NodeOptions = {}): Node {
    const full = nameOf(name);
    const storage = options.storage ?? createMemoryStorage();
    const random = options.random ?? createSeededRandom(full);
    const observer = createRecordingObserver();
    const ports = this.#ports(full, { storage, random, observer, options });
    return { name: full, storage, random, options, observer, server: createServer(ports) };
  }

  #ports(
    name: string,
    { storage, random, observer, options }: Pick<Node, "storage" | "random" | "observer" | "options">,
  ): HostOptions {
    const { policy, identity, limits, ports } = options;
    const made: HostOptions = {
      server: name,
      storage,
      random,
      observer,
      clock: this.clock,
      keys: createMemoryKeys(testKeyOf(name), this.directory),
      transport: this.transport(name),
      ...(policy === undefined ? {} : { policy }),
      ...(identity === undefined ? {} : { identity }),
      ...(limits === undefined ? {} : { limits }),
    };
    return ports === undefined ? made : ports(made);
  }

  /** The same server, as after a restart: only its storage is left. */
  async restart(name: string): Promise<Node> {
    const node = this.node(name);
    node.server.stop();
    await tick();
    node.observer = createRecordingObserver();
    node.server = createServer(this.#ports(node.name, node));
    await node.server.start();
    return node;
  }

  /** A server whose process may crash at any write: set a plan, and `rise` when it did. */
  async crashing(name: string, options: NodeOptions = {}): Promise<Crashing> {
    const disk = options.storage ?? createMemoryStorage();
    const crash = crashable(disk);
    const ports = (given: HostOptions): HostOptions => {
      const { lifeline, storage } = crash.generation;
      return {
        ...given,
        storage,
        transport: lifeline.guardTransport(given.transport),
        clock: lifeline.guardClock(given.clock),
        keys: lifeline.guardKeys(given.keys),
        observer: lifeline.guardObserver(given.observer ?? {}),
      };
    };
    const node = await this.add(name, { ...options, storage: disk, ports });
    return {
      node,
      crash,
      rise: async () => {
        crash.plan(undefined);
        crash.restart();
        await this.restart(name);
      },
    };
  }

  /** A server that is played by the test: it has keys, and answers what `receiver` says. */
  peer(name: string, receiver: Partial<PeerAnswers>): Transport {
    const full = nameOf(name);
    this.#played.add(full);
    createMemoryKeys(testKeyOf(full), this.directory);
    const transport = this.transport(full);
    transport.listen(peerReceiver(receiver));
    return transport;
  }

  node(name: string): Node {
    const node = this.#nodes.get(nameOf(name));
    if (node === undefined) throw new Error(`there is no server ${name}`);
    return node;
  }

  server(name: string): Server {
    return this.node(name).server;
  }

  // ---- the network --------------------------------------------------------------------------------------

  /** Changes what requests are answered, until it is replaced. */
  intercept(interceptor: Interceptor | undefined): void {
    this.#interceptor = interceptor;
  }

  /** What a server listens with, without a wire between. */
  receiver(name: string): Receiver {
    const receiver = this.#receivers.get(nameOf(name));
    if (receiver === undefined) throw new Error(`${name} does not listen`);
    return receiver;
  }
  readonly #receivers = new Map<string, Receiver>();
  readonly #played = new Set<string>();

  /** What a server sends goes through the record. */
  transport(name: string): Transport {
    const inner = this.network.transport(name);
    return {
      listen: (receiver) => {
        const listening = this.#played.has(name) ? receiver : watched(receiver);
        this.#receivers.set(name, listening);
        return inner.listen(listening);
      },
      request: async <N extends OperationName>(
        to: string,
        operation: N,
        request: OperationRequest<N>,
        cancel?: Cancel,
      ): Promise<OperationResult<N>> => {
        const call: Call = { from: name, to, name: operation, request };
        this.calls.push(call);
        const proceed = (): Promise<OperationResult<N>> => inner.request(to, operation, request, cancel);
        const answer = (await (this.#interceptor?.(call, proceed) ?? proceed())) as OperationResult<N>;
        call.answer = answer;
        return answer;
      },
    };
  }

  callsOf(...names: readonly OperationName[]): readonly Call[] {
    return this.calls.filter((call) => names.includes(call.name));
  }

  /** Asks a server as another one would. */
  ask<N extends OperationName>(
    from: string,
    to: string,
    name: N,
    request: OperationRequest<N>,
  ): Promise<OperationResult<N>> {
    return this.network.transport(nameOf(from)).request(nameOf(to), name, request);
  }

  cut(a: string, b: string): void {
    this.network.block(nameOf(a), nameOf(b));
    this.network.block(nameOf(b), nameOf(a));
  }

  heal(a: string, b: string): void {
    this.network.unblock(nameOf(a), nameOf(b));
    this.network.unblock(nameOf(b), nameOf(a));
  }

  // ---- time ---------------------------------------------------------------------------------------------

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    await tick();
  }

  /** Lets time pass until nothing is on its way any more, or nothing but what waits longer than `within`. */
  async deliver(within: number = 60 * 60 * 1000): Promise<void> {
    const end = this.clock.now() + within;
    for (;;) {
      await tick();
      const next = this.clock.untilNext();
      const busy = [...this.#nodes.values()].some(({ server }) => server.isDelivering);
      if (!busy) return;
      if (next === undefined || this.clock.now() + next > end) return;
      this.clock.advance(next);
    }
  }

  /** Lets `ms` milliseconds pass, with everything that happens in them. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    for (;;) {
      await tick();
      const next = this.clock.untilNext();
      if (next === undefined || this.clock.now() + next > end) break;
      this.clock.advance(next);
    }
    this.clock.advance(end - this.clock.now());
    await tick();
  }

  // ---- rooms --------------------------------------------------------------------------------------------

  async room(name: string, roomId: string): Promise<Room> {
    const room = await this.server(name).room(roomId);
    if (room === undefined) throw new Error(`${name} has no room ${roomId}`);
    return room;
  }

  /** A public room of the first server's `user`, joined by a user of each other server. */
  async shared(version: string, ...names: readonly string[]): Promise<string> {
    const [first = "a", ...others] = names;
    const room = await done(
      this.server(first).create({ version, creator: userOf(first), preset: "public", name: "shared" }),
    );
    for (const name of others) {
      await done(this.server(name).join({ roomId: room.roomId, userId: userOf(name), via: [nameOf(first)] }));
      await this.deliver();
    }
    return room.roomId;
  }

  /** Sends text as the room's version has it. */
  async say(name: string, roomId: string, text: string, userId: string = userOf(name)): Promise<Result<Pdu>> {
    const extensible = (await this.room(name, roomId)).version.rules.content === "extensible";
    return this.server(name).send({ roomId, userId, ...messageOf(text, extensible) });
  }

  /** What two servers have to agree on: the current state and the ends of the graph. */
  async view(
    name: string,
    roomId: string,
  ): Promise<{ readonly state: readonly string[]; readonly ends: readonly string[] }> {
    const room = await this.room(name, roomId);
    return { state: [...room.current.ids()].sort(), ends: [...room.control.forwardExtremities].sort() };
  }

  async membership(name: string, roomId: string, userId: string): Promise<string> {
    return (await this.room(name, roomId)).current.membership(userId);
  }

  faults(): readonly unknown[] {
    return [...this.#nodes.values()].flatMap(({ observer }) => observer.faults());
  }
}

/** A world with these servers, all started. */
export async function worldOf(...names: readonly string[]): Promise<World> {
  const world = new World();
  for (const name of names) await world.add(name);
  return world;
}

export function nameOf(name: string): string {
  return name.includes(".") ? name : `${name}.example`;
}

/** The one user that every server has. */
export function userOf(name: string, localpart: string = "user"): string {
  return `@${localpart}:${nameOf(name)}`;
}

/** Every microtask that is due, and every one that those make due. */
export function tick(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export function messageOf(text: string, extensible: boolean): { readonly type: string; readonly content: JsonObject } {
  return extensible
    ? { type: "m.message", content: { "m.text": [{ body: text }] } }
    : { type: "m.room.message", content: { msgtype: "m.text", body: text } };
}

/** The value, or the refusal thrown. */
export async function done<T>(result: Promise<Result<T>> | Result<T>): Promise<T> {
  const settled = await result;
  if (settled.ok) return settled.value;
  throw new Error(`${settled.error.code}: ${settled.error.reason}`);
}

/** The code of a refusal, or `ok`. */
export async function codeOf<T>(
  result: Promise<
    { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: { readonly code: string } }
  >,
): Promise<string> {
  const settled = await result;
  return settled.ok ? "ok" : settled.error.code;
}

/** An event of any server, hashed and signed by its test key. */
export function signedBy(version: string, server: string, event: JsonObject): JsonObject {
  return cosignedBy(version, server, hashEvent(event));
}

/** One more signature, by a server's test key. */
export function cosignedBy(version: string, server: string, event: JsonObject): JsonObject {
  const { keyId, seed } = testKeyOf(nameOf(server));
  const signature = sign(eventSignedBytes(versionOf(version).rules, event), seed);
  return attachSignature(event, { server: nameOf(server), keyId, signature });
}

export function pduOf(version: string, event: JsonValue): Pdu {
  const pdu = readPdu(versionOf(version).rules, event, { counts: "tolerated" });
  if (!pdu.ok) throw new Error(pdu.error.reason);
  return pdu.value;
}

/** Servers whose signatures an event carries, sorted, if its content hash holds. */
export function signersOf(event: JsonObject): readonly string[] {
  if (!contentHashMatches(event)) return [];
  return Object.keys((event["signatures"] ?? {}) as JsonObject).sort();
}

// ---- errors that operations list ---------------------------------------------------------------------------

const unlisted = new Set<string>();

/** Remembers each error that an operation answers and does not list. */
function watched(receiver: Receiver): Receiver {
  return async (origin, name, request, cancel) => {
    const result = await receiver(origin, name, request, cancel);
    const listed = Object.hasOwn(operationTable, name) ? errorsOf(name) : ["unrecognized"];
    if (!result.ok && !listed.includes(result.error.code)) unlisted.add(`${name} answered ${result.error.code}`);
    return result;
  };
}

afterEach(() => {
  const found = [...unlisted];
  unlisted.clear();
  expect(found).toEqual([]);
});

// ---- servers that the test plays --------------------------------------------------------------------------

/** What a played server answers; whatever it has no entry for is `not_found`. */
export type PeerAnswers = {
  readonly [N in OperationName]: (request: OperationRequest<N>, origin: string) => unknown;
};

function peerReceiver(answers: Partial<PeerAnswers>): Receiver {
  return async <N extends OperationName>(origin: string, name: N, request: OperationRequest<N>) => {
    const answer = answers[name];
    await Promise.resolve();
    if (answer === undefined) return { ok: false, error: { code: "not_found", reason: `no ${name} here` } };
    const made = await answer(request, origin);
    return (isFailure(made) ? made : { ok: true, value: made }) as OperationResult<N>;
  };
}

function isFailure(value: unknown): boolean {
  return typeof value === "object" && value !== null && "ok" in value;
}

/** An answer that refuses. */
export function refusal(code: string, reason: string = "no"): unknown {
  return { ok: false, error: { code, reason } };
}
