/** Starts the app of app.mjs: over TLS with a certificate, else over plain HTTP on loopback for a proxy. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { parseArgs } from "node:util";
import { openApp } from "./app.mjs";

const { values: flags } = parseArgs({
  options: {
    name: { type: "string" },
    port: { type: "string" },
    "signing-seed": { type: "string", default: "signing.seed" },
    "tls-key": { type: "string" },
    "tls-cert": { type: "string" },
    "well-known": { type: "string" },
    ca: { type: "string" },
    "allow-private": { type: "boolean", default: false },
  },
});
const { name, "tls-key": key, "tls-cert": cert, "signing-seed": seedFile } = flags;
if (name === undefined || (key === undefined) !== (cert === undefined)) {
  console.error("usage: node main.mjs --name NAME [--port PORT] [--tls-key FILE --tls-cert FILE] …");
  process.exit(2);
}
const isTls = key !== undefined;

// Others remember the key: a new one at each start would not be believed.
if (!existsSync(seedFile)) writeFileSync(seedFile, randomBytes(32).toString("base64"), { mode: 0o600, flag: "wx" });
const token = process.env.TOKEN ?? randomBytes(24).toString("base64url");

const opened = await openApp({
  name,
  token,
  seed: new Uint8Array(Buffer.from(readFileSync(seedFile, "utf8"), "base64")),
  forwarded: !isTls,
  // To keep rooms: const { storage, keys: keyStore } = openSqliteStorage(new Database("rooms.db")); and both go here.
  network: {
    allowPrivateAddresses: flags["allow-private"],
    ...(flags.ca !== undefined && { ca: readFileSync(flags.ca, "utf8") }),
    ...(flags["well-known"] !== undefined && { wellKnown: flags["well-known"] }),
  },
});
const listener = isTls
  ? createHttpsServer({ key: readFileSync(key), cert: readFileSync(cert) }, opened.app)
  : createHttpServer(opened.app);
if (isTls) listener.listen(Number(flags.port ?? 8448));
else listener.listen(Number(flags.port ?? 8008), "127.0.0.1");
await once(listener, "listening");
console.log(`${name} listens on ${isTls ? "https://*" : "http://127.0.0.1"}:${listener.address().port}`);
if (process.env.TOKEN === undefined) console.log(`token: ${token}`);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, async () => {
    listener.close();
    listener.closeIdleConnections();
    await opened.close();
  });
}
