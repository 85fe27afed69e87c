/** A key ring: this server's keys, and those of others, learnt by asking. */
import { rememberingProvider } from "../../crypto/ed25519-provider.js";
import { UsageError } from "../../errors.js";
import { Cache } from "../../engine/cache.js";
import { withDeadline } from "../../engine/cancel.js";
import { attachSignature, signedBytes } from "../../event/sign.js";
import type { VerifyKey } from "../../event/signatures.js";
import { isServerName } from "../../ids/grammar.js";
import type { JsonObject } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { Clock } from "../../ports/clock.js";
import type { KeyRequest, Keys, OwnSignature, VerifyRequest } from "../../ports/keys.js";
import type { Observer } from "../../ports/observer.js";
import type { OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Transport } from "../../ports/transport.js";
import { answer, fail } from "../context.js";
import { afterAnswer, afterFailure, Coalescer, Gate, isPausing, orCancelled } from "./asking.js";
import type { Pause } from "./asking.js";
import { checkServerKeys, isEd25519KeyId, sameBytes } from "./check.js";
import type { ServerKeys } from "./check.js";
import { isSettled, isUsableForRequests, mergeKeys } from "./held.js";
import type { HeldKeys, KeySource } from "./held.js";
import { keyLimitsOf } from "./limits.js";
import type { KeyLimits } from "./limits.js";
import { NotaryLine } from "./notaries.js";
import type { Notary, Wants } from "./notaries.js";
import { checkOwnKeys, serverKeys, signatureBy } from "./publication.js";
import type { OwnKeys } from "./publication.js";
import type { KeyPublisher } from "./publisher.js";
import { needsAsking, readQuery } from "./query.js";
import { fromStored, toStored } from "./store.js";
import type { KeyStore } from "./store.js";

export interface KeyRingOptions {
  /** This server's name. */
  readonly server: string;
  readonly own: OwnKeys;
  /** Carries the two operations for keys. */
  readonly transport: Pick<Transport, "request">;
  readonly clock: Clock;
  /** Servers that are asked for the keys of others, one after the other. None by default. */
  readonly notaries?: readonly Notary[];
  /**
   * Who is asked first. By default the server itself: its own word needs no third party's, and notaries are for
   * those who cannot be reached. Notaries first spares small servers the requests of a large room, and does not
   * show them who asks; a notary that lies is then believed until the server is asked.
   */
  readonly askFirst?: "server" | "notaries";
  /** What outlives the process; without it, keys are fetched again after a restart. */
  readonly store?: KeyStore;
  /** Ed25519 in the host's hands; by default the library's own. */
  readonly verify?: Keys["verify"];
  /** Makes this server one that rooms can name as their policy server. Its key is not published. */
  readonly signPolicy?: NonNullable<Keys["signPolicy"]>;
  readonly observer?: Pick<Observer, "onFault">;
  readonly limits?: Partial<KeyLimits>;
}

/** {@link Keys} of a server that learns others' by asking, and publishes what it has. See {@link createKeyRing}. */
export interface KeyRing extends Keys, Required<KeyPublisher> {
  sign(message: Uint8Array, cancel?: Cancel): Promise<OwnSignature>;
  lookup(requests: readonly KeyRequest[], cancel?: Cancel): Promise<readonly (VerifyKey | undefined)[]>;
  /**
   * Signs with other keys from now on.
   * @throws UsageError if what the keys in use signed could not be verified any more: they go to the old ones.
   */
  rotate(own: OwnKeys): void;
}

/** What is known of a server, and when it may be asked. */
interface Known {
  held: HeldKeys | undefined;
  server?: Pause;
  notaries?: Pause;
}

/** Its signatures are no proof of who sent an event, and its key is in the room's state. */
const POLICY_SERVER_KEY = "ed25519:policy_server";

class Ring implements KeyRing {
  readonly signPolicy?: NonNullable<Keys["signPolicy"]>;
  readonly #options: KeyRingOptions;
  readonly #limits: KeyLimits;
  readonly #verify: Keys["verify"];
  readonly #notaries: readonly { readonly server: string; readonly line: NotaryLine }[];
  readonly #known: Cache<string, Known>;
  /** Those that somebody works on: they stay what they are although the cache forgets them. */
  readonly #pinned = new Map<string, { readonly known: Known; users: number }>();
  readonly #loading = new Coalescer<Known>();
  readonly #jobs = new Coalescer<void>();
  readonly #asking = new Coalescer<unknown>();
  readonly #gate: Gate;
  readonly #queryGate: Gate;
  readonly #wanted = new Map<string, Map<string, number>>();
  /** Answers with this server's signature as a notary, by the answer without. */
  #countersigned = new WeakMap<JsonObject, JsonObject>();
  #own: OwnKeys;
  #published: { readonly json: JsonObject; readonly validUntilTs: number } | undefined;

  constructor(options: KeyRingOptions) {
    this.#options = options;
    this.#limits = keyLimitsOf(options.limits);
    this.#own = checkOwnKeys(options.own);
    if (options.signPolicy !== undefined) this.signPolicy = options.signPolicy;
    const provider = rememberingProvider();
    this.#verify =
      options.verify ??
      ((requests: readonly VerifyRequest[]): readonly boolean[] =>
        requests.map(({ key, message, signature }) => provider.verify(signature, message, key)));
    this.#known = new Cache(this.#limits.servers);
    this.#gate = new Gate(this.#limits.parallel);
    this.#queryGate = new Gate(this.#limits.queryParallel, this.#limits.queryWaiting);
    for (const name of [options.server, ...(options.notaries ?? []).map(({ server }) => server)]) {
      if (!isServerName(name)) throw new UsageError(`${name} is no server name`);
    }
    this.#notaries = (options.notaries ?? [])
      .filter(({ server }) => server !== options.server)
      .map((notary) => ({ server: notary.server, line: this.#lineTo(notary) }));
  }

  // ---- this server's keys ---------------------------------------------------------------------------------

  async sign(message: Uint8Array, cancel?: Cancel): Promise<OwnSignature> {
    const [key] = this.#own.current;
    return { keyId: key.keyId, signature: await signatureBy(key, message, cancel) };
  }

  async verify(requests: readonly VerifyRequest[], cancel?: Cancel): Promise<readonly boolean[]> {
    return this.#verify(requests, cancel);
  }

  rotate(own: OwnKeys): void {
    const next = checkOwnKeys(own);
    const listed = new Map([...next.current, ...(next.old ?? [])].map(({ keyId, key }) => [keyId, key]));
    for (const { keyId, key } of [...this.#own.current, ...(this.#own.old ?? [])]) {
      const now = listed.get(keyId);
      if (now !== undefined && !sameBytes(now, key)) {
        throw new UsageError(`${keyId} stood for another key: give the new one its own version`);
      }
    }
    const lost = this.#own.current.find(({ keyId }) => !listed.has(keyId));
    if (lost !== undefined) throw new UsageError(`${lost.keyId} was in use: list it among the old keys`);
    this.#own = next;
    this.#published = undefined;
    this.#countersigned = new WeakMap();
  }

  async publish(cancel?: Cancel): Promise<JsonObject> {
    const { publishFor } = this.#limits;
    const now = this.#options.clock.now();
    const left = (this.#published?.validUntilTs ?? 0) - now;
    if (this.#published !== undefined && left >= publishFor / 2 && left <= publishFor) return this.#published.json;
    const own = this.#own;
    const validUntilTs = now + publishFor;
    const json = await serverKeys({ server: this.#options.server, own, validUntilTs, cancel });
    if (this.#own === own) this.#published = { json, validUntilTs };
    return json;
  }

  #ownKey(keyId: string): VerifyKey | undefined {
    const current = this.#own.current.find((one) => one.keyId === keyId);
    if (current !== undefined) return { key: current.key.slice() };
    const old = this.#own.old?.find((one) => one.keyId === keyId);
    return old && { key: old.key.slice(), expiredTs: old.expiredTs };
  }

  // ---- others' keys ---------------------------------------------------------------------------------------

  async lookup(requests: readonly KeyRequest[], cancel?: Cancel): Promise<readonly (VerifyKey | undefined)[]> {
    const wanted = this.#wantsOf(requests);
    const found = new Map<string, HeldKeys | undefined>();
    const open: [string, Wants][] = [];
    for (const [server, wants] of wanted) {
      const known = this.#known.get(server);
      found.set(server, known?.held);
      if (known === undefined || !this.#areSettled(known, wants)) open.push([server, wants]);
    }
    if (open.length > 0) {
      await withDeadline(this.#options.clock, this.#limits.lookupTime, cancel, (inner) =>
        Promise.all(
          open.map(async ([server, wants]) => {
            found.set(server, await this.#learn(server, wants, inner));
          }),
        ),
      );
    }
    return requests.map(({ server, keyId }) => {
      if (server === this.#options.server) return this.#ownKey(keyId);
      const key = found.get(server)?.keys.get(keyId);
      return key && verifyKeyOf(key);
    });
  }

  heardFrom(server: string): void {
    const known = this.#known.get(server);
    if (known?.server === undefined || known.server.failures === 0) return;
    known.server = { until: this.#options.clock.now(), failures: known.server.failures };
  }

  /** By server, the keys of others that could be had, each with the latest time for which it is wanted. */
  #wantsOf(requests: readonly KeyRequest[]): ReadonlyMap<string, Wants> {
    const wanted = new Map<string, Map<string, number>>();
    for (const { server, keyId, validAt } of requests) {
      if (server === this.#options.server || !isServerName(server, "historical")) continue;
      const wants = wanted.get(server) ?? new Map<string, number>();
      wanted.set(server, wants);
      if (isEd25519KeyId(keyId) && keyId !== POLICY_SERVER_KEY) want(wants, keyId, validAt);
    }
    return wanted;
  }

  #areSettled({ held }: Known, wants: Wants): boolean {
    const now = this.#options.clock.now();
    return [...wants].every(([keyId, at]) => isSettled(held, keyId, at, now));
  }

  /** What is known of a server after those were asked who may be asked now. */
  async #learn(server: string, wants: Wants, cancel: Cancel): Promise<HeldKeys | undefined> {
    return this.#pinning(server, cancel, async (known) => {
      if (this.#areSettled(known, wants)) return known.held;
      const all = this.#wanted.get(server) ?? new Map<string, number>();
      this.#wanted.set(server, all);
      for (const [keyId, at] of wants) want(all, keyId, at);
      await this.#jobs.run(server, cancel, async (inner) => {
        try {
          await this.#ask(server, known, all, inner);
        } finally {
          if (this.#wanted.get(server) === all) this.#wanted.delete(server);
        }
      });
      return known.held;
    });
  }

  async #ask(server: string, known: Known, wants: Wants, cancel: Cancel): Promise<void> {
    const began = this.#options.clock.now();
    const open = (): Wants => {
      const now = this.#options.clock.now();
      const { held } = known;
      // What the server itself has just said of a key, nobody knows better.
      const isAnswered = (keyId: string): boolean =>
        held?.answer !== undefined && held.answer.fetchedTs >= began && held.keys.has(keyId);
      return new Map([...wants].filter(([keyId, at]) => !isSettled(held, keyId, at, now) && !isAnswered(keyId)));
    };
    const steps = [
      (): Promise<void> => this.#askServer(server, known, this.#gate, cancel),
      (): Promise<void> => this.#askNotaries(server, known, open, cancel),
    ];
    for (const step of this.#options.askFirst === "notaries" ? steps.reverse() : steps) {
      if (!cancel.aborted && open().size > 0) await step();
    }
  }

  /** Asks a server for its own keys, unless it was asked just now. */
  async #askServer(server: string, known: Known, gate: Gate, cancel: Cancel): Promise<void> {
    const { clock } = this.#options;
    if (isPausing(known.server, clock.now(), this.#limits)) return;
    await this.#asking.run(server, cancel, (inner) =>
      gate.pass(inner, async () => {
        const result = await this.#request(server, "server_keys", {}, inner);
        if (inner.aborted) return;
        const believed =
          result.ok &&
          (await this.#guarded(`the answer of ${server}`, () => this.#believe(known, server, result.value.keys))) ===
            true;
        known.server = believed
          ? afterAnswer(clock.now(), this.#limits)
          : afterFailure(known.server, clock.now(), this.#limits);
      }),
    );
  }

  async #believe(known: Known, server: string, keys: unknown): Promise<boolean> {
    const { clock } = this.#options;
    const how = { server, fetchedTs: clock.now(), verify: this.#verify, limits: this.#limits };
    const checked = await checkServerKeys(keys, how);
    return checked.ok && (await this.#adopt(known, checked.value, "server"));
  }

  async #askNotaries(server: string, known: Known, open: () => Wants, cancel: Cancel): Promise<void> {
    const { clock } = this.#options;
    if (isPausing(known.notaries, clock.now(), this.#limits)) return;
    let learnt = false;
    for (const { server: notary, line } of this.#notaries) {
      const wants = open();
      if (wants.size === 0 || cancel.aborted) break;
      if (notary === server) continue;
      for (const one of await line.ask(server, wants, cancel)) {
        learnt = (await this.#adopt(known, one, "notary")) || learnt;
      }
    }
    if (cancel.aborted || this.#notaries.length === 0) return;
    known.notaries = learnt
      ? afterAnswer(clock.now(), this.#limits)
      : afterFailure(known.notaries, clock.now(), this.#limits);
  }

  #lineTo({ server, keys }: Notary): NotaryLine {
    const { clock } = this.#options;
    const pinned = keys && new Map(Object.entries(keys).map(([keyId, key]) => [keyId, key.slice()]));
    return new NotaryLine(server, {
      clock,
      verify: this.#verify,
      limits: this.#limits,
      onFault: (error) => this.#fault(`the notary ${server}`, error),
      ask: (request, cancel) => this.#request(server, "query_keys", request, cancel),
      keys: async (renewed, cancel) => {
        if (pinned !== undefined) return pinned;
        // A notary's own keys come from itself: they are what its word about others rests on.
        const found = await this.#pinning(server, cancel, async (known) => {
          const before = requestKeysOf(known, clock.now());
          if (before.size > 0 && !renewed) return before;
          await this.#askServer(server, known, this.#gate, cancel);
          return requestKeysOf(known, clock.now());
        });
        return found ?? new Map<string, Uint8Array>();
      },
    });
  }

  // ---- as a notary ----------------------------------------------------------------------------------------

  /**
   * The last good answers of the servers that are named, each signed by this server too. Servers that cannot be
   * reached and of which nothing is known are left out. A notary vouches for what it heard itself: it asks the
   * servers and no other notary.
   */
  async query(request: OperationRequest<"query_keys">, cancel?: Cancel): Promise<OperationResult<"query_keys">> {
    const query = readQuery(request, this.#limits.queryServers);
    if (!query.ok) return query;
    const found = await withDeadline(this.#options.clock, this.#limits.lookupTime, cancel, (inner) =>
      Promise.all([...query.value].map(([server, criteria]) => this.#answerFor(server, criteria, inner))),
    );
    if (cancel?.aborted === true) return fail("cancelled", "the query was cancelled");
    return answer<"query_keys">({ serverKeys: found.filter((one) => one !== undefined) });
  }

  async #answerFor(
    server: string,
    criteria: ReadonlyMap<string, number | undefined>,
    cancel: Cancel,
  ): Promise<JsonObject | undefined> {
    if (server === this.#options.server) return this.publish(cancel);
    if (!isServerName(server)) return undefined;
    const { clock } = this.#options;
    const json = await this.#pinning(server, cancel, async (known) => {
      if (needsAsking(known.held, criteria, clock.now())) {
        await this.#askServer(server, known, this.#queryGate, cancel);
      }
      return known.held?.answer?.json;
    });
    return json && this.#countersign(json, cancel);
  }

  async #countersign(json: JsonObject, cancel: Cancel): Promise<JsonObject> {
    const known = this.#countersigned.get(json);
    if (known !== undefined) return known;
    const memory = this.#countersigned;
    const made = await this.sign(signedBytes(json), cancel);
    const signed = attachSignature(json, { server: this.#options.server, ...made });
    memory.set(json, signed);
    return signed;
  }

  // ---- what is kept ---------------------------------------------------------------------------------------

  /** What is known of a server, from the store if need be; `undefined` when `cancel` fires first. */
  async #load(server: string, cancel: Cancel): Promise<Known | undefined> {
    const known = this.#pinned.get(server)?.known ?? this.#known.get(server);
    if (known !== undefined) return known;
    return this.#loading.run(server, cancel, async () => {
      const stored = await this.#guarded(`the keys of ${server} in the store`, async () => {
        const found = await this.#options.store?.get(server);
        return found?.server === server ? fromStored(found) : undefined;
      });
      const read: Known = { held: stored };
      this.#known.set(server, read);
      return read;
    });
  }

  /** Works on what is known of a server; `undefined` when `cancel` fires before that is at hand. */
  async #pinning<T>(server: string, cancel: Cancel, work: (known: Known) => Promise<T>): Promise<T | undefined> {
    const known = await this.#load(server, cancel);
    if (known === undefined) return undefined;
    const pin = this.#pinned.get(server) ?? { known, users: 0 };
    this.#pinned.set(server, pin);
    pin.users++;
    try {
      return await work(pin.known);
    } finally {
      if (--pin.users === 0) this.#pinned.delete(server);
    }
  }

  async #adopt(known: Known, keys: ServerKeys, from: KeySource): Promise<boolean> {
    const { server } = keys;
    const now = this.#options.clock.now();
    const merged = mergeKeys(known.held, keys, { from, now, maxKeys: this.#limits.keysPerServer });
    if (!merged.ok) {
      this.#fault(`keys of ${server}`, `${merged.contradicted} came with other bytes; the answer is not believed`);
      return false;
    }
    for (const keyId of merged.replaced) this.#fault(`keys of ${server}`, `${keyId} stands for another key now`);
    known.held = merged.held;
    this.#known.set(server, known);
    await this.#guarded(`the keys of ${server} in the store`, async () => {
      await this.#options.store?.put(toStored(merged.held));
    });
    return true;
  }

  /** A request with a deadline, whether or not the transport heeds it. What goes wrong is a failure like any other. */
  async #request<N extends OperationName>(
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel: Cancel,
  ): Promise<OperationResult<N>> {
    const { clock, transport } = this.#options;
    const ms = this.#limits.requestTime;
    const result = await withDeadline(clock, ms, cancel, (inner) =>
      orCancelled(
        this.#guarded(`${name} of ${destination}`, () => transport.request(destination, name, request, inner)),
        inner,
      ),
    );
    const value: unknown = result?.ok === true ? result.value : {};
    if (typeof value !== "object" || value === null) return fail("internal", "the answer is no object");
    return result ?? fail(cancel.aborted ? "cancelled" : "timeout", `no answer of ${destination}`);
  }

  /** A port that fails is told of, and costs what it would have given. */
  async #guarded<T>(where: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      this.#fault(where, error);
      return undefined;
    }
  }

  #fault(where: string, error: unknown): void {
    try {
      this.#options.observer?.onFault?.({ where, error: typeof error === "string" ? new Error(error) : error });
    } catch {
      // Nobody is left to be told.
    }
  }
}

/**
 * Keys that are learnt by asking: caches, one request at a time for each server, pauses after failures, notaries
 * for who cannot be reached, and this server's own keys for those who ask. It is the Keys port of a server and
 * what it publishes, in one:
 *
 * ```ts
 * const ring = createKeyRing({ server, own: { current: [keyFromSeed({ keyId, seed })] }, transport, clock });
 * createServer({ server, keys: ring, publishes: ring, transport, clock, ...otherPorts });
 * ```
 * @throws UsageError for names, keys or limits that cannot be used.
 */
export function createKeyRing(options: KeyRingOptions): KeyRing {
  return new Ring(options);
}

function want(wants: Map<string, number>, keyId: string, at: number): void {
  wants.set(keyId, Math.max(wants.get(keyId) ?? Number.NEGATIVE_INFINITY, Number.isNaN(at) ? 0 : at));
}

/** Bytes can be changed by whoever holds them. */
function verifyKeyOf({ key, validUntilTs, fetchedTs, expiredTs }: VerifyKey): VerifyKey {
  return {
    key: key.slice(),
    ...(validUntilTs === undefined ? {} : { validUntilTs }),
    ...(fetchedTs === undefined ? {} : { fetchedTs }),
    ...(expiredTs === undefined ? {} : { expiredTs }),
  };
}

/** The keys by which a server may vouch for something now. */
function requestKeysOf(known: Known | undefined, now: number): ReadonlyMap<string, Uint8Array> {
  const usable = [...(known?.held?.keys ?? [])].filter(([, key]) => isUsableForRequests(key, now));
  return new Map(usable.map(([keyId, { key }]) => [keyId, key]));
}
