/** `roomdag serve` and `roomdag client` as they are run: two processes over HTTPS on loopback. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { selfSignedCertificate } from "../../src/cli/serve/certificate.js";

const cli = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "roomdag-"));
const running = new Set<Serving>();

afterAll(async () => {
  for (const serving of running) await serving.stop("SIGKILL");
  rmSync(root, { recursive: true });
});

interface Serving {
  readonly name: string;
  readonly data: string;
  /** Lines of its log. */
  readonly log: () => readonly Readonly<Record<string, unknown>>[];
  readonly child: ChildProcess;
  /** The exit status, or the signal. */
  readonly ended: Promise<number | string | null>;
  stop(signal: NodeJS.Signals): Promise<number | string | null>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts a server and waits until it serves. */
async function serve(name: string, data: string, ...args: readonly string[]): Promise<Serving> {
  const flags = ["--name", name, "--data", data, "--database", "memory", "--log", "json", "--allow-private", ...args];
  const child = spawn(process.execPath, [cli, "serve", ...flags], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  const ended = new Promise<number | string | null>((resolve) => {
    child.on("exit", (status, signal) => resolve(signal ?? status));
  });
  const log = (): readonly Readonly<Record<string, unknown>>[] =>
    text
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  await new Promise<void>((resolve, reject) => {
    child.stderr.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('"event":"started"')) resolve();
    });
    void ended.then((status) => reject(new Error(`it ended with ${String(status)}: ${text}`)));
  });
  const serving: Serving = {
    name,
    data,
    log,
    child,
    ended,
    stop: (signal) => {
      child.kill(signal);
      running.delete(serving);
      return ended;
    },
  };
  running.add(serving);
  return serving;
}

interface Ran {
  readonly status: number | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

function run(args: readonly string[], input?: string): Promise<Ran> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ["pipe", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    child.on("close", (status) => resolve({ status, errors, lines: output.split("\n").filter((line) => line !== "") }));
    child.stdin.end(input);
  });
}

/** One command of the client, which is to succeed: its lines. */
async function client({ data }: Serving, user: string, ...words: readonly string[]): Promise<readonly string[]> {
  const ran = await run(["client", "--data", data, "--as", user, ...words]);
  expect(ran.errors).toBe("");
  expect(ran.status).toBe(0);
  return ran.lines;
}

/** The first word of the first line: an id. */
function idIn(lines: readonly string[]): string {
  return lines[0]?.split(" ")[0] ?? "";
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; !(await what()); attempt++) {
    if (attempt === 40) throw new Error("it never came to be");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("two servers", () => {
  let one: Serving;
  let two: Serving;
  let ada: string;
  let bob: string;

  beforeAll(async () => {
    const [first, second] = [await freePort(), await freePort()];
    // Each trusts the other's certificate, and nobody else's.
    const trust = [first, second].map((port) => {
      const folder = join(root, String(port));
      mkdirSync(folder);
      const day = 24 * 60 * 60 * 1000;
      const life = { notBefore: Date.now() - day, notAfter: Date.now() + day };
      const { certificate, key } = selfSignedCertificate({ host: "localhost", ...life });
      const [cert, keyFile] = [join(folder, "c.pem"), join(folder, "k.pem")];
      writeFileSync(cert, certificate);
      writeFileSync(keyFile, key);
      return { cert, keyFile };
    });
    const [mine, theirs] = trust as [(typeof trust)[0], (typeof trust)[0]];
    const flags = (own: typeof mine, other: typeof mine) => [
      ...["--tls-cert", own.cert, "--tls-key", own.keyFile],
      ...["--ca", other.cert],
    ];
    [one, two] = await Promise.all([
      serve(`localhost:${first}`, join(root, "one"), ...flags(mine, theirs)),
      serve(`localhost:${second}`, join(root, "two"), ...flags(theirs, mine)),
    ]);
    [ada, bob] = [`@ada:${one.name}`, `@bob:${two.name}`];
  });

  it("share a room over HTTPS: create, join, send, ban, timeline, why, as the client does it", async () => {
    const room = idIn(await client(one, ada, "create", "--version", "11", "--preset", "public", "Garden"));
    expect(room).toMatch(/^!/);
    expect((await client(two, bob, "join", room, one.name))[0]).toBe(`${room} version 11 2 joined "Garden"`);
    const hello = idIn(await client(two, bob, "send", room, "Hello", "from", "two"));
    await until(async () => (await client(one, ada, "timeline", room, "1"))[0]?.includes(hello) === true);
    const [last] = await client(one, ada, "timeline", room, "1");
    expect(last).toContain(`${bob} "Hello from two"`);
    expect(await client(two, bob, "backfill", room)).toEqual(["6 more events"]);
    const ban = idIn(await client(one, ada, "ban", room, bob, "spam"));
    await until(async () => (await client(two, bob, "members", room)).includes(`ban    ${bob}`));
    const why = (await client(two, bob, "why", ban)).join("\n");
    expect(why).toContain("accepted: allowed by its auth events and by the state before it");
    expect(why).toContain("v11 rule 4.6.2 (member.ban.level)");
    expect(why).toMatch(new RegExp(`m\\.room\\.member ${bob}: join \\S+ -> ban`));
    expect(why).toContain("It is the room's current state.");
    const silenced = await run(["client", "--data", two.data, "--as", bob, "send", room, "Still", "here?"]);
    expect(silenced.status).toBe(1);
    expect(silenced.errors).toMatch(/^unknown_room: no user of localhost:\d+ is in !/);
    for (const serving of [one, two]) expect((await client(serving, ada, "check"))[0]).toMatch(/^sound: \d+ rooms/);
  });

  it("hear of an invite, a knock, a redaction and an upgrade, typed line by line", async () => {
    const script = [
      "# what a person types",
      `as ${ada}`,
      "create --version 10 Orchard",
      'set m.room.join_rules {"join_rule":"knock"}',
      "state m.room.join_rules",
      `invite ${bob} come in`,
      "members",
      "nonsense",
      "quit",
    ];
    const typed = await run(["client", "--data", one.data], script.join("\n"));
    expect(typed.errors).toBe("there is no command nonsense: help lists them\n");
    expect(typed.status).toBe(1);
    const room = idIn(typed.lines);
    expect(typed.lines[2]).toMatch(/^m\.room\.join_rules \{"join_rule":"knock"\} \$/);
    expect(typed.lines.slice(-2)).toEqual([`invite ${bob}`, `join   ${ada}`]);
    expect(await client(two, bob, "rooms")).toContain(`${room} version 10 invite`);
    await client(two, bob, "leave", room);
    await until(async () => (await client(one, ada, "members", room)).includes(`leave  ${bob}`));
    await client(two, bob, "knock", room, one.name);
    await until(async () => (await client(one, ada, "members", room)).includes(`knock  ${bob}`));
    const said = idIn(await client(one, ada, "send", room, "Oops"));
    await client(one, ada, "redact", room, said, "a slip");
    expect((await client(one, ada, "timeline", room, "2"))[0]).toContain("(redacted)");
    const next = idIn(await client(one, ada, "upgrade", room, "12"));
    expect((await client(one, ada, "room", room)).join("\n")).toContain(`replacement        ${next}`);
  });

  it("shows what happens to who follows, and answers in JSON", async () => {
    const [made = ""] = await client(one, ada, "--json", "create", "Pond");
    const { roomId, version } = JSON.parse(made) as { roomId: string; version: string };
    expect(version).toBe("12");
    const following = spawn(process.execPath, [cli, "client", "--data", one.data, "follow", roomId]);
    let seen = "";
    following.stdout.on("data", (chunk: Buffer) => (seen += chunk.toString()));
    await until(async () => {
      await client(one, ada, "send", roomId, "Splash");
      return seen.includes('"Splash"');
    });
    following.kill();
  });

  it("ends on a signal when all is done, and starts again", async () => {
    expect(await two.stop("SIGTERM")).toBe(0);
    expect(two.log().map(({ event }) => event)).toEqual(expect.arrayContaining(["started", "stopping", "stopped"]));
    expect(two.log().every(({ time, level }) => typeof time === "string" && typeof level === "string")).toBe(true);
    const gone = await run(["client", "--data", two.data, "health"]);
    expect([gone.status, gone.errors]).toEqual([2, expect.stringMatching(/^roomdag: no server is running at /)]);
    const again = await serve(two.name, two.data);
    expect(await again.stop("SIGINT")).toBe(0);
  });
});

describe("a server that cannot start says why in a sentence, with status 2", () => {
  const start = (...args: readonly string[]): readonly [number | null, string] => {
    const ran = spawnSync(process.execPath, [cli, "serve", "--log", "text", ...args], { encoding: "utf8" });
    const [said = ""] = ran.stderr.split("\n").filter((line) => line.startsWith("roomdag: "));
    return [ran.status, said];
  };

  it("a bad name, and a folder that is another server's", async () => {
    const data = join(root, "named");
    expect(start("--name", "no name", "--data", data)).toEqual([2, expect.stringMatching(/no name is no server name/)]);
    const name = `localhost:${await freePort()}`;
    const serving = await serve(name, data);
    await serving.stop("SIGTERM");
    const other = start("--name", "localhost:1234", "--data", data, "--database", "memory");
    expect(other).toEqual([2, expect.stringContaining(`belongs to ${name}`)]);
  });

  it("a port that is in use, and a folder that is", async () => {
    const data = join(root, "busy");
    const name = `localhost:${await freePort()}`;
    const serving = await serve(name, data);
    const same = start("--name", name, "--data", data, "--database", "memory");
    expect(same).toEqual([2, expect.stringMatching(/is in use by process \d+: stop it first/)]);
    const beside = start("--name", name, "--data", join(root, "beside"), "--database", "memory");
    expect(beside).toEqual([2, expect.stringMatching(/port \d+ of 127\.0\.0\.1 is in use/)]);
    // A process that was killed leaves its folder to the next.
    expect(await serving.stop("SIGKILL")).toBe("SIGKILL");
    const next = await serve(name, data);
    await next.stop("SIGTERM");
    const last = await serve(name, join(root, "beside"));
    await last.stop("SIGTERM");
  });

  it.skipIf(process.platform === "win32")("a signing key that is none, or that others may read", async () => {
    const data = join(root, "keys");
    const name = `localhost:${await freePort()}`;
    const serving = await serve(name, data);
    await serving.stop("SIGTERM");
    const key = join(data, "signing.key");
    const text = readFileSync(key, "utf8");
    chmodSync(key, 0o644);
    const args = ["--name", name, "--data", data, "--database", "memory"];
    expect(start(...args)).toEqual([2, expect.stringContaining(`can be read by others: chmod 600 ${key}`)]);
    chmodSync(key, 0o600);
    writeFileSync(key, text.replace("ed25519", "rsa"));
    expect(start(...args)).toEqual([2, expect.stringMatching(/line 1, is no signing key: a line is/)]);
    writeFileSync(key, text);
    expect(start(...args, "--signing-key", join(root, "none"))).toEqual([
      2,
      expect.stringMatching(/no signing key at/),
    ]);
  });

  it("a folder that cannot be written, an unknown flag, a bad file", () => {
    const file = join(root, "a-file");
    writeFileSync(file, "{}");
    const name = ["--name", "localhost:1234"];
    expect(start(...name, "--data", join(file, "x"))).toEqual([
      2,
      expect.stringMatching(/data folder .* cannot be used/),
    ]);
    expect(start(...name, "--data", root, "--prot", "1")).toEqual([
      2,
      expect.stringMatching(/Unknown option '--prot'/),
    ]);
    writeFileSync(file, '{"nmae": "x"}');
    expect(start("--config", file)).toEqual([2, expect.stringMatching(/has no setting nmae/)]);
  });
});

describe("roomdag check --store", () => {
  it("needs a folder of serve, and no files beside it", async () => {
    const none = await run(["check", "--store", join(root, "nothing")]);
    expect([none.status, none.errors]).toEqual([2, expect.stringMatching(/is no data folder of roomdag serve/)]);
    const both = await run(["check", "--store", root, "file.json"]);
    expect([both.status, both.errors]).toEqual([2, expect.stringMatching(/not both/)]);
  });

  it("looks at a store, and not while a server has it", async () => {
    const data = join(root, "store");
    const serving = await serve(`localhost:${await freePort()}`, data);
    const busy = await run(["check", "--store", data, "--database", "memory"]);
    expect([busy.status, busy.errors]).toEqual([2, expect.stringMatching(/is in use by process/)]);
    await serving.stop("SIGTERM");
    const found = await run(["check", "--store", data, "--database", "memory"]);
    expect([found.status, found.lines]).toEqual([0, ["Sound: 0 rooms, 0 events, 0 rows to be sent."]]);
  });
});
