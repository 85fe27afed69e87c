/** A whole run as plain data, and as text for a person. */
import type { Limits } from "../../engine/limits.js";
import { formatCommand } from "./commands.js";
import type { SimulationCommand } from "./commands.js";

/** Everything that decides a run: the same script gives the same run, event for event. */
export interface SimulationScript {
  /** Of latencies, losses and random ids. */
  readonly seed: number;
  /** Version of the room that the run begins with. */
  readonly version: string;
  readonly preset: "private" | "public" | "trusted";
  /** Signatures that cost a hash, or real ones. */
  readonly keys: "hash" | "ed25519";
  /**
   * Honest servers; each lists the power levels of its users, which decides how many they are. The first
   * user of the first server creates the room.
   */
  readonly servers: readonly (readonly number[])[];
  /** How many of the honest servers are in the room when the commands begin. At least 1. */
  readonly present: number;
  /** The same for the users of one more server, which runs the engine and forges beside it. */
  readonly hostile?: readonly number[];
  /** Whether somebody looks at every change of the state, which makes engines explain each. */
  readonly watched: boolean;
  /** `slow`: what honest servers write takes up to 20 ms, in which other things happen to them. */
  readonly disks: "instant" | "slow";
  /** Limits of every honest server, where they are not the defaults. */
  readonly limits?: Partial<Limits>;
  readonly commands: readonly SimulationCommand[];
}

export const HOSTILE_SERVER = "evil.example";

const letters = ["a", "b", "c", "d", "e", "f", "g", "h"] as const;
const people: Readonly<Record<string, readonly string[]>> = {
  a: ["anna", "alf", "amy"],
  b: ["bea", "ben", "bob"],
  c: ["cleo", "carl", "cora"],
  d: ["dora", "dan", "dirk"],
  e: ["eva", "emil", "ella"],
  f: ["fay", "finn", "fritz"],
  g: ["greta", "gus", "gwen"],
  h: ["hana", "hugo", "heidi"],
  evil: ["mara", "mort", "mia"],
};

/** How many honest servers a script may have, and how many users each. */
export const MOST_SERVERS: number = letters.length;
export const MOST_USERS = 3;

/** A server of a script. */
export interface CastServer {
  readonly name: string;
  readonly hostile: boolean;
  readonly users: readonly { readonly userId: string; readonly level: number }[];
}

/** The servers of a script with their users, the hostile one last. */
export function castOf(script: Pick<SimulationScript, "servers" | "hostile">): readonly CastServer[] {
  const honest = script.servers
    .slice(0, MOST_SERVERS)
    .map((levels, at) => castServer(letters[at] ?? "a", `${letters[at] ?? "a"}.example`, levels, false));
  return script.hostile === undefined ? honest : [...honest, castServer("evil", HOSTILE_SERVER, script.hostile, true)];
}

function castServer(key: string, name: string, levels: readonly number[], hostile: boolean): CastServer {
  const names = people[key] ?? [];
  const users = levels.slice(0, MOST_USERS).map((level, at) => ({ userId: `@${names[at] ?? "x"}:${name}`, level }));
  return { name, hostile, users };
}

/** The script as numbered lines; `skipped` are commands that could not be done where they stood. */
export function formatScript(script: SimulationScript, skipped: ReadonlySet<number> = new Set()): string {
  const keys = script.keys === "ed25519" ? "Ed25519" : "keyed hashes";
  const limits = script.limits === undefined ? "" : `, limits ${JSON.stringify(script.limits)}`;
  const lines = [
    `room version ${script.version}, ${script.preset}, signed by ${keys}, ${script.disks} disks`,
    `  seed ${script.seed}${limits}`,
  ];
  castOf(script).forEach(({ name, hostile, users }, at) => {
    const cast = users.map(({ userId, level }) => `${userId} (${level})`).join(", ");
    const late = !hostile && at >= script.present ? ", not in the room yet" : "";
    lines.push(`  ${name}${hostile ? ", hostile" : ""}${late}: ${cast}`);
  });
  script.commands.forEach((command, at) => {
    const note = skipped.has(at) ? "  (skipped: not possible here)" : "";
    lines.push(`${String(at + 1).padStart(4)}. ${formatCommand(command)}${note}`);
  });
  return lines.join("\n");
}
