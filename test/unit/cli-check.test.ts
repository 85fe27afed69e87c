import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parseArguments } from "../../src/cli/arguments.js";
import { runBench } from "../../src/cli/bench.js";
import { runCheck } from "../../src/cli/check.js";
import { nodeProvider } from "../../src/cli/ed25519.js";
import { Failure } from "../../src/cli/failure.js";
import { Output } from "../../src/cli/output.js";
import { coreProvider, selfTest } from "../../src/crypto/index.js";
import { keys, RoomMaker, smallRoom } from "./inspect-support.js";

const rooms = fileURLToPath(new URL("../../fixtures/rooms", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "roomdag-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof value === "string" ? value : JSON.stringify(value));
  return path;
}

class Memory extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

interface Outcome {
  readonly status: number;
  readonly output: string;
  readonly errors: string;
}

async function check(...args: readonly string[]): Promise<Outcome> {
  const command = parseArguments(["check", ...args], false);
  if (command.command !== "check") throw new Error("this is another command");
  const output = new Memory();
  const errors = new Memory();
  const status = await runCheck(command.options, new Output(output), new Output(errors));
  return { status, output: output.text, errors: errors.text };
}

const { create, join: joined, rules, message, intruder } = smallRoom();
const idOfJoin = new RoomMaker().idOf(joined);

describe("check", () => {
  it("a folder stands for its files of JSON, JSON5 and lines, and for texts that are scenarios", async () => {
    const inside = join(folder, "formats");
    mkdirSync(inside);
    const { timeline } = JSON.parse(readFileSync(join(rooms, "fork-v11-a.json"), "utf8")) as { timeline: unknown[] };
    const lines = timeline.map((event) => JSON.stringify(event)).join("\n");
    const scenario = "alice creates\nalice joins";
    const texts = { "a.json": lines, "b.json5": `// a room\n${JSON.stringify(timeline)}`, "c.ndjson": lines };
    const others = { "d.jsonl": lines, "e.txt": scenario, "notes.txt": "about this folder", "README.md": scenario };
    for (const [name, text] of Object.entries({ ...texts, ...others })) writeFileSync(join(inside, name), text);
    const { status, output, errors } = await check(inside);
    expect({ status, errors }).toEqual({ status: 0, errors: "" });
    const names = output.split("\n").flatMap((line) => /^([a-z]\.\w+) +version 11/.exec(line)?.[1] ?? []);
    expect(names).toEqual(["a.json", "b.json5", "c.ndjson", "d.jsonl", "e.txt"]);
    rmSync(inside, { recursive: true });
    mkdirSync(inside);
    writeFileSync(join(inside, "notes.txt"), "about this folder");
    await expect(check(inside)).rejects.toThrow(/holds no \.json, \.json5, .* and no scenario in a \.txt file/);
  });

  it("a folder gets one line a file and a closing sentence; all recorded rooms agree", async () => {
    const { status, output, errors } = await check(rooms);
    const lines = output.trimEnd().split("\n");
    expect(errors).toBe("");
    expect(lines).toHaveLength(53);
    expect(lines[0]).toMatch(/^fork-v1-a\.json +version 1 +18 events {2}18 accepted +18 signatures verified/);
    expect(lines[0]).toMatch(/state agrees \(2\)$/);
    expect(lines[52]).toMatch(/^All 51 files agree\. 1018 events of room versions 1, 2, .* 12: /);
    expect(lines[52]).toMatch(/109 recorded states compared\.$/);
    expect(status).toBe(0);
  });

  it("a file gets a whole report", async () => {
    const { status, output } = await check(join(rooms, "fork-v12-r1.json"), "--trace");
    expect(output).toContain("Resolved state (11 events, after 1 forward extremity)");
    const merge = "$SvexnxoWssqIdMtjzQO8JMRJlgZ4G92GqmAqC7HEgg0";
    expect(output).toContain(`synapse_state_ids, before ${merge}: agrees, 11 events`);
    expect(output).toContain("algorithm v2.1");
    expect(status).toBe(0);
  });

  it("the status is 1 when an event is refused", async () => {
    const keyFile = file("keys.json", keys);
    const { status, output } = await check(file("bad.json", [create, joined, rules, intruder]), "--keys", keyFile);
    expect(status).toBe(1);
    expect(output).toContain("4 signatures verified");
    expect(output).toContain("v10 rule 5");
  });

  it("--json is one object a file", async () => {
    const { output } = await check("--json", file("a.json", [create]), file("b.json", [create, intruder]));
    const reports = output
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(reports).toMatchObject([
      { room_version: "10", agrees: true, counts: { accepted: 1 } },
      { agrees: false, counts: { accepted: 1, "rejected-by-auth-events": 1 } },
    ]);
  });

  it("--explain tells about one event", async () => {
    const path = join(rooms, "fork-v10-a.json");
    const id = "$sGUzXZmedYMBXJZmZ5gjQ1vEvmPw7JMg07-Zh-IReWY";
    const { output, status } = await check(path, "--explain", id);
    expect(output).toMatch(/accepted by v10 rule 4\.6\.2, against the state before it/);
    expect(status).toBe(0);
    await expect(check(path, "--explain", "$gone")).rejects.toThrow(Failure);
  });

  it("the status is 2 for what cannot be checked, with a sentence on why", async () => {
    const client = file("client.json", { chunk: [{ type: "m.room.message", content: {} }] });
    expect(await check(client)).toMatchObject({
      status: 2,
      output: "",
      errors: expect.stringContaining("client-server API") as string,
    });
    expect(await check(file("nothing.json", "nothing"))).toMatchObject({ status: 2 });
    const unknown = await check(file("message.json", [message]));
    expect(unknown).toMatchObject({ status: 2, errors: expect.stringContaining("(--room-version)") as string });
    expect((await check(file("message.json", [message]), "--room-version", "10")).status).toBe(0);
    await expect(check(join(folder, "absent.json"))).rejects.toThrow(Failure);
    await expect(check(client, "--room-version", "99")).rejects.toThrow(/unknown/);
  });

  it("an unreadable file is named once, an empty one is called empty", async () => {
    const path = file("latin1.json", "");
    writeFileSync(path, Uint8Array.of(0x22, 0xe9, 0x22));
    expect((await check(path)).errors).toBe(`roomdag: ${path} is not UTF-8 text, or too long to be held as text\n`);
    const empty = file("empty.json", " \n");
    expect((await check(empty)).errors).toBe(`roomdag: ${empty}: this is empty\n`);
  });

  it("a table without keys is refused, because it would leave every signature unchecked", async () => {
    const room = file("room.json", [create]);
    const answer = { server_name: "a.example", verify_keys: { "ed25519:1": { key: keys["a.example"] } } };
    const tables = [
      {},
      { hello: "world" },
      { "a.example": {} },
      { verify_keys: { "a.example": {} } },
      { server_keys: [] },
    ];
    for (const table of tables) {
      await expect(check(room, "--keys", file("table.json", table))).rejects.toThrow(/holds no keys/);
    }
    for (const table of [keys, answer, { server_keys: [answer] }]) {
      expect((await check(room, "--keys", file("table.json", table))).status).toBe(0);
    }
  });

  it("what was left open is said beside the verdict on the file, and what to fetch", async () => {
    const { output } = await check(file("open.json", [create, rules]));
    expect(output).toContain("  0 signatures verified, 2 unchecked (unknown keys)\n");
    expect(output).toMatch(/Not in the file\n {2}\$\S+, named by 1 event\n/);
    expect(output).toMatch(/No disagreement found, 1 event undecided and 2 signatures unchecked\.\n$/);
  });

  it("without a create event no state is claimed", async () => {
    const { output } = await check(file("rest.json", [joined, rules]), "--room-version", "10");
    expect(output).toContain("\nResolved state\n  unknown: the ancestry of no event is complete\n");
    const explained = await check(file("rest.json", [joined]), "--room-version", "10", "--explain", idOfJoin);
    expect(explained.output).toMatch(/State before it: unknown\n {2}m\.room\.create +unknown/);
  });

  it("lists end after a hundred entries", async () => {
    const malformed = Array.from({ length: 103 }, (_, depth) => ({ type: "m.room.message", depth }));
    const { output } = await check(file("many.json", malformed), "--room-version", "10");
    expect(output.match(/ {2}… and 3 more, all of them in the JSON form of this report/g)).toHaveLength(2);
    expect(output).toContain("103 disagreements found.");
  });

  it("one bad file among others does not stop the rest", async () => {
    const { status, output } = await check("--summary", file("nothing.json", "nothing"), file("a.json", [create]));
    expect(output).toMatch(/^a\.json .*\n\nThe file agrees\..* 1 file could not be checked\.\n$/s);
    expect(status).toBe(2);
  });
});

describe("bench resolve", () => {
  it("prints one line of JSON", async () => {
    const memory = new Memory();
    await runBench(join(rooms, "fork-v10-r1.json"), 3, new Output(memory));
    const line = JSON.parse(memory.text) as Record<string, number>;
    expect(line).toMatchObject({ room_version: "10", iters: 3, state_sets: 2, resolved: 11 });
    expect(line["min_ms"]).toBeLessThanOrEqual(line["median_ms"]!);
    expect(line["median_ms"]).toBeLessThanOrEqual(line["max_ms"]!);
  });

  it("takes resolve requests only", async () => {
    await expect(runBench(file("a.json", [create]), 1, new Output(new Memory()))).rejects.toThrow(/no resolve request/);
  });
});

describe("arguments", () => {
  it.each([
    [[], "no command is given"],
    [["frobnicate"], "there is no command frobnicate"],
    [["check"], "check takes at least one file"],
    [["check", "x", "--frobnicate"], "Unknown option '--frobnicate'"],
    [["check", "x", "--iters", "3"], "check takes no --iters"],
    [["oracle", "x"], "oracle takes no arguments"],
    [["oracle", "--json"], "oracle takes no --json"],
    [["bench", "x"], "bench takes: resolve FILE"],
    [["bench", "resolve", "x", "--iters", "0"], "--iters is a number"],
    [["bench", "resolve", "x", "--iters", "many"], "--iters is a number"],
  ])("%j is answered with a sentence", (args, sentence) => {
    expect(() => parseArguments(args, true)).toThrow(Failure);
    expect(() => parseArguments(args, true)).toThrow(sentence);
  });

  it("are read into commands", () => {
    expect(parseArguments(["--help"], true)).toEqual({ command: "help" });
    expect(parseArguments(["check", "-h"], true)).toEqual({ command: "help" });
    expect(parseArguments(["--version"], true)).toEqual({ command: "version" });
    expect(parseArguments(["oracle"], true)).toEqual({ command: "oracle" });
    expect(parseArguments(["bench", "resolve", "f"], true)).toEqual({ command: "bench", file: "f", iterations: 20 });
    expect(parseArguments(["check", "-", "--no-color", "--room", "!r:a"], true)).toMatchObject({
      options: { paths: ["-"], colour: false, roomId: "!r:a", json: false },
    });
  });
});

it("the platform's Ed25519 is used only with the verdicts of the network", () => {
  const provider = nodeProvider();
  expect(provider).not.toBe(coreProvider);
  expect(selfTest(provider)).toBe(true);
});
