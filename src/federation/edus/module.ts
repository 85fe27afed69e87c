/** How the optional module for EDUs hangs together with a server: types that either side may import. */
import type { Host } from "../../engine/host.js";
import type { Rooms } from "../../engine/rooms.js";
import type { Result } from "../../errors.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OperationRequest, OperationResult } from "../../ports/operations.js";
import type { DeviceList, DeviceUpdate, Presence, ReadReceipt, SigningKeys, ToDevice, Typing } from "./edu.js";
import type { EduLimits } from "./limits.js";

/** What the module needs of its server. */
export interface EduContext {
  readonly host: Host;
  readonly rooms: Rooms;
  /** There is something to send. */
  readonly kick: (destinations: readonly string[]) => void;
}

/** EDUs for one transaction. */
export interface EduBatch {
  readonly edus: readonly JsonValue[];
  /** Those that stay queued until they are settled. */
  readonly reliable: readonly string[];
}

/** What waits for other servers. The outbox takes from here when it makes a transaction. */
export interface EduQueues {
  destinations(): readonly string[];
  /** What is to go next; empty where nothing waits. What may be lost is queued no more. */
  take(destination: string): EduBatch;
  /** It arrived. */
  settle(destination: string, batch: EduBatch): Promise<void>;
  /** The destination does not answer: what may be lost is, until it does or until the pause is over. */
  suspend(destination: string): void;
  release(destination: string): void;
}

/** Where something is to go; without it, to every server that shares a room with the user. */
export interface Destinations {
  readonly destinations?: readonly string[];
  readonly cancel?: Cancel | undefined;
}

/**
 * Tells other servers about users of this one. Each call answers with the servers that are told.
 *
 * Typing, receipts and presence wait in memory, the latest in place of those before, and are lost when a server does
 * not answer. Messages to devices and updates of devices and keys are stored (as intents) until they have
 * arrived. Looking for the servers that share a room with a user opens every room: give `destinations` if you know
 * them.
 *
 * @throws UsageError for users of other servers, and for what would be no valid EDU.
 */
export interface EduSender {
  typing(typing: Typing, cancel?: Cancel): Promise<Result<readonly string[]>>;
  /** Not for private receipts: those stay on the user's server. `ts` is now where it is left out. */
  receipt(
    receipt: Omit<ReadReceipt, "ts"> & { readonly ts?: number },
    cancel?: Cancel,
  ): Promise<Result<readonly string[]>>;
  presence(
    presence: Omit<Presence, "currentlyActive"> & { readonly currentlyActive?: boolean } & Destinations,
  ): Promise<Result<readonly string[]>>;
  /** To users of other servers, each server its part. Without a `messageId` a random one is used. */
  toDevice(
    message: Omit<ToDevice, "messageId"> & { readonly messageId?: string; readonly cancel?: Cancel | undefined },
  ): Promise<Result<readonly string[]>>;
  /**
   * `streamId` and `prevIds` are the host's, as is the list that the user's `streamId` stands for in answers to who
   * asks for all devices.
   */
  deviceListUpdate(
    update: Omit<DeviceUpdate, "prevIds" | "deleted"> &
      Partial<Pick<DeviceUpdate, "prevIds" | "deleted">> &
      Destinations,
  ): Promise<Result<readonly string[]>>;
  signingKeys(keys: SigningKeys & Destinations): Promise<Result<readonly string[]>>;
  /** Asks a user's server for all devices, tells the handler, and follows the updates from there. */
  deviceList(userId: string, cancel?: Cancel): Promise<Result<DeviceList>>;
}

/** The module at work in one server. */
export interface EduModule {
  readonly limits: EduLimits;
  readonly sender: EduSender;
  readonly queues: EduQueues;
  /** Rejects when the host could not take what must not be lost: the transaction is then to be sent again. */
  receive(origin: string, edus: readonly JsonValue[]): Promise<void>;
  serveDevices(
    origin: string,
    request: OperationRequest<"user_devices">,
    cancel?: Cancel,
  ): Promise<OperationResult<"user_devices">>;
  start(): Promise<void>;
  stop(): void;
}

/** Made by `createEdus`, to be given to `createServer`. */
export interface Edus {
  attach(context: EduContext): EduModule;
}

/** An EDU as it travels. */
export interface EduJson extends JsonObject {
  readonly edu_type: string;
  readonly content: JsonObject;
}
