/** One place where every call of a storage passes. */
import type { Awaitable } from "../../ports/cancel.js";
import type { Storage } from "../../ports/storage.js";

export type StorageMethod = keyof Storage;

/** What is done instead of a call; `perform` makes it. */
export type AroundCall = <T>(method: StorageMethod, perform: () => Awaitable<T>) => Awaitable<T>;

export function aroundStorage(storage: Storage, around: AroundCall): Storage {
  const roomsWith = storage.roomsWith?.bind(storage);
  return Object.freeze<Storage>({
    ...(roomsWith && { roomsWith: (...call) => around("roomsWith", () => roomsWith(...call)) }),
    roomIds: (...call) => around("roomIds", () => storage.roomIds(...call)),
    openRoom: (...call) => around("openRoom", () => storage.openRoom(...call)),
    readEvents: (...call) => around("readEvents", () => storage.readEvents(...call)),
    readTimeline: (...call) => around("readTimeline", () => storage.readTimeline(...call)),
    readStateGroups: (...call) => around("readStateGroups", () => storage.readStateGroups(...call)),
    changesSince: (...call) => around("changesSince", () => storage.changesSince(...call)),
    commit: (...call) => around("commit", () => storage.commit(...call)),
    outboxDestinations: (...call) => around("outboxDestinations", () => storage.outboxDestinations(...call)),
    readOutbox: (...call) => around("readOutbox", () => storage.readOutbox(...call)),
    settleOutbox: (...call) => around("settleOutbox", () => storage.settleOutbox(...call)),
    lease: (...call) => around("lease", () => storage.lease(...call)),
    readTransaction: (...call) => around("readTransaction", () => storage.readTransaction(...call)),
    recordTransaction: (...call) => around("recordTransaction", () => storage.recordTransaction(...call)),
    readOutside: (...call) => around("readOutside", () => storage.readOutside(...call)),
    putOutside: (...call) => around("putOutside", () => storage.putOutside(...call)),
    removeOutside: (...call) => around("removeOutside", () => storage.removeOutside(...call)),
    readIntents: (...call) => around("readIntents", () => storage.readIntents(...call)),
    putIntent: (...call) => around("putIntent", () => storage.putIntent(...call)),
    removeIntents: (...call) => around("removeIntents", () => storage.removeIntents(...call)),
  });
}
