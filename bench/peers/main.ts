/** `npm run bench:peers [-- --quick] [-- --json FILE]`: this library and its peers, in turns on the same rooms. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { nodeProvider } from "../../src/cli/ed25519.js";
import { coreProvider, useSha256 } from "../../src/crypto/index.js";
import { buildPeers, startOwn } from "./build.js";
import { floorTasks, touchRoom } from "./floors.js";
import { measureGroup, measureSamples, OURS_ON_NODE, Rounds } from "./measure.js";
import type { MeasuredRoom } from "./measure.js";
import { ourTasks, resolveRoom } from "./ours.js";
import type { Contender } from "./protocol.js";
import { aloneTable, coldTable, goalsOf, goalsTable, noiseLine, roomsTable, tasksTable } from "./report.js";
import { FLOOR, groups } from "./rooms.js";
import { SAMPLE_BYTES } from "./samples.js";
import { serve } from "./serve.js";
import type { TaskTable } from "./work.js";

const ROUNDS = 15;
const QUICK_ROUNDS = 3;

/** Contenders in this bundle, by their name on the command line. */
const own: Readonly<Record<string, () => TaskTable>> = {
  ours: () => ourTasks(coreProvider),
  [OURS_ON_NODE]: () => {
    useSha256((data) => createHash("sha256").update(data).digest());
    return ourTasks(nodeProvider());
  },
  [FLOOR]: () => floorTasks,
};

const { values: flags } = parseArgs({
  options: { quick: { type: "boolean" }, json: { type: "string" }, contender: { type: "string" } },
});
const contender = own[flags.contender ?? ""];
if (contender === undefined) await main(flags.quick === true, flags.json);
else await serve(contender(), flags.contender === FLOOR ? touchRoom : resolveRoom);

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function section(title: string, rooms: readonly MeasuredRoom[], tableOf: typeof roomsTable): void {
  if (rooms.length > 0) say(`\n### ${title}\n\n${tableOf(rooms)}`);
}

async function main(quick: boolean, json: string | undefined): Promise<void> {
  const contenders = Object.keys(own).map(startOwn);
  const folder = mkdtempSync(join(tmpdir(), "roomdag-peers-"));
  try {
    const about: Record<string, string> = {};
    // The others of this bundle would say the same.
    for (const one of contenders.slice(0, 1)) about[one.name] = await one.about();
    for (const { name, peer } of buildPeers()) {
      const what = typeof peer === "string" ? { missing: peer } : await ready(peer());
      if ("missing" in what) say(`Without ${name}: ${what.missing}.\n`);
      else {
        contenders.push(what.contender);
        about[name] = what.about;
      }
    }
    await measure(contenders, about, quick, json, folder);
  } finally {
    for (const contender of contenders) contender.end();
    rmSync(folder, { recursive: true });
  }
}

type Ready = { readonly contender: Contender; readonly about: string } | { readonly missing: string };

/** What was built may still not run. */
async function ready(contender: Contender): Promise<Ready> {
  try {
    return { contender, about: await contender.about() };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

async function measure(
  contenders: readonly Contender[],
  about: Readonly<Record<string, string>>,
  quick: boolean,
  json: string | undefined,
  folder: string,
): Promise<void> {
  for (const [name, what] of Object.entries(about)) say(`- ${name}: ${what}`);
  const rounds = new Rounds(quick ? QUICK_ROUNDS : ROUNDS);
  const samples = await measureSamples(contenders, rounds, folder);
  say(`\n### one event of ${SAMPLE_BYTES} bytes\n\n${tasksTable(samples)}`);
  const rooms: MeasuredRoom[] = [];
  for (const group of groups(quick)) rooms.push(...(await measureGroup(group, contenders, rounds, folder)));
  const isPeer = (name: string): boolean => name !== "ours" && name !== FLOOR;
  const together = rooms.filter((room) => room.contenders.some(({ contender }) => isPeer(contender)));
  const alone = rooms.filter((room) => !together.includes(room));
  section("rooms, from indexed events and states", together, roomsTable);
  section("rooms, from lists of ids", together, coldTable);
  section("rooms, this library alone", alone, aloneTable);
  const goals = goalsOf(rooms, samples);
  const noise = rounds.noise();
  say(`\n### goals\n\n${goalsTable(goals)}\n\n${noiseLine(noise)}`);
  if (json !== undefined) {
    writeFileSync(json, `${JSON.stringify({ unit: "ms", about, noise, goals, rooms, samples }, null, 1)}\n`);
  }
}
