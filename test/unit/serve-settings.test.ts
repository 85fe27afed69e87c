/** What `roomdag serve` can be told, by flags and by a file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  apiAddress,
  databaseOf,
  parseConfig,
  readSettings,
  settingsHelp,
  settingsTable,
} from "../../src/cli/serve/settings.js";

const root = mkdtempSync(join(tmpdir(), "roomdag-settings-"));
afterAll(() => rmSync(root, { recursive: true }));
const data = join(root, "data");
const read = (...args: readonly string[]) => readSettings(["--data", data, ...args], true);

function config(value: unknown, name: string = "serve.json"): string {
  const path = join(root, name);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

describe("settings", () => {
  it("have defaults that need a name and a folder only", async () => {
    expect(await read("--name", "localhost:8449")).toEqual({
      name: "localhost:8449",
      nameHost: "localhost",
      data,
      port: 8449,
      host: "127.0.0.1",
      database: { kind: "sqlite", file: join(data, "roomdag.sqlite") },
      tls: undefined,
      signingKey: undefined,
      api: { kind: "socket", path: join(data, "api.sock") },
      log: "text",
      logLevel: "info",
      allowPrivate: false,
      trustAnyCertificate: false,
      ca: [],
      notary: [],
    });
    expect((await readSettings(["--name", "localhost", "--data", data], false)).log).toBe("json");
  });

  it.each([
    ["localhost:8449", 8449, "127.0.0.1", "localhost"],
    ["matrix.example", 8448, undefined, "matrix.example"],
    ["127.0.0.1:8001", 8001, "127.0.0.1", "127.0.0.1"],
    ["[::1]:8001", 8001, "::1", "::1"],
    ["10.0.0.7", 8448, undefined, "10.0.0.7"],
  ])("take port, address and host from the name %s", async (name, port, host, nameHost) => {
    expect(await read("--name", name)).toMatchObject({ name, port, host, nameHost });
  });

  it("are read from a file, whose paths are relative to it, and flags win", async () => {
    const path = config({
      name: "localhost:1",
      data: "d",
      port: 2,
      database: "memory",
      "allow-private": true,
      ca: ["a.pem", "/b.pem"],
      notary: ["n.example"],
      log: "json",
    });
    const filed = await readSettings(["--config", path], true);
    expect(filed).toMatchObject({
      name: "localhost:1",
      data: join(root, "d"),
      port: 2,
      allowPrivate: true,
      log: "json",
    });
    expect(filed.ca).toEqual([join(root, "a.pem"), resolve("/b.pem")]);
    expect(filed.notary).toEqual(["n.example"]);
    const flags = ["--port", "3", "--ca", "c.pem", "--ca", "e.pem", "--log-level", "debug", "--trust-any-certificate"];
    const both = await readSettings(["--config", path, ...flags], true);
    expect(both).toMatchObject({ port: 3, logLevel: "debug", trustAnyCertificate: true, database: { kind: "memory" } });
    expect(both.ca).toEqual([resolve("c.pem"), resolve("e.pem")]);
  });

  it.each([
    [{ nmae: "x", prot: 1 }, /has no setting nmae, prot: they are name, data, port/],
    [{ port: "8x" }, /`port` in .* must be a port/],
    [{ port: 65_536 }, /must be a port/],
    [{ "allow-private": "yes" }, /must be true or false/],
    [{ ca: "a.pem" }, /must be a list/],
    [{ name: 7 }, /must be a text/],
    [{ name: "" }, /must be a text/],
    [{ log: "xml" }, /must be text or json/],
    [{ "log-level": "loud" }, /must be error or warn or info or debug/],
    [[], /one JSON object/],
    ["{", /is no JSON/],
    ['{"name": "a", "name": "b"}', /is no JSON/],
  ])("that are written as %j are refused by name", (value, says) => {
    expect(() => parseConfig(typeof value === "string" ? value : JSON.stringify(value), "f.json")).toThrow(says);
  });

  it.each([
    [["--name", "bad name"], /bad name is no server name/],
    [["--name", "localhost:99999"], /its port is not one from 1 to 65535/],
    [["--name", "localhost:0"], /its port is not one/],
    [[], /serve needs a name/],
    [["--name", "a.example", "--colour"], /Unknown option '--colour'/],
    [["--name", "a.example", "stray"], /Unexpected argument 'stray'/],
    [["--name", "a.example", "--port", "-1"], /--port/],
    [["--name", "a.example", "--tls-key", "k"], /belong together/],
    [["--name", "a.example", "--api", "192.0.2.1:80"], /loopback address or a socket: 192\.0\.2\.1/],
    [["--name", "a.example", "--database", "mysql://x"], /must be sqlite:FILE, postgres:/],
    [["--name", "a.example", "--notary", "not a server"], /is no server name/],
    [["--name", "a.example", "--config", join(root, "none.json")], /none\.json cannot be read/],
  ])("given as %j are refused with a sentence", async (args, says) => {
    await expect(read(...args)).rejects.toThrow(says);
  });

  it("need a folder", async () => {
    await expect(readSettings(["--name", "a.example"], true)).rejects.toThrow(/needs a folder for its data/);
  });

  it("name databases and addresses", () => {
    expect(databaseOf("postgres://u@h/d", "d")).toEqual({ kind: "postgres", url: "postgres://u@h/d" });
    expect(databaseOf("sqlite:x.db", "d")).toEqual({ kind: "sqlite", file: resolve("x.db") });
    expect(apiAddress("127.0.0.1:80", "d")).toEqual({ kind: "tcp", host: "127.0.0.1", port: 80 });
    expect(apiAddress("http://[::1]:80/", "d")).toEqual({ kind: "tcp", host: "::1", port: 80 });
    expect(apiAddress("localhost:0", "d")).toEqual({ kind: "tcp", host: "localhost", port: 0 });
    expect(apiAddress("run/api.sock", "d")).toEqual({ kind: "socket", path: resolve("run/api.sock") });
  });

  it("are all in the help, in lines that fit", () => {
    const help = settingsHelp();
    for (const name of Object.keys(settingsTable)) expect(help).toContain(`--${name}`);
    expect(help.split("\n").filter((line) => line.length > 118)).toEqual([]);
  });
});
