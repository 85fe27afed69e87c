/**
 * Makes the vectors in fixtures/vectors/v1 from the sources:
 *
 *   node scripts/vectors.mjs             write them
 *   node scripts/vectors.mjs --check     fail if what is written differs from what the sources give
 *   node scripts/vectors.mjs --confirm synapse|ruma
 *                                        put them to Synapse (test/interop/synapse/install.sh) or to ruma (built by cargo)
 *                                        first, and write down which it answers alike; says where it does not
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { bundle } from "./bundle.mjs";
import { root } from "./entries.mjs";

/** @typedef {import("./vectors/main.js")} Maker */

const folder = `${root}fixtures/vectors/v1/`;
const confirmations = `${folder}confirmed.json`;

/** @returns {import("./vectors/main.js").Confirmed} */
function confirmed() {
  return existsSync(confirmations) ? JSON.parse(readFileSync(confirmations, "utf8")) : {};
}

/** @returns {readonly [command: string, ...args: string[]]} */
function peerOf(/** @type {string | undefined} */ name) {
  if (name === "synapse") return [`${root}.cache/synapse/bin/python`, `${root}test/interop/synapse/vectors_peer.py`];
  if (name !== "ruma") throw new Error("--confirm takes synapse or ruma");
  const target = `${root}.cache/bench-ruma`;
  const args = ["build", "--release", "--locked", "-j1", "--target-dir", target, "--bin", "vectors"];
  const { status } = spawnSync("cargo", args, { cwd: `${root}bench/peers/ruma`, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("ruma cannot be built: cargo is wanted");
  return [`${target}/release/vectors`];
}

/**
 * @param {Maker} maker
 * @param {import("./vectors/main.js").Built} built
 * @param {string | undefined} peer
 */
function confirm(maker, built, peer) {
  const [command, ...args] = peerOf(peer);
  const vectors = built.files.flatMap((file) => file.vectors);
  const requests = vectors.map((vector) => built.expanded(vector));
  const { status, stdout, stderr } = spawnSync(command, args, {
    input: requests.map((request) => JSON.stringify(request)).join("\n"),
    encoding: "utf8",
    maxBuffer: 1 << 30,
  });
  if (status !== 0) throw new Error(`the peer ended with ${status}: ${stderr.slice(-2000)}`);
  const [about = "", ...answers] = stdout.trimEnd().split("\n");
  const { name } = JSON.parse(about);
  /** @type {Record<string, string>} */
  const alike = {};
  let silent = 0;
  vectors.forEach((vector, at) => {
    const answer = JSON.parse(answers[at] ?? "{}");
    if (answer.unasked === true) silent++;
    else if (maker.agrees(vector, answer)) alike[vector.id] = maker.digest(requests[at] ?? {}, vector.expect);
    else console.log(`${vector.id}: ${name} answers ${JSON.stringify(answer).slice(0, 200)}`);
  });
  console.log(
    `${name} answers ${Object.keys(alike).length} of ${vectors.length} alike; ${silent} are no questions to it`,
  );
  writeFileSync(confirmations, `${JSON.stringify({ ...confirmed(), [name]: alike }, null, 0)}\n`);
}

async function main() {
  /** @type {Maker} */
  const maker = await import(pathToFileURL(await bundle("vectors", "scripts/vectors/main.ts")).href);
  const built = maker.build(`${root}fixtures/gallery/`);
  mkdirSync(folder, { recursive: true });
  const asked = process.argv.indexOf("--confirm");
  if (asked >= 0) confirm(maker, built, process.argv[asked + 1]);
  let size = 0;
  for (const [name, text] of maker.texts(built, confirmed())) {
    size += text.length;
    if (!process.argv.includes("--check")) writeFileSync(folder + name, text);
    else if (readFileSync(folder + name, "utf8") !== text) throw new Error(`${name} is not what the sources give`);
  }
  for (const { name, vectors } of built.files) console.log(`${name}: ${vectors.length} vectors`);
  console.log(`${Math.round(size / 1000)} kB`);
}

await main();
