/** Binding to addresses, with a sentence for what can go wrong. */
import { chmod, unlink } from "node:fs/promises";
import type { Server as NetServer } from "node:net";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { Failure } from "../failure.js";
import { codeOf, messageOf } from "./private-file.js";
import type { ApiAddress } from "./settings.js";

/** What a busy, forbidden or unknown address is called. */
export function listenFailure(error: unknown, where: string, flag: string): Failure {
  switch (codeOf(error)) {
    case "EADDRINUSE":
      return new Failure(`${where} is in use by another process: stop it, or give another ${flag}`);
    case "EACCES":
      return new Failure(`${where} may not be listened on by this user: give another ${flag}`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new Failure(`${where} is no address of this machine`);
    default:
      return new Failure(`${where} cannot be listened on: ${messageOf(error)}`);
  }
}

/** Longer paths do not fit in the address of a socket; macOS has the least. */
const MAX_SOCKET_PATH = 103;

/** Listens, and says where others find it: `http://HOST:PORT`, or the socket's path. */
export async function listenForApi(server: NetServer, address: ApiAddress): Promise<string> {
  if (address.kind === "tcp") {
    await listening(server, { host: address.host, port: address.port }, `${address.host}:${address.port}`);
    const { port } = addressOf(server);
    return `http://${address.host.includes(":") ? `[${address.host}]` : address.host}:${port}`;
  }
  const { path } = address;
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH && process.platform !== "win32") {
    throw new Failure(`the socket ${path} has too long a path: give --api 127.0.0.1:PORT, or a shorter one`);
  }
  // The data folder is this process's alone: what is left there is of one that is gone.
  await unlink(path).catch(() => undefined);
  await listening(server, { path }, path);
  await chmod(path, 0o600).catch(() => undefined);
  return path;
}

function listening(
  server: NetServer,
  options: { readonly host: string; readonly port: number } | { readonly path: string },
  where: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(listenFailure(error, where, "--api"));
    server.once("error", fail);
    server.listen(options, () => {
      server.off("error", fail);
      resolve();
    });
  });
}

function addressOf(server: NetServer): AddressInfo {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Failure("the API listens on no port");
  return address;
}
