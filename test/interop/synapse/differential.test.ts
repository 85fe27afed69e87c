/**
 * The same questions to this library and to the algorithms of an installed Synapse: authorisation and
 * resolution of rooms made to be difficult. `SEED` and `ROOMS` in the environment choose other rooms
 * and more of them.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { answerLine } from "../../../src/inspect/oracle.js";
import { authRequests, fuzzRoom, resolveRequest } from "./room-fuzz.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const python = `${root}.cache/synapse/bin/python`;
const peer = fileURLToPath(new URL("peer.py", import.meta.url));
const seed = Number(process.env["SEED"] ?? "1");
const rooms = Number(process.env["ROOMS"] ?? "150");

interface Answer {
  readonly ok?: unknown;
  readonly error?: string;
}

function ask(requests: readonly object[]): readonly Answer[] {
  const input = requests.map((request) => JSON.stringify(request)).join("\n");
  const run = spawnSync(python, [peer], { input, encoding: "utf8", maxBuffer: 1 << 30 });
  if (run.status !== 0) throw new Error(`the peer ended with ${String(run.status)}: ${run.stderr.slice(-2000)}`);
  return run.stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Answer);
}

const own = (request: object): Answer => JSON.parse(answerLine(JSON.stringify(request))) as Answer;

/** Synapse lets one malformed power-levels event abort a whole resolution; there is no answer to compare with. */
const aborted = (answer: Answer): boolean => answer.error === "SynapseError";

const versions = Array.from({ length: 12 }, (_, n) => n + 1);

beforeAll(() => {
  if (!existsSync(python)) throw new Error("run test/interop/synapse/install.sh first, or `npm run interop`");
});

describe.each(versions)("Synapse and room version %i", (version) => {
  const made = Array.from({ length: rooms }, (_, n) => fuzzRoom((seed * 100_000 + n) * 16 + version, version));
  const resolution = version === 1 ? "resolution-v1" : version === 12 ? "resolution-v2.1" : "resolution-v2";

  const resolutions = made.map(resolveRequest);
  const authorisations = made.flatMap(authRequests);
  let theirs: readonly Answer[] = [];

  beforeAll(() => {
    theirs = ask([...resolutions, ...authorisations]);
  });

  it(`resolve forks alike [cap:${resolution} v:${String(version)}]`, () => {
    let compared = 0;
    resolutions.forEach((request, at) => {
      const answer = theirs[at] ?? {};
      if (aborted(answer)) return;
      const { ok } = own(request);
      expect(Array.isArray(ok) ? [...(ok as string[])].sort() : ok, `room ${String(at)}`).toEqual(answer.ok);
      compared++;
    });
    expect(compared).toBeGreaterThan(rooms * 0.8);
  });

  it(`authorise alike [cap:auth-membership v:${String(version)}] [cap:power-edits v:${String(version)}]`, () => {
    let allowed = 0;
    authorisations.forEach((request, at) => {
      const answer = theirs[resolutions.length + at] ?? {};
      const verdict = own(request).ok as { readonly allowed: boolean } | undefined;
      // An exception that is no verdict refuses the event as well.
      expect(verdict?.allowed, `request ${String(at)}`).toBe(answer.ok ?? false);
      if (verdict?.allowed === true) allowed++;
    });
    expect(allowed).toBeGreaterThan(rooms);
  });
});
