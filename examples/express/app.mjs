/**
 * An Express app that shares rooms with other Matrix servers: federation under /_matrix, and beside it routes of its
 * own, for whoever has the token.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import express from "express";
import { UsageError } from "roomdag";
import { createMemoryStorage } from "roomdag/adapters/memory";
import { createNodeSigner, createNodeVerifier, nodeSha256 } from "roomdag/adapters/node-crypto";
import { createNodeListener, createNodeTransport } from "roomdag/adapters/node-http";
import { createSystemClock, createSystemRandom } from "roomdag/adapters/system";
import { useSha256 } from "roomdag/crypto";
import { createKeyRing, createServer } from "roomdag/federation";

/** @import { NodeTransportOptions } from "roomdag/adapters/node-http" */
/** @import { KeyStore } from "roomdag/federation" */
/** @import { Storage } from "roomdag/ports" */

/**
 * @typedef {object} AppOptions
 * @property {string} name of the server, as in `@ada:NAME`
 * @property {Uint8Array} seed of its signing key: 32 bytes, the same each time
 * @property {string} token of the app's own routes; whoever has it speaks for every user
 * @property {Storage} [storage] in memory, unless there is one
 * @property {KeyStore} [keyStore] remembers the keys of other servers
 * @property {boolean} [forwarded] behind a proxy that adds to `X-Forwarded-For`
 * @property {Partial<NodeTransportOptions>} [network] `wellKnown`, `ca`, `allowPrivateAddresses`, …
 */

/** @param {AppOptions} options */
export async function openApp({ name, seed, token, forwarded = false, network = {}, keyStore, ...options }) {
  useSha256(nodeSha256);
  const clock = createSystemClock();
  const random = createSystemRandom();
  const observer = { onFault: (/** @type {{ where: string, error: unknown }} */ fault) => console.error(fault) };
  const transport = createNodeTransport({ server: name, keys: () => keys, clock, random, observer, ...network });
  const keys = createKeyRing({
    server: name,
    own: { current: [createNodeSigner({ keyId: "ed25519:1", seed })] },
    transport,
    clock,
    observer,
    verify: createNodeVerifier().verify,
    ...(keyStore && { store: keyStore }),
  });
  const storage = options.storage ?? createMemoryStorage();
  const server = createServer({ server: name, storage, transport, keys, publishes: keys, clock, random, observer });
  await server.start();

  const app = express();
  app.disable("x-powered-by");
  // Before whatever reads bodies: what was signed is what came over the wire.
  app.use(["/_matrix", "/.well-known/matrix/server"], createNodeListener({ handler: transport, forwarded, observer }));

  const hash = (/** @type {string} */ text) => createHash("sha256").update(text).digest();
  app.use("/rooms", (request, response, next) => {
    if (timingSafeEqual(hash(request.get("authorization") ?? ""), hash(`Bearer ${token}`))) next();
    else response.status(401).json({ error: "the token is missing or wrong" });
  });
  app.use("/rooms", express.json());

  /** People are told apart by what stands before the colon. @param {unknown} user */
  const userIdOf = (user) => `@${String(user)}:${name}`;

  app.post("/rooms", async (request, response) => {
    const { user, title } = request.body ?? {};
    const made = await server.create({
      version: "12",
      creator: userIdOf(user),
      preset: "public",
      ...(typeof title === "string" && { name: title }),
    });
    if (made.ok) response.status(201).json({ roomId: made.value.roomId });
    else response.status(403).json({ error: made.error.reason });
  });

  app.post("/rooms/:roomId/join", async (request, response) => {
    const { user, via = [] } = request.body ?? {};
    const joined = await server.join({ roomId: request.params.roomId, userId: userIdOf(user), via });
    if (joined.ok) response.json({ roomId: joined.value.roomId });
    else response.status(403).json({ error: joined.error.reason });
  });

  app.post("/rooms/:roomId/messages", async (request, response) => {
    const { user, text } = request.body ?? {};
    const sent = await server.send({
      roomId: request.params.roomId,
      userId: userIdOf(user),
      type: "m.room.message",
      content: { msgtype: "m.text", body: String(text) },
    });
    if (sent.ok) response.status(201).json({ eventId: sent.value.eventId });
    else response.status(403).json({ error: sent.error.reason });
  });

  app.get("/rooms/:roomId/messages", async (request, response) => {
    const room = await server.room(request.params.roomId);
    const { events } = (await room?.timeline({ direction: "backwards", limit: 50 })) ?? { events: [] };
    const messages = events.filter(({ shown }) => shown.type === "m.room.message").reverse();
    response.json({ messages: messages.map(({ shown }) => ({ sender: shown.sender, text: shown.content.body })) });
  });

  app.use((error, request, response, next) => {
    if (response.headersSent) next(error);
    else if (error instanceof UsageError) response.status(400).json({ error: error.message });
    else if (error.status >= 400 && error.status < 500) response.status(error.status).json({ error: error.message });
    else {
      console.error(error);
      response.status(500).json({ error: "something went wrong" });
    }
  });

  return {
    app,
    server,
    async close() {
      server.stop();
      await transport.close();
    },
  };
}
