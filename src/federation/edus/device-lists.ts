/**
 * Following the device lists of other servers' users (server-server-api, "Device Management"): an update that builds
 * on what is known is handed on; any other means that something was lost, and the whole list is asked for.
 *
 * What was seen is kept in memory. After a restart the first update of a user costs a request.
 */
import { Cache } from "../../engine/cache.js";
import { Canceller } from "../../engine/cancel.js";
import { refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import { checkLax } from "../../json/check.js";
import { domainOf } from "../../ids/grammar.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationAnswer } from "../../ports/operations.js";
import { backOff } from "../back-off.js";
import { refusedBy } from "../context.js";
import { readDeviceList } from "./device-keys.js";
import type { DeviceList, DeviceUpdate } from "./edu.js";
import type { Read } from "./fields.js";
import type { DeviceListChange, EduHandler } from "./handler.js";
import type { EduLimits } from "./limits.js";
import type { EduContext } from "./module.js";

interface Followed {
  /** Whether the host has everything up to what was seen. */
  current: boolean;
  /** `stream_id`s on which an update may build. */
  readonly seen: Set<number>;
  /** Counts updates that could not be applied. */
  missed: number;
  asking: Promise<Result<DeviceList>> | undefined;
  /** The host is told one thing after the other. */
  told: Promise<unknown>;
}

export class DeviceLists {
  readonly #context: EduContext;
  readonly #handler: EduHandler;
  readonly #limits: EduLimits;
  readonly #followed: Cache<string, Followed>;
  /** By server: users whose lists are to be asked for, and how often that failed. */
  readonly #waiting = new Map<string, Map<string, number>>();
  #stop = new Canceller();

  constructor(context: EduContext, handler: EduHandler, limits: EduLimits) {
    this.#context = context;
    this.#handler = handler;
    this.#limits = limits;
    this.#followed = new Cache(Math.ceil(limits.deviceUsers / 2));
  }

  start(): void {
    if (this.#stop.aborted) this.#stop = new Canceller();
  }

  /** Asks for nothing any more. What was not had is outdated at the next update. */
  stop(): void {
    this.#stop.cancel();
    this.#waiting.clear();
  }

  async update(update: DeviceUpdate): Promise<void> {
    const { userId, streamId, prevIds } = update;
    if (this.#handler.onDeviceLists === undefined || (await this.#handler.wantsDevices?.(userId)) === false) return;
    const followed = this.#follow(userId);
    // An update that builds on none begins a sequence: what was seen before says nothing of it.
    const continues = followed.current && prevIds.length > 0;
    if (continues && followed.seen.has(streamId)) return;
    const builds = continues && prevIds.every((id) => followed.seen.has(id));
    // A list that is on its way would undo an update that it does not include.
    const applies = builds && followed.asking === undefined;
    if (applies && (await this.#tell(followed, { kind: "update", update }))) this.#see(followed, streamId);
    else await this.#miss(followed, userId, streamId);
  }

  /** What is known of the user is not enough any more. */
  async outdated(userId: string): Promise<void> {
    if (this.#handler.onDeviceLists === undefined || (await this.#handler.wantsDevices?.(userId)) === false) return;
    await this.#miss(this.#follow(userId), userId, undefined);
  }

  /** Asks for a list now. Two who ask at the same time get one answer. */
  ask(userId: string, cancel?: Cancel): Promise<Result<DeviceList>> {
    const followed = this.#follow(userId);
    followed.asking ??= this.#ask(followed, userId, cancel).finally(() => {
      followed.asking = undefined;
    });
    return followed.asking;
  }

  #follow(userId: string): Followed {
    const known = this.#followed.get(userId);
    if (known !== undefined) return known;
    const followed: Followed = {
      current: false,
      seen: new Set(),
      missed: 0,
      asking: undefined,
      told: Promise.resolve(),
    };
    this.#followed.set(userId, followed);
    return followed;
  }

  /** Whether the host has taken it. */
  #tell(followed: Followed, change: DeviceListChange): Promise<boolean> {
    const told = followed.told.then(async () => {
      try {
        await this.#handler.onDeviceLists?.(change);
        return true;
      } catch (error) {
        this.#context.host.observer.onFault?.({ where: "edus: onDeviceLists", error });
        return false;
      }
    });
    followed.told = told;
    return told;
  }

  #see({ seen }: Followed, streamId: number): void {
    seen.add(streamId);
    for (const oldest of seen) {
      if (seen.size <= this.#limits.deviceUpdates) break;
      seen.delete(oldest);
    }
  }

  async #miss(followed: Followed, userId: string, streamId: number | undefined): Promise<void> {
    // A server that begins anew may give the same ids again.
    if (followed.current) followed.seen.clear();
    const isFirst = followed.current || followed.missed === 0;
    followed.current = false;
    followed.missed++;
    // The list that is asked for from now on includes it.
    if (streamId !== undefined) this.#see(followed, streamId);
    if (isFirst) await this.#tell(followed, { kind: "outdated", userId });
    this.#await(userId);
  }

  #await(userId: string): void {
    const server = domainOf(userId) ?? "";
    const waiting = this.#waiting.get(server);
    if (waiting !== undefined) {
      // Who does not get a place is outdated, and asked for at the next update.
      if (waiting.size < this.#limits.resyncUsers && !waiting.has(userId)) waiting.set(userId, 0);
      return;
    }
    const users = new Map([[userId, 0]]);
    this.#waiting.set(server, users);
    void this.#work(server, users, this.#stop);
  }

  /** One request at a time to each server, so that nobody is asked for more than they caused. */
  async #work(server: string, users: Map<string, number>, stop: Cancel): Promise<void> {
    let failures = 0;
    for (let [next] = users; next !== undefined && !stop.aborted; [next] = users) {
      const [userId, attempts] = next;
      const followed = this.#follow(userId);
      const had = await this.ask(userId, stop);
      users.delete(userId);
      if (!had.ok && attempts + 1 < this.#limits.resyncAttempts) users.set(userId, attempts + 1);
      // Something came while the list was on its way, which may be older than that.
      if (had.ok && !followed.current) users.set(userId, 0);
      failures = had.ok ? 0 : failures + 1;
      if (had.ok && followed.current) continue;
      if (users.size > 0) await this.#context.host.clock.sleep(backOff(this.#limits, failures), stop);
    }
    if (this.#waiting.get(server) === users) this.#waiting.delete(server);
  }

  async #ask(followed: Followed, userId: string, cancel: Cancel | undefined): Promise<Result<DeviceList>> {
    const { missed } = followed;
    const server = domainOf(userId) ?? "";
    const answer = await this.#context.host.transport.request(server, "user_devices", { userId }, cancel);
    if (!answer.ok) return refusedBy(server, answer.error);
    const list = this.#read(answer.value, userId, server);
    if (!list.ok) return refuse("refused_by_peer", `${server}: ${list.error.reason}`);
    if (!(await this.#tell(followed, { kind: "list", list: list.value }))) {
      return refuse("undecided", "the host did not take the list");
    }
    this.#see(followed, list.value.streamId);
    followed.current ||= followed.missed === missed;
    return { ok: true, value: list.value };
  }

  #read(value: OperationAnswer<"user_devices">, userId: string, server: string): Read<DeviceList> {
    const { eduBytes, entries } = this.#limits;
    const json = {
      user_id: value.userId,
      stream_id: value.streamId,
      devices: value.devices,
      master_key: value.masterKey ?? null,
      self_signing_key: value.selfSigningKey ?? null,
    };
    // An answer may hold as much as an EDU for each device.
    const checked = checkLax(json, { maxValues: eduBytes });
    if (!checked.ok) return { ok: false, error: { code: "bad_format", reason: checked.error.reason } };
    return readDeviceList(json, userId, server, entries);
  }
}
