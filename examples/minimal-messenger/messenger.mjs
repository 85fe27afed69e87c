// @ts-check
/**
 * A messenger that was there before Matrix: it has handles, conversations and messages of its own, and shows each
 * message once. Behind it stands a roomdag server with the small storage of storage.mjs.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { readText } from "roomdag/event";
import { createServer } from "roomdag/federation";
import { createRegistry, i1, v10, v11, v12 } from "roomdag/versions";
import { openMessengerStorage } from "./storage.mjs";

/** @import { EventView, Room } from "roomdag/engine" */
/** @import { Clock, Keys, Observer, Random, Transport } from "roomdag/ports" */
/** @import { JsonObject } from "roomdag/json" */

/**
 * A message as this messenger has it. `eventId` is its name in the room; `id` is its name here.
 * @typedef {{ id: number, conversation: string, author: string, text: string, eventId: string }} Message
 */

/**
 * @typedef {object} MessengerOptions
 * @property {string} server
 * @property {string} folder where its two files are
 * @property {Transport} transport
 * @property {Keys} keys
 * @property {Clock} clock
 * @property {Random} random
 * @property {Observer} [observer]
 * @property {(message: Message) => void} show
 */

/** Events of a room that are kept, messages that are kept, and event ids by which a repeated message is known. */
const LATEST_EVENTS = 5;
const LATEST_MESSAGES = 50;
const LATEST_IDS = 500;

/** @param {MessengerOptions} options */
export function openMessenger({ server, folder, show, ...ports }) {
  const path = `${folder}/messages.json`;
  const own = readOwn(path);
  const storage = openMessengerStorage(`${folder}/rooms.json`, LATEST_EVENTS);
  const homeserver = createServer({
    ...ports,
    server,
    storage,
    versions: createRegistry([v10, v11, v12, i1]),
    policy: {
      // Storage forgets that it had an event. What was shown is no news a second time.
      checkEvent: ({ event, origin }) =>
        origin !== server && own.seen.includes(event.eventId)
          ? { code: "seen", reason: "it was shown and forgotten" }
          : undefined,
    },
    limits: {
      // Not to walk back through history that it would not keep: two rounds, then the state is asked for.
      fetchRounds: 2,
      fetchEvents: 5,
      // A transaction that comes again later than that is known by the ids of its events.
      transactionMemory: 60_000,
      cachedEvents: 300,
      cachedStates: 50,
      cachedResolutions: 50,
    },
  });
  /** What is being read out of the room, one event after the other. @type {Promise<void>} */
  let reading = Promise.resolve();

  function save() {
    own.messages = own.messages.slice(-LATEST_MESSAGES);
    own.seen = own.seen.slice(-LATEST_IDS);
    writeFileSync(`${path}.new`, JSON.stringify(own));
    renameSync(`${path}.new`, path);
  }

  /** @param {string} roomId */
  const conversationOf = (roomId) => Object.keys(own.conversations).find((name) => own.conversations[name] === roomId);

  /** @param {string} conversation */
  function roomIdOf(conversation) {
    const roomId = own.conversations[conversation];
    if (roomId === undefined) throw new Error(`there is no conversation ${conversation}`);
    return roomId;
  }

  /** @param {string} handle */
  const userIdOf = (handle) => `@${handle}:${server}`;

  /** People of this messenger by their handle, others by their user id. @param {string} userId */
  const authorOf = (userId) => (userId.endsWith(`:${server}`) ? userId.slice(1, -server.length - 1) : userId);

  /**
   * From an event of a room to what it does here.
   * @param {string} conversation
   * @param {EventView} view
   */
  function take(conversation, { eventId, shown }) {
    if (own.seen.includes(eventId)) return;
    own.seen.push(eventId);
    const content = /** @type {JsonObject} */ (shown["content"]);
    const author = authorOf(String(shown["sender"]));
    const text = textOf(String(shown["type"]), content);
    if (text !== undefined) {
      const message = { id: ++own.lastId, conversation, author, text, eventId };
      own.messages.push(message);
      show(message);
    }
    const redacted = shown["type"] === "m.room.redaction" ? (shown["redacts"] ?? content["redacts"]) : undefined;
    // Whether others may redact is the room's to say; that an author may, needs no history.
    own.messages = own.messages.filter((one) => one.eventId !== redacted || one.author !== author);
    save();
  }

  /** @param {Room} room */
  async function watch(room) {
    /** @param {readonly string[]} eventIds */
    const read = async (eventIds) => {
      const conversation = conversationOf(room.roomId);
      for (const eventId of eventIds) {
        const view = await room.event(eventId);
        if (view !== undefined && conversation !== undefined) take(conversation, view);
      }
    };
    room.subscribe(({ events }) => {
      reading = reading.then(() => read(events));
    });
    // What was committed just before a crash, and not shown.
    const { events } = await room.timeline({ from: 1 });
    reading = reading.then(() => read(events.map(({ eventId }) => eventId)));
  }

  return {
    homeserver,
    async start() {
      await homeserver.start();
      for (const room of await homeserver.rooms.all()) await watch(room);
    },
    stop: () => homeserver.stop(),
    /** Resolves when all that the room has brought so far was shown. */
    shown: () => reading,
    messages: () => own.messages,
    /** @param {string} conversation */
    count: (conversation) => storage.count(roomIdOf(conversation)),
    /**
     * @param {string} handle
     * @param {string} conversation
     * @param {string} roomId
     * @param {readonly string[]} via
     */
    async join(handle, conversation, roomId, via) {
      const joined = await homeserver.join({ roomId, userId: userIdOf(handle), via });
      if (!joined.ok) throw new Error(joined.error.reason);
      own.conversations[conversation] = roomId;
      save();
      await watch(joined.value);
    },
    /**
     * From a message of this messenger to an event of the room.
     * @param {string} handle
     * @param {string} conversation
     * @param {string} text
     */
    async send(handle, conversation, text) {
      const roomId = roomIdOf(conversation);
      const extensible = (await homeserver.room(roomId))?.version.rules.content === "extensible";
      const message = extensible
        ? { type: "m.message", content: { "m.text": [{ body: text }] } }
        : { type: "m.room.message", content: { msgtype: "m.text", body: text } };
      const sent = await homeserver.send({ roomId, userId: userIdOf(handle), ...message });
      if (!sent.ok) throw new Error(sent.error.reason);
    },
    /**
     * @param {string} handle
     * @param {number} id
     */
    async takeBack(handle, id) {
      const message = own.messages.find((one) => one.id === id && one.author === handle);
      if (message === undefined) throw new Error(`${handle} has no message ${id}`);
      const { conversation, eventId } = message;
      const sent = await homeserver.redact({ roomId: roomIdOf(conversation), userId: userIdOf(handle), eventId });
      if (!sent.ok) throw new Error(sent.error.reason);
    },
  };
}

/**
 * The text of a message; `undefined` for any other event.
 * @param {string} type
 * @param {JsonObject} content
 * @returns {string | undefined}
 */
function textOf(type, content) {
  if (type === "m.message") return readText(content)?.[0]?.body;
  const body = type === "m.room.message" ? content["body"] : undefined;
  return typeof body === "string" ? body : undefined;
}

/**
 * @param {string} path
 * @returns {{ conversations: Record<string, string>, messages: Message[], seen: string[], lastId: number }}
 */
function readOwn(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
    return { conversations: {}, messages: [], seen: [], lastId: 0 };
  }
}
