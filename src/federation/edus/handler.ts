/** What a host does with EDUs. */
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type {
  DeviceList,
  DeviceUpdate,
  EduRefusal,
  Presence,
  ReadReceipt,
  SigningKeys,
  ToDevice,
  Typing,
} from "./edu.js";

/** What became of the device list of a user of another server. */
export type DeviceListChange =
  /** One device changed; everything before is known. */
  | { readonly kind: "update"; readonly update: DeviceUpdate }
  /** Updates were lost: what is known of the user's devices is not to be relied on until a `list` comes. */
  | { readonly kind: "outdated"; readonly userId: string }
  /** All devices, in place of what was known. */
  | { readonly kind: "list"; readonly list: DeviceList };

/**
 * Told what other servers say about their own users; what does not hold does not reach it. Whatever has no method
 * here is ignored. Calls for what one server sent come one after the other, and so do those about one user's devices.
 *
 * A method that throws has not taken what it was told. `onToDevice` is told again: the transaction is not
 * acknowledged, and the other server sends it once more, so let it throw when its database is gone and not because
 * of what a message holds. After `onDeviceLists` and `onSigningKeys` the user's whole list is asked for. Of typing,
 * receipts and presence the loss is reported to the Observer and accepted.
 */
export interface EduHandler {
  /** Called for changes: also when nothing was heard for long of somebody who had been typing. */
  onTyping?(typing: Typing): Awaitable<void>;
  onReceipt?(receipt: ReadReceipt): Awaitable<void>;
  onPresence?(presence: Presence): Awaitable<void>;
  onDeviceLists?(change: DeviceListChange): Awaitable<void>;
  /** Messages to users of this server; store them before this resolves. */
  onToDevice?(message: ToDevice): Awaitable<void>;
  onSigningKeys?(keys: SigningKeys): Awaitable<void>;
  /** Whether the devices of a user of another server matter here. Without this, everybody's do. */
  wantsDevices?(userId: string): Awaitable<boolean>;
  /** The devices of a user of this server, for another that asks; `undefined` where there is no such user. */
  devicesOf?(userId: string, cancel?: Cancel): Awaitable<DeviceList | undefined>;
  /** For diagnosis: an EDU, or an entry of one, that went no further. */
  onIgnored?(ignored: { readonly origin: string; readonly refusal: EduRefusal }): void;
}

/**
 * Messages to devices that were taken, so that one that comes again is known. It may forget old ones. Kept in the
 * database that the messages go to, duplicates are recognised after a restart too.
 */
export interface ToDeviceStore {
  has(sender: string, messageId: string): Awaitable<boolean>;
  /** Called after the host has taken the message. */
  add(sender: string, messageId: string): Awaitable<void>;
}
