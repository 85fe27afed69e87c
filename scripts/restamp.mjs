/**
 * Makes fixtures/rooms-i1 from the recorded rooms of version 10: no server makes rooms of version I.1 yet, and I.1 is
 * version 10 in all that these rooms show. The create event says I.1, and every id, reference, hash and signature after
 * it is made anew, with keys whose seeds are published below. The recorded states are carried over under the new ids.
 *
 *   node scripts/restamp.mjs            write them (after npm run build)
 *   node scripts/restamp.mjs --check    fail if they are not what this makes
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { root } from "./entries.mjs";

// The build may not be there yet when this file is type-checked, so its types are those of the source.
/** @type {typeof import("../src/crypto/index.js")} */
const { decodeBase64, encodeUnpadded, publicKeyFromSeed } = await import(`${root}dist/crypto/index.js`);
/** @type {typeof import("../src/index.js")} */
const { version } = await import(`${root}dist/index.js`);
/** @type {typeof import("../src/inspect/index.js")} */
const { checkRoom, readDump } = await import(`${root}dist/inspect/index.js`);

/** The seed of the spec's own signing examples, and one more. */
const seeds = ["YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"];
const names = ["synapse-v10", "synapse-v10-restricted", "fork-v10-a", "fork-v10-r1", "fork-v10-r2"];
const i1 = version("I.1");
const madeAnew = ["signatures", "hashes", "unsigned"];

/** @typedef {{ [key: string]: any }} Json */

/**
 * @template T
 * @param {{ ok: true, value: T } | { ok: false, error: { reason: string } }} result
 */
function unwrap(result) {
  if (!result.ok) throw new Error(result.error.reason);
  return result.value;
}

/** @param {string} name */
function restamp(name) {
  const text = readFileSync(`${root}fixtures/rooms/${name}.json`, "utf8");
  /** @type {Json} */
  const room = JSON.parse(text);
  const { replay } = unwrap(checkRoom(unwrap(readDump(text))));
  const servers = Object.keys(room["verify_keys"]);
  const signers = servers.map((server, at) => {
    const seed = decodeBase64(seeds[at] ?? "");
    if (seed === undefined) throw new Error("a room of more servers than seeds");
    return { server, keyId: "ed25519:1", seed };
  });
  /** @type {Map<string, string>} */
  const ids = new Map();
  /** @param {string} id */
  const renamed = (id) => ids.get(id) ?? raise(`${id} comes before its parents`);
  const timeline = replay.order.map((id) => {
    /** @type {Json} */
    const kept = replay.pdu(id)?.json ?? raise(id);
    const event = {
      ...Object.fromEntries(Object.entries(kept).filter(([key]) => !madeAnew.includes(key))),
      ...(kept["type"] === "m.room.create" ? { content: { ...kept["content"], room_version: "I.1" } } : {}),
      ...(kept["redacts"] === undefined ? {} : { redacts: renamed(kept["redacts"]) }),
      prev_events: kept["prev_events"].map(renamed),
      auth_events: kept["auth_events"].map(renamed),
    };
    const pdu = signers
      .filter(({ server }) => Object.hasOwn(kept["signatures"], server))
      .reduce((/** @type {Json} */ partly, signer) => i1.sign(partly, signer), event);
    const eventId = i1.eventId(pdu);
    ids.set(id, eventId);
    return { event_id: eventId, pdu, rejected: false, soft_failed: false, outlier: false };
  });
  const last = room["merge_event_id"] ?? room["last_event_id"] ?? room["send_join"].event_id;
  /** @type {string[]} */
  const state = room["synapse_state_ids"] ?? room["state_ids_at_last"]?.pdu_ids ?? stateBefore(replay, last);
  const keys = signers.map(({ server, keyId, seed }) => [server, { [keyId]: encodeUnpadded(publicKeyFromSeed(seed)) }]);
  return {
    note: `made from ${name}.json by scripts/restamp.mjs: the same history as a room of version I.1`,
    room_version: "I.1",
    verify_keys: Object.fromEntries(keys),
    merge_event_id: renamed(last),
    synapse_state_ids: state.map(renamed),
    timeline,
  };
}

/**
 * @param {import("../src/inspect/index.js").Replay} replay
 * @param {string} eventId
 */
function stateBefore(replay, eventId) {
  return replay.index.idsOf(replay.stateBefore(eventId) ?? raise(eventId));
}

/**
 * @param {string} reason
 * @returns {never}
 */
function raise(reason) {
  throw new Error(reason);
}

const check = process.argv.includes("--check");
mkdirSync(`${root}fixtures/rooms-i1`, { recursive: true });
for (const name of names) {
  const file = `${root}fixtures/rooms-i1/${name.replace("v10", "i1")}.json`;
  const text = `${JSON.stringify(restamp(name), null, 1)}\n`;
  if (!check) writeFileSync(file, text);
  else if (readFileSync(file, "utf8") !== text)
    raise(`${file.slice(root.length)} is not what scripts/restamp.mjs makes`);
}
