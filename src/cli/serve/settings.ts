/**
 * What `roomdag serve` can be told, as one table: flags, the keys of the configuration file, the help and docs/serve.md
 * are made of it. A flag wins over the file.
 */
import { isIP } from "node:net";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { parseServerName } from "../../ids/grammar.js";
import { parseStrict } from "../../json/parse.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import { Failure } from "../failure.js";
import { readText } from "../files.js";
import { files } from "./data-folder.js";
import { logLevels } from "./log.js";
import type { LogFormat, LogLevel } from "./log.js";

type Kind = "text" | "path" | "port" | "flag" | "texts" | "paths" | readonly [string, ...string[]];

export interface Setting {
  readonly kind: Kind;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly about: string;
}

/** Paths in the file are relative to the file, those of flags to where the command is run. */
export const settingsTable = Object.freeze({
  name: { kind: "text", value: "NAME", about: "the server's name, such as `localhost:8449`" },
  data: { kind: "path", value: "DIR", about: "where all that is its own is kept; made if need be" },
  port: { kind: "port", value: "PORT", about: "to listen on; default: the name's, or 8448" },
  host: { kind: "text", value: "ADDRESS", about: "to listen on; default: all, or loopback if the name is local" },
  database: {
    kind: "text",
    value: "URL",
    about: "`sqlite:FILE`, `postgres://…[?schema=NAME]` or `memory`; default: SQLite in the data folder",
  },
  "tls-key": { kind: "path", value: "FILE", about: "private key, PEM; default: one in the data folder" },
  "tls-cert": { kind: "path", value: "FILE", about: "certificate chain, PEM; default: a self-signed one" },
  "signing-key": {
    kind: "path",
    value: "FILE",
    about: "keys to sign with, in Synapse's form; default: one in the data folder",
  },
  api: {
    kind: "text",
    value: "ADDRESS",
    about: "of the local API: `127.0.0.1:PORT` or a socket's path; default: a socket in the data folder",
  },
  log: { kind: ["text", "json"], about: "how to write the log; default: text on a terminal, else json" },
  "log-level": { kind: logLevels, about: "the least that is logged; default: info" },
  "allow-private": { kind: "flag", about: "whether servers in private networks may be asked" },
  "trust-any-certificate": { kind: "flag", about: "whether other servers' certificates go unchecked: for tests only" },
  ca: { kind: "paths", value: "FILE", about: "certificates to trust besides the platform's, PEM; may be repeated" },
  notary: {
    kind: "texts",
    value: "SERVER",
    about: "whom to ask for the keys of servers that are away; may be repeated",
  },
} as const satisfies Readonly<Record<string, Setting>>);

export type SettingName = keyof typeof settingsTable;

/** Where the local API listens. */
export type ApiAddress =
  | { readonly kind: "socket"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

/** Where rooms are kept. */
export type Database =
  | { readonly kind: "sqlite"; readonly file: string }
  | { readonly kind: "postgres"; readonly url: string }
  | { readonly kind: "memory" };

export interface Settings {
  readonly name: string;
  /** The host in the name, an IPv6 address without its brackets. */
  readonly nameHost: string;
  readonly data: string;
  readonly port: number;
  /** `undefined`: every address of the machine. */
  readonly host: string | undefined;
  readonly database: Database;
  readonly tls: { readonly key: string; readonly certificate: string } | undefined;
  readonly signingKey: string | undefined;
  readonly api: ApiAddress;
  readonly log: LogFormat;
  readonly logLevel: LogLevel;
  readonly allowPrivate: boolean;
  readonly trustAnyCertificate: boolean;
  readonly ca: readonly string[];
  readonly notary: readonly string[];
}

type Value = string | number | boolean | readonly string[];
type Values = Readonly<Partial<Record<SettingName, Value>>>;

/** @throws Failure with a sentence for whatever is wrong. */
export async function readSettings(args: readonly string[], terminal: boolean): Promise<Settings> {
  const { config, ...flags } = readFlags(args);
  const filed = config === undefined ? {} : parseConfig(await readText(config), config);
  return settle({ ...filed, ...flags }, terminal);
}

function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settingsTable, name);
}

const settingNames = Object.keys(settingsTable).filter(isSettingName);

// ---- flags ------------------------------------------------------------------------------------------------

function readFlags(args: readonly string[]): Values & { readonly config?: string } {
  const options = Object.fromEntries(
    ["config", ...settingNames].map((name) => {
      const kind: Kind = isSettingName(name) ? settingsTable[name].kind : "path";
      const multiple = kind === "texts" || kind === "paths";
      return [name, { type: kind === "flag" ? ("boolean" as const) : ("string" as const), multiple }];
    }),
  );
  const { values } = parsed(() => parseArgs({ args: [...args], options, strict: true }));
  const found: Partial<Record<SettingName, Value>> & { config?: string } = {};
  for (const [name, value] of Object.entries(values)) {
    if (name === "config" && typeof value === "string") found.config = value;
    if (value === undefined || !isSettingName(name)) continue;
    found[name] = checked(name, Array.isArray(value) ? value.map(String) : value, `--${name}`, ".");
  }
  return found;
}

function parsed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

// ---- the file ---------------------------------------------------------------------------------------------

/** The settings of a configuration file. @throws Failure that names every key it does not know. */
export function parseConfig(text: string, path: string): Values {
  const json = parseStrict(text, { duplicates: "refuse", maxDepth: 10 });
  if (!json.ok) throw new Failure(`${path} is no JSON: ${json.error.reason}`);
  if (!isObject(json.value)) throw new Failure(`${path} must hold one JSON object`);
  const unknown = Object.keys(json.value).filter((key) => !isSettingName(key));
  if (unknown.length > 0) {
    throw new Failure(`${path} has no setting ${unknown.join(", ")}: they are ${settingNames.join(", ")}`);
  }
  return valuesOf(json.value, path);
}

function valuesOf(config: JsonObject, path: string): Values {
  const found: Partial<Record<SettingName, Value>> = {};
  for (const name of settingNames) {
    const value = get(config, name);
    if (value !== undefined) found[name] = checked(name, value, `\`${name}\` in ${path}`, dirname(path));
  }
  return found;
}

// ---- values -----------------------------------------------------------------------------------------------

function checked(name: SettingName, value: JsonValue, where: string, folder: string): Value {
  const { kind }: Setting = settingsTable[name];
  if (typeof kind === "object") {
    if (typeof value === "string" && kind.includes(value)) return value;
    throw new Failure(`${where} must be ${kind.join(" or ")}`);
  }
  switch (kind) {
    case "flag":
      if (typeof value === "boolean") return value;
      throw new Failure(`${where} must be true or false`);
    case "port":
      return portOf(value, where);
    case "text":
      return textOf(value, where);
    case "path":
      return resolve(folder, textOf(value, where));
    case "texts":
    case "paths": {
      if (!Array.isArray(value)) throw new Failure(`${where} must be a list`);
      const texts = value.map((one: JsonValue) => textOf(one, where));
      return kind === "texts" ? texts : texts.map((one) => resolve(folder, one));
    }
  }
}

function textOf(value: JsonValue, where: string): string {
  if (typeof value === "string" && value !== "" && !value.includes("\0")) return value;
  throw new Failure(`${where} must be a text`);
}

function portOf(value: JsonValue, where: string): number {
  const port = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof port === "number" && Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new Failure(`${where} must be a port from 0 to 65535`);
}

function settle(values: Values, terminal: boolean): Settings {
  const text = (name: SettingName): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  const list = (name: SettingName): readonly string[] => {
    const value = values[name];
    return typeof value === "object" ? value : [];
  };
  const name = text("name");
  const data = text("data");
  if (name === undefined) throw new Failure("serve needs a name: --name localhost:8449");
  if (data === undefined) throw new Failure("serve needs a folder for its data: --data DIR");
  const { host: nameHost, port: namePort } = nameParts(name);
  const port = values["port"];
  const level = text("log-level");
  return {
    name,
    nameHost,
    data,
    port: typeof port === "number" ? port : (namePort ?? 8448),
    host: text("host") ?? defaultHost(nameHost),
    database: databaseOf(text("database"), data),
    tls: tlsOf(text("tls-key"), text("tls-cert")),
    signingKey: text("signing-key"),
    api: apiAddress(text("api"), data),
    log: text("log") === "json" || (text("log") === undefined && !terminal) ? "json" : "text",
    logLevel: logLevels.find((one) => one === level) ?? "info",
    allowPrivate: values["allow-private"] === true,
    trustAnyCertificate: values["trust-any-certificate"] === true,
    ca: list("ca"),
    notary: list("notary").map((server) => nameParts(server).name),
  };
}

function nameParts(name: string): { readonly name: string; readonly host: string; readonly port: number | undefined } {
  const parts = parseServerName(name);
  if (!parts.ok) throw new Failure(`${name} is no server name: ${parts.error.reason}`);
  const { host, port } = parts.value;
  if (port !== undefined && (port < 1 || port > 65_535)) {
    throw new Failure(`${name} is no name that others could reach: its port is not one from 1 to 65535`);
  }
  return { name, host: host.replace(/^\[(.*)\]$/, "$1"), port };
}

/** A server that only this machine can find listens to this machine alone. */
function defaultHost(nameHost: string): string | undefined {
  if (nameHost === "localhost") return "127.0.0.1";
  return isLoopback(nameHost) ? nameHost : undefined;
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** `sqlite:FILE`, `postgres://…` or `memory`. */
export function databaseOf(url: string | undefined, data: string): Database {
  if (url === undefined) return { kind: "sqlite", file: join(data, files.database) };
  if (url === "memory") return { kind: "memory" };
  if (/^postgres(?:ql)?:\/\//.test(url)) return { kind: "postgres", url };
  const file = /^sqlite:(.+)$/.exec(url)?.[1];
  if (file !== undefined) return { kind: "sqlite", file: resolve(file) };
  throw new Failure("--database must be sqlite:FILE, postgres://… or memory");
}

function tlsOf(key: string | undefined, certificate: string | undefined): Settings["tls"] {
  if (key === undefined && certificate === undefined) return undefined;
  if (key !== undefined && certificate !== undefined) return { key, certificate };
  throw new Failure("--tls-key and --tls-cert belong together: give both or neither");
}

/** A port on loopback, or else the path of a socket. */
export function apiAddress(text: string | undefined, data: string): ApiAddress {
  if (text === undefined) {
    if (process.platform === "win32") return { kind: "tcp", host: "127.0.0.1", port: 0 };
    return { kind: "socket", path: join(data, files.socket) };
  }
  const tcp = /^(?:http:\/\/)?(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})\/?$/.exec(text);
  const host = tcp?.[1] ?? tcp?.[2];
  if (host === undefined) return { kind: "socket", path: resolve(text) };
  if (!isLoopback(host)) throw new Failure(`--api must be a loopback address or a socket: ${host} is neither`);
  return { kind: "tcp", host, port: portOf(tcp?.[3] ?? "", "the port of --api") };
}

/** What `roomdag --help` says of them. */
export function settingsHelp(): string {
  const rows = ["config", ...settingNames].map((name): readonly [string, string] => {
    if (!isSettingName(name)) return ["--config FILE", "all of these as JSON, each under its name; flags win"];
    const { kind, value, about }: Setting = settingsTable[name];
    const shown = typeof kind === "object" ? kind.join("|") : (value ?? "");
    return [`--${name} ${shown}`.trim(), about];
  });
  return rows.map(([flag, about]) => wrapped(flag, about)).join("");
}

const WIDTH = 118;
const COLUMN = 37;

function wrapped(flag: string, about: string): string {
  const lines: string[] = [];
  let line = `  ${flag}`.padEnd(COLUMN);
  if (line.length > COLUMN) {
    lines.push(line);
    line = " ".repeat(COLUMN);
  }
  for (const word of about.split(" ")) {
    if (line.length + word.length > WIDTH) {
      lines.push(line.trimEnd());
      line = " ".repeat(COLUMN);
    }
    line += `${word} `;
  }
  return `${[...lines, line.trimEnd()].join("\n")}\n`;
}
