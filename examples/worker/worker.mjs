// @ts-check
/* global fetch, Response */
/**
 * A server that shares rooms with other Matrix servers, as a fetch handler: nothing but what Workers, Deno, Bun and
 * Node have in common. On Cloudflare the Durable Object `Homeserver` is the one place where it lives; elsewhere it
 * lives in the process.
 */
import { UsageError } from "roomdag";
import { createFetchConnector, createHttpTransport } from "roomdag/adapters/http";
import { createMemoryStorage } from "roomdag/adapters/memory";
import { createSystemClock, createSystemRandom } from "roomdag/adapters/system";
import { createWebCryptoSigner, createWebCryptoVerifier } from "roomdag/adapters/webcrypto";
import { decodeBase64, encodeUnpadded, sha256 } from "roomdag/crypto";
import { createKeyRing, createServer } from "roomdag/federation";
import { encodeCanonicalBytes } from "roomdag/json";

/** @import { HttpTransport } from "roomdag/adapters/http" */
/** @import { Server } from "roomdag/federation" */
/** @import { JsonObject } from "roomdag/json" */

/**
 * @typedef {object} Env
 * @property {string} SERVER_NAME as in `@ada:SERVER_NAME`
 * @property {string} SIGNING_SEED a secret: 32 bytes as base64, the same each time
 * @property {string} TOKEN a secret: whoever has it speaks for every user
 * @property {string} [WELL_KNOWN] where the server is, if the website of its name is answered here: `NAME:443`
 * @property {string} [ALLOW_PRIVATE] "true" for tests alone
 * @property {{ fetch: typeof fetch }} [OUTBOUND] a binding that requests to other servers go by, in place of `fetch`
 * @property {{ idFromName(name: string): unknown, get(id: any): { fetch: Homeserver["fetch"] } }} [HOMESERVER]
 */

/** Where the rooms are. A Durable Object: there is one for a name, in one place at a time. */
export class Homeserver {
  #env;
  /** @type {Promise<{ server: Server, transport: HttpTransport }> | undefined} */
  #opened;

  /**
   * @param {unknown} _state
   * @param {Env} env
   */
  constructor(_state, env) {
    this.#env = env;
  }

  /**
   * @param {Request} request
   * @returns {Promise<Response>}
   */
  async fetch(request) {
    const { server, transport } = await (this.#opened ??= open(this.#env));
    const { pathname } = new URL(request.url);
    if (pathname === "/rooms" || pathname.startsWith("/rooms/")) return await answer(server, this.#env, request);
    // Cloudflare writes this header itself. Where nobody does, anybody could choose an address.
    const address = request.headers.get("cf-connecting-ip");
    return await transport.handle(request, address === null ? {} : { address });
  }
}

/** @type {Homeserver | undefined} */
let own;

export default {
  /**
   * @param {Request} request
   * @param {Env} env
   */
  fetch(request, env) {
    const { HOMESERVER, SERVER_NAME } = env;
    if (HOMESERVER !== undefined) return HOMESERVER.get(HOMESERVER.idFromName(SERVER_NAME)).fetch(request);
    return (own ??= new Homeserver(undefined, env)).fetch(request);
  },
};

/** @param {Env} env */
async function open({ SERVER_NAME: name, SIGNING_SEED, WELL_KNOWN, ALLOW_PRIVATE, OUTBOUND }) {
  const clock = createSystemClock();
  const random = createSystemRandom();
  const observer = { onFault: (/** @type {unknown} */ fault) => console.error(fault) };
  const seed = decodeBase64(SIGNING_SEED);
  if (seed === undefined) throw new UsageError("SIGNING_SEED is no base64");
  const signer = await createWebCryptoSigner({ keyId: "ed25519:1", seed });
  const { verify } = await createWebCryptoVerifier();
  const connector = createFetchConnector({
    clock,
    fetch: (input, init) => (OUTBOUND === undefined ? fetch(input, init) : OUTBOUND.fetch(input, init)),
    allowPrivateAddresses: ALLOW_PRIVATE === "true",
  });
  const transport = createHttpTransport({
    server: name,
    keys: () => keys,
    clock,
    connector,
    observer,
    ...(WELL_KNOWN === undefined ? {} : { wellKnown: WELL_KNOWN }),
  });
  const keys = createKeyRing({ server: name, own: { current: [signer] }, transport, clock, verify, observer });
  const storage = createMemoryStorage();
  const server = createServer({ server: name, storage, transport, keys, publishes: keys, clock, random, observer });
  await server.start();
  return { server, transport };
}

/**
 * The worker's own routes.
 * @param {Server} server
 * @param {Env} env
 * @param {Request} request
 */
async function answer(server, { SERVER_NAME, TOKEN }, request) {
  // Nobody who measures how long hashes are alike learns a token from it.
  if (hash(request.headers.get("authorization") ?? "") !== hash(`Bearer ${TOKEN}`)) {
    return refusal(401, "the token is missing or wrong");
  }
  try {
    const body = request.method === "POST" ? await request.json() : {};
    const { user, title, text, via = [] } = /** @type {Record<string, any>} */ (body ?? {});
    const userId = `@${String(user)}:${SERVER_NAME}`;
    const [roomId = "", part = ""] = new URL(request.url).pathname.split("/").slice(2).map(decodeURIComponent);
    switch (`${request.method} ${part}`) {
      case "POST ": {
        if (roomId !== "") break;
        const named = typeof title === "string" ? { name: title } : {};
        const made = await server.create({ version: "12", creator: userId, preset: "public", ...named });
        return made.ok
          ? Response.json({ roomId: made.value.roomId }, { status: 201 })
          : refusal(403, made.error.reason);
      }
      case "POST join": {
        const joined = await server.join({ roomId, userId, via });
        return joined.ok ? Response.json({ roomId: joined.value.roomId }) : refusal(403, joined.error.reason);
      }
      case "POST messages": {
        const content = { msgtype: "m.text", body: String(text) };
        const sent = await server.send({ roomId, userId, type: "m.room.message", content });
        return sent.ok
          ? Response.json({ eventId: sent.value.eventId }, { status: 201 })
          : refusal(403, sent.error.reason);
      }
      case "GET messages": {
        const room = await server.room(roomId);
        const { events } = (await room?.timeline({ direction: "backwards", limit: 50 })) ?? { events: [] };
        const messages = events.filter(({ shown }) => shown["type"] === "m.room.message").reverse();
        return Response.json({
          messages: messages.map(({ shown }) => ({
            sender: shown["sender"],
            text: /** @type {JsonObject} */ (shown["content"])["body"],
          })),
        });
      }
    }
    return refusal(404, "there is no such route");
  } catch (error) {
    if (error instanceof UsageError) return refusal(400, error.message);
    if (error instanceof SyntaxError || error instanceof URIError) return refusal(400, "that cannot be read");
    console.error(error);
    return refusal(500, "something went wrong");
  }
}

/** @param {string} text */
const hash = (text) => encodeUnpadded(sha256(encodeCanonicalBytes(text)));

/**
 * @param {number} status
 * @param {string} error
 */
const refusal = (status, error) => Response.json({ error }, { status });
