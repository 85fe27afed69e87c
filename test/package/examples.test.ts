/** The examples are run as they stand, over the built package, and their types are checked as a user's would be. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import vm from "node:vm";
import ts from "typescript";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bundle, root } from "./support.js";
import type { Bundle } from "./support.js";

const folder = `${root}examples/minimal-messenger`;

function play(...given: readonly string[]): readonly string[] {
  const run = spawnSync(process.execPath, [`${folder}/main.mjs`, ...given], { cwd: root, encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
  return run.stdout.trimEnd().split("\n");
}

interface Kept {
  readonly full: number;
  readonly messenger: number;
  readonly states: number;
  readonly kilobytes: number;
}

/** What the example tells of its storages: after the talk, and in the end. */
function keptIn(lines: readonly string[]): readonly [Kept, Kept] {
  const told = lines.flatMap((line) => {
    const found = /keeps (\d+) events, the messenger (\d+) events and (\d+) states, (\d+) kB$/.exec(line);
    const [full = NaN, messenger = NaN, states = NaN, kilobytes = NaN] = (found ?? []).slice(1).map(Number);
    return found === null ? [] : [{ full, messenger, states, kilobytes }];
  });
  const [first, second] = told;
  if (first === undefined || second === undefined || told.length > 2) throw new Error("it tells twice");
  return [first, second];
}

describe("the minimal messenger", () => {
  const lines = play();
  const shown = lines.filter((line) => line.startsWith("   [messenger]"));

  it("agrees with two full servers in the end", () => {
    expect(lines.at(-1)).toMatch(/^All three agree: topic "Black tea", state [0-9a-f]{12}\.$/);
  });

  it("keeps far fewer events than they do, and no more after hundreds of messages", () => {
    const [few, end] = keptIn(lines);
    expect(few.messenger).toBeLessThan(few.full);
    expect(end.full).toBeGreaterThan(few.full + 10);
    const [many, last] = keptIn(play("170"));
    expect(many.full).toBe(few.full + 3 * (170 - 6));
    // The room's state, the levels and the membership that were replaced, and the last five events.
    expect(few.messenger).toBe(14);
    expect(many.messenger).toBe(few.messenger);
    // Bob's leave and two more joins and levels came to the auth chain; no message did.
    expect(last.messenger).toBe(end.messenger);
    expect(last.messenger).toBeLessThanOrEqual(20);
    expect(last.states).toBe(end.states);
    for (const { states } of [few, end, many, last]) expect(states).toBeLessThanOrEqual(3);
    // What is on disk is these, a minute of transactions, fifty messages, and the ids of five hundred events.
    expect(last.kilobytes).toBeLessThan(80);
  });

  it("shows every message once, its own and those of others, across restarts and a fork", () => {
    const texts = shown.map((line) => line.replace(/^ {3}\[messenger\] \d+ /, ""));
    expect(new Set(texts).size).toBe(texts.length);
    expect(shown.map((line) => Number(/\d+/.exec(line)?.[0]))).toEqual(texts.map((_, at) => at + 1));
    const rounds = (count: number, say: (round: number) => string): string[] =>
      Array.from({ length: count }, (_, at) => say(at + 1));
    expect(texts).toEqual(
      expect.arrayContaining([
        ...rounds(6, (round) => `@alice:one.example: cup ${round}`),
        ...rounds(6, (round) => `@bob:two.example: and another, ${round}`),
        ...rounds(6, (round) => `anna: cheers, ${round}`),
        ...rounds(8, (round) => `@alice:one.example: still here, ${round}`),
        "@bob:two.example: Hello?",
        "@alice:one.example: All of us.",
      ]),
    );
  });

  it("has the others redact what it takes back", () => {
    expect(lines).toContain("   bob sees it taken back");
  });

  it("asks others for what it forgot, and for the state where its memory ends", () => {
    const [before = "", after = ""] = lines.filter((line) => line.includes("asked the others"));
    expect(before).toMatch(/ 0 times for what it lacked, 0 times for a whole state$/);
    expect(Number(/(\d+) times for what/.exec(after)?.[1])).toBeGreaterThan(1);
    expect(Number(/(\d+) times for a whole/.exec(after)?.[1])).toBeGreaterThan(0);
  });

  it("does the same each time", () => {
    expect(play()).toEqual(lines);
  });

  it("has types that hold", () => {
    expect(readdirSync(folder).filter((name) => name.endsWith(".mjs")).length).toBeGreaterThan(2);
    expect(typeErrors(folder)).toEqual([]);
  });
});

/** What a user's compiler says of an example's files. */
function typeErrors(of: string): readonly string[] {
  const files = readdirSync(of).filter((name) => name.endsWith(".mjs"));
  for (const name of files) expect(readFileSync(`${of}/${name}`, "utf8")).toMatch(/^\/\/ @ts-check\n/);
  const options: ts.CompilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: ["node"],
  };
  const program = ts.createProgram(
    files.map((name) => `${of}/${name}`),
    options,
  );
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start ?? 0).line + 1;
    return `${file?.fileName.replace(root, "") ?? ""}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
  });
}

interface NodeHttp {
  readonly listenHttps: (options: object) => Promise<{ readonly port: number; close(ms?: number): Promise<void> }>;
}

interface OpenApp {
  readonly app: RequestListener;
  close(): Promise<void>;
}

interface Worker {
  readonly default: { fetch(request: Request, env: object): Promise<Response> };
}

/** A server as people of its own, and other servers, ask it. */
interface Asked {
  readonly name: string;
  readonly origin: string;
}

const token = "the token of a test";
const tlsFile = (name: string): string => readFileSync(`${root}fixtures/tls/${name}`, "utf8");

/** To one of the examples' own routes. */
async function ask({ origin }: Asked, path: string, body?: object): Promise<Response> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  return fetchOf(origin)(`${origin}${path}`, {
    headers,
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
  });
}

/** Over TLS only the worker is reached, and Node's fetch cannot be told of an authority: it is called in place. */
let fetchOf: (origin: string) => typeof fetch = () => fetch;

describe("an Express app and a Worker", () => {
  let built: Bundle;
  let worker: Worker["default"];
  let express: Asked;
  let cloud: Asked;
  const closers: (() => unknown)[] = [];
  const workerPath = `${root}examples/worker/worker.mjs`;

  beforeAll(async () => {
    const source = `export { default, Homeserver } from ${JSON.stringify(workerPath)};`;
    built = await bundle(source, "esm");
    const encoded = Buffer.from(built.text).toString("base64");
    worker = ((await import(/* @vite-ignore */ `data:text/javascript;base64,${encoded}`)) as Worker).default;
    const { listenHttps } = (await import(/* @vite-ignore */ `${root}dist/adapters/node-http/index.js`)) as NodeHttp;

    // The worker is behind TLS, as its platform is; names have ports, so that they are there first.
    const env: Record<string, unknown> = {
      SIGNING_SEED: Buffer.alloc(32, 7).toString("base64"),
      TOKEN: token,
      ALLOW_PRIVATE: "true",
      // The app says plain HTTP to the proxy before it: here is what the proxy does.
      OUTBOUND: {
        fetch: (url: URL | string, init?: RequestInit) => fetch(String(url).replace(/^https:/, "http:"), init),
      },
    };
    const handle = (request: Request): Promise<Response> => worker.fetch(request, env);
    const listening = await listenHttps({
      host: "127.0.0.1",
      port: 0,
      handler: { handle },
      key: tlsFile("localhost.key"),
      cert: tlsFile("localhost.pem"),
    });
    closers.push(() => listening.close(100));
    cloud = { name: `localhost:${listening.port}`, origin: `https://localhost:${listening.port}` };
    env["SERVER_NAME"] = cloud.name;
    fetchOf = (origin) => (origin === cloud.origin ? (url, init) => handle(new Request(url, init)) : fetch);

    const http = createServer().listen(0, "127.0.0.1");
    await once(http, "listening");
    closers.push(
      () => http.close(),
      () => http.closeAllConnections(),
    );
    const { port } = http.address() as AddressInfo;
    express = { name: `localhost:${port}`, origin: `http://localhost:${port}` };
    const { openApp } = (await import(/* @vite-ignore */ `${root}examples/express/app.mjs`)) as {
      readonly openApp: (options: object) => Promise<OpenApp>;
    };
    const opened = await openApp({
      name: express.name,
      seed: new Uint8Array(32).fill(9),
      token,
      network: { allowPrivateAddresses: true, ca: tlsFile("ca.pem") },
    });
    http.on("request", opened.app);
    closers.push(() => opened.close());
  });

  afterAll(async () => {
    for (const close of closers.reverse()) await close();
  });

  /** Creates a room on one, joins it from the other, and says something on both sides. */
  async function meet(host: Asked, guest: Asked): Promise<void> {
    const made = await ask(host, "/rooms", { user: "ada", title: "Garden" });
    expect(made.status).toBe(201);
    const { roomId } = (await made.json()) as { readonly roomId: string };
    const room = `/rooms/${encodeURIComponent(roomId)}`;
    const joined = await ask(guest, `${room}/join`, { user: "bob", via: [host.name] });
    expect(await joined.json()).toEqual({ roomId });
    for (const [at, user, text] of [
      [host, "ada", "Tea?"],
      [guest, "bob", "Please."],
    ] as const) {
      expect((await ask(at, `${room}/messages`, { user, text })).status).toBe(201);
    }
    const said = [
      { sender: `@ada:${host.name}`, text: "Tea?" },
      { sender: `@bob:${guest.name}`, text: "Please." },
    ];
    for (const at of [host, guest]) {
      const seen = async (): Promise<unknown> => {
        const { messages } = (await (await ask(at, `${room}/messages`)).json()) as { readonly messages: object[] };
        return new Set(messages);
      };
      await expect.poll(seen, { timeout: 5_000, interval: 20 }).toEqual(new Set(said));
    }
  }

  it("share a room that the app made", () => meet(express, cloud));

  it("share a room that the worker made", () => meet(cloud, express));

  it("refuse other servers that sign nothing, and know what is no endpoint", async () => {
    for (const at of [express, cloud]) {
      const send = { method: "PUT", body: "{}" };
      const unsigned = await fetchOf(at.origin)(`${at.origin}/_matrix/federation/v1/send/1`, send);
      expect(unsigned.status).toBe(401);
      expect(await unsigned.json()).toMatchObject({ errcode: "M_UNAUTHORIZED" });
      const unknown = await fetchOf(at.origin)(`${at.origin}/_matrix/federation/v9/tea`);
      expect(unknown.status).toBe(404);
      expect(await unknown.json()).toMatchObject({ errcode: "M_UNRECOGNIZED" });
    }
  });

  it("let nobody without the token speak for their users, and say what cannot be done", async () => {
    for (const at of [express, cloud]) {
      const bare = await fetchOf(at.origin)(`${at.origin}/rooms`, { method: "POST", body: "{}" });
      expect(bare.status).toBe(401);
      expect((await ask(at, "/rooms", { user: "no such: name" })).status).toBe(400);
      const nowhere = `/rooms/${encodeURIComponent(`!nowhere:${at.name}`)}/messages`;
      expect((await ask(at, nowhere, { user: "ada", text: "Hello?" })).status).toBe(403);
    }
  });
});

describe("the Worker", () => {
  const folder = `${root}examples/worker`;
  const source = `export { default, Homeserver } from ${JSON.stringify(`${folder}/worker.mjs`)};`;

  it("runs where there is nothing of Node, as a Durable Object", async () => {
    const { text, metafile } = await bundle(source, "iife");
    const imports = Object.values(metafile.inputs).flatMap(({ imports: all }) => all.map(({ path }) => path));
    expect(imports.length).toBeGreaterThan(50);
    expect(imports.filter((path) => path.startsWith("node:"))).toEqual([]);
    expect(text).not.toMatch(/["'`]node:/);
    const { crypto, Headers, Request, Response, TextEncoder, TextDecoder, URL, AbortController } = globalThis;
    // One set of types for the platform and what runs on it, as a platform has.
    const platform = {
      ...{ crypto, Headers, Request, Response, TextEncoder, TextDecoder, URL, AbortController, ReadableStream },
      ...{ setTimeout, clearTimeout, Uint8Array },
    };
    const context = vm.createContext({ ...platform }, { codeGeneration: { strings: false, wasm: false } });
    vm.runInContext(text, context);
    expect(vm.runInContext("[typeof process, typeof require, typeof Buffer].join()", context)).toBe(
      "undefined,undefined,undefined",
    );
    const exported = vm.runInContext("bundled", context) as Worker & {
      readonly Homeserver: new (state: unknown, env: object) => Worker["default"];
    };
    const objects = new Map<unknown, Worker["default"]>();
    const env = {
      SERVER_NAME: "rooms.example",
      SIGNING_SEED: Buffer.alloc(32, 3).toString("base64"),
      TOKEN: token,
      WELL_KNOWN: "rooms.example:443",
      HOMESERVER: {
        idFromName: (name: string) => name,
        get: (id: unknown) => {
          const object = objects.get(id) ?? new exported.Homeserver({}, env);
          objects.set(id, object);
          return object;
        },
      },
    };
    const get = async (path: string): Promise<unknown> =>
      (await exported.default.fetch(new Request(`https://rooms.example${path}`), env)).json();
    expect(await get("/.well-known/matrix/server")).toEqual({ "m.server": "rooms.example:443" });
    expect(await get("/_matrix/key/v2/server")).toMatchObject({
      server_name: "rooms.example",
      signatures: { "rooms.example": { "ed25519:1": expect.any(String) as string } },
    });
    expect([...objects.keys()]).toEqual(["rooms.example"]);
  });

  it("has types that hold", () => {
    expect(typeErrors(folder)).toEqual([]);
  });
});

describe("the Express app", () => {
  it("starts behind a proxy, keeps its key, and ends when it is told to", async () => {
    const folder = mkdtempSync(`${tmpdir()}/roomdag-express-`);
    try {
      const keys = [];
      for (let time = 0; time < 2; time++) {
        const main = `${root}examples/express/main.mjs`;
        const args = [main, "--name", "app.example", "--port", "0", "--signing-seed", `${folder}/signing.seed`];
        const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
        const ended = once(child, "exit");
        try {
          const lines: AsyncIterator<string> = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
          const first = await lines.next();
          const origin = /^app\.example listens on (http:\/\/127\.0\.0\.1:\d+)$/.exec(String(first.value))?.[1];
          const published = (await (await fetch(`${origin}/_matrix/key/v2/server`)).json()) as {
            readonly verify_keys: object;
          };
          keys.push(published.verify_keys);
          child.kill("SIGTERM");
          expect(await ended).toEqual([0, null]);
        } finally {
          child.kill("SIGKILL");
        }
      }
      expect(keys[0]).toEqual(keys[1]);
      expect(keys[0]).toMatchObject({ "ed25519:1": expect.any(Object) as object });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
