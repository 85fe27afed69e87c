/** Asking the local API of a server, by its port or by its socket. */
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import type { RequestOptions } from "node:http";
import { join } from "node:path";
import { parseLax } from "../../json/parse.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import { encodeCanonical } from "../../json/canonical.js";
import { Failure } from "../failure.js";
import { apiAddress } from "../serve/settings.js";
import { files } from "../serve/data-folder.js";
import { codeOf, messageOf } from "../serve/private-file.js";

export interface Asked {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Query of a GET, body of a POST. */
  readonly input?: JsonObject;
}

/** What the API answered, or why it did not. */
export type Answer =
  | { readonly ok: true; readonly value: JsonObject }
  | { readonly ok: false; readonly code: string; readonly reason: string; readonly value: JsonObject };

export interface Connection {
  ask(asked: Asked): Promise<Answer>;
}

export interface ConnectionOptions {
  /** The data folder of the server: its address and its token are read there unless they are given. */
  readonly data: string | undefined;
  readonly api: string | undefined;
  readonly tokenFile: string | undefined;
}

/** @throws Failure if there is no server to ask. */
export async function connect({ data, api, tokenFile }: ConnectionOptions): Promise<Connection> {
  const address = api ?? (await read(data && join(data, files.address), "--api"));
  const token = await read(tokenFile ?? (data && join(data, files.token)), "--token-file");
  const where = apiAddress(address, ".");
  const to: RequestOptions =
    where.kind === "socket" ? { socketPath: where.path } : { host: where.host, port: where.port };
  return { ask: (asked) => send(to, address, token, asked) };
}

async function read(path: string | undefined, flag: string): Promise<string> {
  if (path === undefined) throw new Failure(`client needs the server's folder, --data DIR, or else ${flag}`);
  try {
    return (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw new Failure(`${path} cannot be read: ${messageOf(error)}`);
    throw new Failure(`there is no ${path}: has roomdag serve been started with this folder?`);
  }
}

function send(
  to: RequestOptions,
  address: string,
  token: string,
  { method, path, input = {} }: Asked,
): Promise<Answer> {
  const query = method === "GET" ? queryOf(input) : "";
  const body = method === "POST" ? encodeCanonical(input) : undefined;
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body === undefined ? {} : { "content-type": "application/json" }),
  };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => {
      const isGone = codeOf(error) === "ECONNREFUSED" || codeOf(error) === "ENOENT";
      reject(
        new Failure(isGone ? `no server is running at ${address}` : `${address} does not answer: ${messageOf(error)}`),
      );
    };
    const asking = request({ ...to, method, path: `${path}${query}`, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () => {
        const answer = answerOf(response.statusCode ?? 0, Buffer.concat(chunks).toString("utf8"));
        if (answer === undefined) reject(new Failure(`${address} is no API of roomdag serve`));
        else resolve(answer);
      });
    });
    asking.on("error", fail);
    asking.end(body);
  });
}

function queryOf(input: JsonObject): string {
  const pairs = Object.entries(input).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one): [string, string] => [name, String(one)]),
  );
  return pairs.length === 0 ? "" : `?${new URLSearchParams(pairs).toString()}`;
}

function answerOf(status: number, text: string): Answer | undefined {
  const parsed = parseLax(text);
  const value = parsed.ok ? parsed.value : undefined;
  if (!isObject(value)) return undefined;
  if (status === 200) return { ok: true, value };
  const error = get(value, "error");
  const [code, reason] = isObject(error) ? [get(error, "code"), get(error, "reason")] : [];
  if (typeof code !== "string" || typeof reason !== "string") return undefined;
  return { ok: false, code, reason, value };
}
