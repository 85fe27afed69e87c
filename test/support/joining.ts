/**
 * Joining a room of a story at a server that does not have it: what the resident server gives, keys and storages that
 * take their time, and what is left.
 */
import { expect } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { CancelledError } from "../../src/engine/index.js";
import type { JoinedState, Room } from "../../src/engine/index.js";
import type { JsonObject } from "../../src/json/index.js";
import type { Batch, Cancel, Keys, Storage } from "../../src/ports/index.js";
import { keyedHashKeys } from "../../src/testing/simulation/index.js";
import { HERE, roomOf, Story, testServer, visible, withKey } from "./engine.js";
import type { ServerOptions } from "./engine.js";
import { rowsOf } from "./rows.js";
import { tick } from "./servers.js";

export const [ALICE, BOB, CAROL] = ["@alice:a.example", "@bob:b.example", "@carol:c.example"];
export const [ME, YOU] = [`@me:${HERE}`, `@you:${HERE}`];
export const PEER = "peer.example";

/** Alice's room, with Bob, who has named it, Carol, and two users of this server. */
export function story(v: string): Story {
  return new Story(v)
    .open({ users: { [ALICE]: 100, [BOB]: 50 } })
    .member("bob", BOB, "join")
    .state("one", "m.room.name", BOB, { name: "one" })
    .member("carol", CAROL, "join")
    .member("me", ME, "join")
    .member("you", YOU, "join", { prev: ["carol"] });
}

export const STATE = ["create", "join", "levels", "rules", "bob", "one", "carol"];
export const CHAIN = ["create", "join", "levels", "rules", "bob"];

export interface Given {
  /** The name of the join. */
  readonly join?: string;
  readonly state?: readonly string[];
  readonly chain?: readonly string[];
  /** Copies that come in place of the true ones, by name. */
  readonly instead?: Readonly<Record<string, JsonObject>>;
}

export function given(
  told: Story,
  { join = "me", state = STATE, chain = CHAIN, instead = {} }: Given = {},
): JoinedState {
  const copy = (name: string): JsonObject => instead[name] ?? told.json(name);
  return { event: copy(join), state: state.map(copy), authChain: chain.map(copy), origin: PEER };
}

export const without = (names: readonly string[], ...left: readonly string[]): readonly string[] =>
  names.filter((name) => !left.includes(name));

/** A copy whose signatures are those of something else. */
export function unsigned(told: Story, event: JsonObject): JsonObject {
  const signatures = told.signedByAll(withKey(event, "depth", 999_999))["signatures"];
  return withKey(event, "signatures", signatures);
}

/** A storage that notes in `log` what is committed to it. */
export function noting(log: string[], batches: Batch[] = [], storage: Storage = createMemoryStorage()): Storage {
  return {
    ...storage,
    commit: (batch) => {
      log.push("commit");
      batches.push(batch);
      return storage.commit(batch);
    },
  };
}

interface Call {
  readonly answer: () => void;
  readonly fail: (error: Error) => void;
}

/** Keys of which each call of `verify` is answered when the test says so. */
export class SlowKeys {
  readonly log: string[];
  readonly #calls: Call[] = [];
  readonly #keys: Keys;
  #held = false;
  /** Whether a call fails as soon as it is cancelled. */
  heedsCancel = false;

  constructor(told: Story, log: string[] = []) {
    this.#keys = keyedHashKeys(HERE, told.ring);
    this.log = log;
  }

  get keys(): Keys {
    return {
      ...this.#keys,
      verify: async (requests, cancel) => {
        if (this.#held) await this.#answered(cancel);
        return this.#keys.verify(requests, cancel);
      },
    };
  }

  async #answered(cancel: Cancel | undefined): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#calls.push({ answer: resolve, fail: reject });
      cancel?.onAbort(() => {
        if (this.heedsCancel) reject(new CancelledError());
      });
    });
    this.log.push("verified");
  }

  /** How many calls have no answer. */
  get waiting(): number {
    return this.#calls.length;
  }

  /** From now on nobody is answered: a join calls for itself first, and then for its state. */
  hold(): void {
    this.#held = true;
  }

  answerFirst(): void {
    this.#calls.shift()?.answer();
  }

  answerLast(): void {
    this.#calls.pop()?.answer();
  }

  failFirst(): void {
    this.#calls.shift()?.fail(new Error("the verifier is gone"));
  }

  /** Answers all calls, and those to come at once. */
  release(): void {
    this.#held = false;
    while (this.#calls.length > 0) this.answerFirst();
  }
}

export async function serve(told: Story, options: ServerOptions = {}): Promise<Room> {
  return roomOf(testServer({ ring: told.ring, ...options }), told);
}

/** What storage and readers have of a room that was joined with this state. */
export async function joinedWith(told: Story, state: JoinedState): Promise<readonly [rows: unknown, seen: unknown]> {
  const storage = createMemoryStorage();
  const room = await serve(told, { storage });
  expect(await room.importJoin(state)).toMatchObject({ ok: true });
  return [await rowsOf(storage), await visible(room, idsOf(told))];
}

export const idsOf = (told: Story): readonly string[] => told.names.map((name) => told.id(name));
export const nothing: unknown = await rowsOf(createMemoryStorage());

/** Lets whatever is not waiting for the test come to its end. */
export async function turns(count: number = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await tick();
}
