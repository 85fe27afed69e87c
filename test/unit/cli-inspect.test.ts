/** The commands audit and replay: exit status, words and JSON. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { parseArguments } from "../../src/cli/arguments.js";
import { Failure } from "../../src/cli/failure.js";
import { runAudit, runReplay } from "../../src/cli/inspect/main.js";
import { Output } from "../../src/cli/output.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));
const reset = fixture("gallery/msc4297-problem-b.txt");
const rollback = fixture("gallery/rollback.txt");
const healthy = fixture("rooms/synapse-v11.json");
const folder = mkdtempSync(join(tmpdir(), "roomdag-"));
afterAll(() => rmSync(folder, { recursive: true }));

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

async function run(name: "audit" | "replay", ...args: readonly string[]): Promise<Outcome> {
  const command = parseArguments([name, ...args], false);
  if (command.command !== name) throw new Error("this is another command");
  const [output, errors] = [new Memory(), new Memory()];
  const act = name === "audit" ? runAudit : runReplay;
  const status = await act(command.args, false, new Output(output), new Output(errors));
  return { status, output: output.text, errors: errors.text };
}

describe("audit", () => {
  it.each([
    ["nothing", [healthy], 0],
    ["notes", [fixture("gallery/rename-erased-by-late-fork.txt")], 0],
    ["a warning", [rollback], 1],
    ["an error", [reset], 3],
    ["no error in version 12", [reset, "--room-version", "12"], 0],
    ["the worst of several", [healthy, reset, rollback], 3],
  ])("ends with the status for %s", async (_what, args, status) => {
    expect((await run("audit", ...args)).status).toBe(status);
  });

  it("says a file that is of no use, and goes on", async () => {
    const path = join(folder, "sync.json");
    writeFileSync(path, '{"next_batch":"x","rooms":{}}');
    const alone = await run("audit", path);
    expect(alone).toMatchObject({ status: 2, output: "" });
    expect(alone.errors).toContain("client-server API");
    const both = await run("audit", path, rollback);
    expect(both.status).toBe(1);
    expect(both.errors.trimEnd().split("\n")).toHaveLength(1);
    expect(both.output).toContain("rollback.txt: room version 11, 11 events, 1 merges");
  });

  it("tells by the names of the file, and notes where they are asked for", async () => {
    const { output } = await run("audit", reset);
    expect(output).toContain("error reset  m.room.power_levels: third was reset and first stands");
    const late = fixture("gallery/rename-erased-by-late-fork.txt");
    expect((await run("audit", late)).output).not.toContain("note overwritten");
    expect((await run("audit", late, "--notes")).output).toContain("note overwritten");
  });

  it("writes one JSON object a file", async () => {
    const { output } = await run("audit", reset, rollback, "--json");
    const [one, two] = output
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect([one?.["worst"], two?.["worst"]]).toEqual(["error", "warning"]);
    expect(one?.["file"]).toBe(reset);
  });
});

describe("replay", () => {
  it("ends with 0 where nothing differs and with 1 where something does", async () => {
    const same = await run("replay", healthy, "--as", "12");
    expect(same.status).toBe(0);
    expect(same.output).toContain("nothing differs");
    const other = await run("replay", "--as", "12", reset);
    expect(other.status).toBe(1);
    expect(other.output).toContain("m.room.power_levels before merge: first here, third there");
    const json = await run("replay", reset, "--as", "12", "--json");
    expect(JSON.parse(json.output)).toMatchObject({ from: "11", to: "12", same: false, verdicts: [] });
  });
});

describe("the command line", () => {
  it.each([
    ["audit", [], /at least one file/],
    ["audit", ["x", "--as", "12"], /no --as/],
    ["replay", ["x"], /--as VERSION/],
    ["replay", ["x", "--as", "99"], /room version 99 is unknown: it is one of 1, /],
    ["replay", ["x", "--as", "12", "--notes"], /no --notes/],
    ["audit", ["x", "--wrong"], /wrong/],
    ["audit", ["x", "--store", "data"], /either files or --store DIR/],
    ["audit", ["x", "--database", "memory"], /--database belongs to --store/],
    ["audit", ["--store", "data", "--keys", "x"], /--store takes no --keys/],
    ["replay", ["--store", "data", "--as", "12", "--room-version", "11"], /--store takes no --room-version/],
    ["audit", ["--store", folder], /is no data folder of roomdag serve/],
  ] as const)("%s %j makes no sense", async (name, args, reason) => {
    await expect(run(name, ...args)).rejects.toThrow(reason);
    await expect(run(name, ...args)).rejects.toBeInstanceOf(Failure);
  });

  it("has its help on the common page", () => {
    expect(parseArguments(["audit", "--help"], false)).toEqual({ command: "help" });
  });
});
