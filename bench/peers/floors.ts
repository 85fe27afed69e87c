/** What Node itself does, as a contender: the floor below this library, and below anything else that runs here. */
import { createPublicKey, hash, verify } from "node:crypto";
import { sha256 as sha256OfNoble } from "@noble/hashes/sha2.js";
import { get } from "../../src/json/index.js";
import { timed, timeOnce } from "../measure.js";
import { indexOf, resolveRoom } from "./ours.js";
import type { RoomTurn } from "./ours.js";
import { over, signedOf, stop } from "./work.js";
import type { TaskTable } from "./work.js";

const sha256 = (text: string): string => hash("sha256", text, "base64url");

const encoder = new TextEncoder();
const sha256InJavaScript = (text: string): string =>
  Buffer.from(sha256OfNoble(encoder.encode(text))).toString("base64url");

/** The fixed head of a SubjectPublicKeyInfo with an Ed25519 key (RFC 8410). */
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

export const floorTasks: TaskTable = {
  parse: ({ texts }) => over(texts, (text) => JSON.parse(text) as unknown),
  canonical: ({ values }) => over(values, (value) => JSON.stringify(value)),
  id: ({ values }) => over(values, (value) => sha256(JSON.stringify(value))),
  "id by noble": ({ values }) => over(values, (value) => sha256InJavaScript(JSON.stringify(value))),
  "id from text": ({ texts }) => over(texts, (text) => sha256(JSON.stringify(JSON.parse(text)))),
  Ed25519: (samples) => {
    const spki = Buffer.concat([SPKI_HEAD, samples.key]);
    const key = createPublicKey({ key: spki, format: "der", type: "spki" });
    return over(signedOf(samples), ({ message, signature }) => {
      if (!verify(null, message, key, signature)) stop("the sample does not verify");
    });
  },
};

/**
 * What every resolver has to do, and nothing more: all ids of the lists looked up in a bare map, and the events after
 * the fork read in the order of time, each with those that it cites. How much longer that takes in a larger room is
 * up to the machine.
 */
export const touchRoom: RoomTurn = (room) => {
  const index = indexOf(room);
  const numbers = new Map(room.events.map(({ eventId }, number) => [eventId, number]));
  const byTime = room.events
    .slice(room.events.length - room.changes)
    .sort((a, b) => a.originServerTs - b.originServerTs)
    .map(({ eventId }) => index.numberOf(eventId));
  const { links } = index;
  const joined = (number: number): boolean => {
    const event = index.eventOf(number);
    return event !== undefined && get(event.content, "membership") === "join";
  };
  const [states] = timeOnce(() => {
    let known = 0;
    for (const ids of room.stateSets) for (const id of ids) if (numbers.get(id) !== undefined) known++;
    return known;
  });
  return () => {
    const [resolve] = timed(() => {
      let joins = 0;
      for (const number of byTime) {
        if (joined(number)) joins++;
        for (let link = links.first(number), end = links.end(number); link < end; link++) {
          if (joined(links.at(link))) joins++;
        }
      }
      return joins;
    });
    return [{ states, resolve, walk: 0 }, () => resolveRoom(room)()[1]()];
  };
};
