/** The rooms of one server. */
import { UsageError } from "../errors.js";
import type { Result } from "../errors.js";
import { draftEvent } from "../event/build.js";
import { readPdu } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import { attachSignature, eventSignedBytes, hashEvent } from "../event/sign.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { domainOf } from "../ids/grammar.js";
import type { JsonObject } from "../json/value.js";
import type { Cancel } from "../ports/cancel.js";
import type { RoomVersion } from "../versions/room-version.js";
import { planCreation } from "./create.js";
import type { CreateRoomOptions } from "./create.js";
import type { Host } from "./host.js";
import { Room } from "./room.js";
import type { EmitOptions } from "./room/types.js";
import type { Additions } from "./workspace.js";

/** Opens rooms, each once, and makes new ones. */
export class Rooms {
  readonly host: Host;
  readonly #onOutbox: (destinations: readonly string[]) => void;
  readonly #rooms = new Map<string, Promise<Room | undefined>>();
  /** Ids of rooms that are being made. */
  readonly #making = new Set<string>();

  constructor(host: Host, onOutbox: (destinations: readonly string[]) => void = () => undefined) {
    this.host = host;
    this.#onOutbox = onOutbox;
  }

  /** A room that is stored here; `undefined` for one that is not. */
  async open(roomId: string, cancel?: Cancel): Promise<Room | undefined> {
    let opening = this.#rooms.get(roomId);
    if (opening === undefined) {
      opening = this.#open(roomId, cancel);
      this.#rooms.set(roomId, opening);
      // A room that is not there may come to be: only what was found is remembered.
      opening.then(
        (room) => room === undefined && this.#rooms.delete(roomId),
        () => this.#rooms.delete(roomId),
      );
    }
    return opening;
  }

  async #open(roomId: string, cancel: Cancel | undefined): Promise<Room | undefined> {
    const opened = await this.host.storage.openRoom(roomId, cancel);
    if (opened === undefined) return undefined;
    const room = this.#make(roomId, this.version(opened.record.roomVersion));
    await room.open(cancel);
    return room;
  }

  #make(roomId: string, version: RoomVersion): Room {
    return new Room(this.host, roomId, version, this.#onOutbox);
  }

  /** Lets go of a room's memory; it is read again when it is asked for. */
  evict(roomId: string): void {
    this.#rooms.delete(roomId);
  }

  /** Every room that is stored here. */
  async all(cancel?: Cancel): Promise<readonly Room[]> {
    const rooms: Room[] = [];
    for (const roomId of await this.host.storage.roomIds(cancel)) {
      const room = await this.open(roomId, cancel);
      if (room !== undefined) rooms.push(room);
    }
    return rooms;
  }

  /** @throws UsageError for a version that this host does not have. */
  version(id: string): RoomVersion {
    const version = this.host.versions.get(id);
    if (version.ok) return version.value;
    throw new UsageError(`${version.error.reason}: register it, or use one of ${this.host.versions.ids().join(", ")}`);
  }

  /** The room for a join that is about to be imported: the one that is stored, or a new one. */
  async forJoin(roomId: string, version: string, cancel?: Cancel): Promise<Room> {
    return (await this.open(roomId, cancel)) ?? this.#make(roomId, this.version(version));
  }

  /**
   * Takes up a room that has just been stored for the first time. If somebody was quicker, theirs stays, and
   * knows what this one wrote: a room has one handle here.
   */
  async adopt(room: Room, cancel?: Cancel): Promise<Room> {
    const taken = this.#rooms.get(room.roomId);
    const other = await taken;
    if (other !== undefined && other !== room) {
      await other.refresh(cancel);
      return other;
    }
    if (this.#rooms.get(room.roomId) !== taken) return this.adopt(room, cancel);
    this.#rooms.set(room.roomId, Promise.resolve(room));
    return room;
  }

  /** Makes a room: its create event and everything else that it begins with, in one commit. */
  async create(
    options: CreateRoomOptions,
    emit: EmitOptions = {},
    additions: (roomId: string) => Partial<Additions> = () => ({}),
  ): Promise<Result<Room>> {
    const { creator } = options;
    if (domainOf(creator) !== this.host.server) {
      throw new UsageError(`${creator} is not of ${this.host.server}: a server makes rooms for its own users only`);
    }
    const version = this.version(options.version);
    const plan = planCreation(version.rules, options);
    const create = await this.#createEvent(version, creator, plan.create, emit.cancel);
    if (!create.ok) return create;
    const { roomId } = create.value;
    try {
      const room = this.#make(roomId, version);
      const begun = await room.begin(create.value, plan.events, { ...emit, additions: additions(roomId) });
      return begun.ok ? { ok: true, value: await this.adopt(room) } : begun;
    } finally {
      this.#making.delete(roomId);
    }
  }

  /** Rooms whose ids are hashes are told apart by their time: of two that were equal, one is a millisecond late. */
  async #createEvent(
    version: RoomVersion,
    sender: string,
    content: JsonObject,
    cancel: Cancel | undefined,
  ): Promise<Result<Pdu>> {
    for (let at = this.host.clock.now(); ; at++) {
      const create = await this.#signedCreate(version, { sender, content, originServerTs: at }, cancel);
      if (!create.ok) return create;
      const { roomId } = create.value;
      const stored = await this.host.storage.openRoom(roomId, cancel);
      if (stored !== undefined || this.#making.has(roomId)) continue;
      this.#making.add(roomId);
      return create;
    }
  }

  async #signedCreate(
    { rules }: RoomVersion,
    made: { readonly sender: string; readonly content: JsonObject; readonly originServerTs: number },
    cancel: Cancel | undefined,
  ): Promise<Result<Pdu>> {
    const { server, keys } = this.host;
    const own = (): string => `${encodeUnpadded(this.host.random.bytes(18), "url-safe")}:${server}`;
    const draft = draftEvent(
      rules,
      {
        type: "m.room.create",
        stateKey: "",
        ...made,
        ...(rules.format.roomIds === "create-hash" ? {} : { roomId: `!${own()}` }),
        ...(rules.format.eventIds === "in-pdu" ? { eventId: `$${own()}` } : {}),
      },
      { prevEvents: [], authEvents: [] },
    );
    if (!draft.ok) return draft;
    const hashed = hashEvent(draft.value);
    const { keyId, signature } = await keys.sign(eventSignedBytes(rules, hashed), cancel);
    return readPdu(rules, attachSignature(hashed, { server, keyId, signature }));
  }
}
