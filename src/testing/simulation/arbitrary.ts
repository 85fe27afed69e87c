/** Scripts by the dozen, for fast-check: any part of a script is a script, so they shrink well. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import type { HostileCommand, SimulationCommand, UserCommand, WorldCommand } from "./commands.js";
import { castOf, HOSTILE_SERVER } from "./script.js";
import type { CastServer, SimulationScript } from "./script.js";

export interface ArbScriptOptions {
  /** Room versions to choose from. Default: 12, 11, 10, 6, 3, 2, 1 and I.1, the latest most often. */
  readonly versions?: readonly string[];
  /** Most honest servers. Default 4. */
  readonly servers?: number;
  /** Whether there may be a hostile server. Default `true`. */
  readonly hostile?: boolean;
  /** Most commands. Default 60. */
  readonly commands?: number;
}

/** The latest versions most often; of the others those that differ in more than a rule. */
const usualVersions = [
  "12",
  "12",
  "11",
  "11",
  "10",
  "9",
  "8",
  "7",
  "6",
  "5",
  "4",
  "3",
  "2",
  "1",
  "I.1",
  "I.1",
] as const;

const levels = fc.constantFrom(50, 100, 0, 75, 50, 100, 50, 1);

export function arbScript(options: ArbScriptOptions = {}): Arbitrary<SimulationScript> {
  const { versions = usualVersions, servers = 4, hostile = true, commands = 60 } = options;
  const users = fc.array(levels, { minLength: 1, maxLength: 2 });
  const hostileUsers = fc.array(fc.constantFrom(50, 100, 50, 75, 0), { minLength: 1, maxLength: 2 });
  const opening = fc.record({
    seed: fc.nat(2 ** 31 - 1),
    version: fc.constantFrom(...versions),
    preset: fc.constantFrom("public" as const, "public" as const, "private" as const, "trusted" as const),
    keys: fc.oneof(
      { arbitrary: fc.constant("hash" as const), weight: 49 },
      { arbitrary: fc.constant("ed25519" as const), weight: 1 },
    ),
    servers: fc.array(users, { minLength: 2, maxLength: Math.max(2, servers) }),
    absent: fc.constantFrom(0, 0, 0, 1, 2),
    hostile: hostile ? fc.option(hostileUsers, { nil: undefined, freq: 3 }) : fc.constant(undefined),
    disks: fc.constantFrom("instant" as const, "instant" as const, "slow" as const),
    watched: fc.nat(7).map((n) => n === 7),
    tight: fc.nat(5).map((n) => n === 5),
  });
  return opening.chain(({ hostile: evil, absent, tight, ...rest }) => {
    const script: Omit<SimulationScript, "commands"> = {
      ...rest,
      present: Math.max(1, rest.servers.length - absent),
      ...(evil === undefined ? {} : { hostile: evil }),
      ...(tight ? { limits: TIGHT } : {}),
    };
    const list = fc.array(commandsOf(script), { minLength: 1, maxLength: commands, size: "max" });
    return list.map((all) => ({ ...script, commands: all }));
  });
}

/** Small caches and batches, so that what is forgotten and what is left for later happens in small rooms. */
const TIGHT = {
  cachedEvents: 4,
  cachedStates: 3,
  cachedResolutions: 2,
  settlePerCommit: 2,
  mergeAbove: 3,
  fetchEvents: 3,
  answerEvents: 4,
} as const;

function commandsOf(script: Omit<SimulationScript, "commands">): Arbitrary<SimulationCommand> {
  const cast = castOf(script);
  const usual: { arbitrary: Arbitrary<SimulationCommand>; weight: number }[] = [
    { arbitrary: userCommands(cast), weight: 14 },
    { arbitrary: worldCommands(cast), weight: 8 },
  ];
  const evil = cast.find(({ hostile }) => hostile);
  if (evil !== undefined) usual.push({ arbitrary: hostileCommands(cast, evil), weight: 7 });
  return fc.oneof(...usual);
}

function userCommands(cast: readonly CastServer[]): Arbitrary<UserCommand> {
  const everybody = cast.flatMap(({ users }) => users.map(({ userId }) => userId));
  const by = fc.constantFrom(...everybody);
  const target = fc.constantFrom(...everybody);
  const via = fc.constantFrom(...cast.filter(({ hostile }) => !hostile).map(({ name }) => name));
  const text = fc.nat(99).map(String);
  const level = fc.constantFrom(0, 100, 50, 75, 25, 99);
  const as = <D extends string>(...names: readonly D[]): Arbitrary<D> => fc.constantFrom(...names);
  const sometimes = fc.nat(3).map((n) => n === 3);
  const room = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1);
  return fc.oneof(
    { arbitrary: fc.record({ do: as("send"), by, room, text }), weight: 6 },
    { arbitrary: fc.record({ do: as("set"), by, room, what: as("name", "topic"), text }), weight: 8 },
    { arbitrary: fc.record({ do: as("level"), by, room, of: target, level }), weight: 3 },
    {
      arbitrary: fc.record({
        do: as("needs"),
        by,
        room,
        key: as("ban", "invite", "kick", "redact", "state_default", "users_default"),
        level,
      }),
      weight: 1,
    },
    {
      arbitrary: fc.record({
        do: as("join rule"),
        by,
        room,
        rule: as("public", "public", "knock", "knock", "invite", "restricted", "knock_restricted"),
      }),
      weight: 2,
    },
    { arbitrary: fc.record({ do: as("invite", "kick", "ban", "unban", "invite"), by, room, target }), weight: 5 },
    {
      arbitrary: fc
        .record({
          do: as("join", "join", "join", "join", "join", "knock", "leave"),
          by,
          room,
          via,
          partial: sometimes,
        })
        // Whom an ACL bars meanwhile asks for the rest of the state for ever.
        .map((join) => (join.by.endsWith(`:${HOSTILE_SERVER}`) ? { ...join, partial: false } : join)),
      weight: 8,
    },
    { arbitrary: fc.record({ do: as("redact"), by, room, back: fc.nat(6) }), weight: 3 },
    { arbitrary: fc.record({ do: as("upgrade"), by, version: as("12", "11", "10", "6", "I.1") }), weight: 1 },
    { arbitrary: fc.record({ do: as("backfill"), by, room }), weight: 1 },
    // Honest servers are not denied: what they agree about with the others would be nothing.
    ...(cast.some(({ hostile }) => hostile)
      ? [{ arbitrary: fc.record({ do: as("deny"), by, room, servers: fc.subarray([HOSTILE_SERVER]) }), weight: 1 }]
      : []),
  );
}

function worldCommands(cast: readonly CastServer[]): Arbitrary<WorldCommand> {
  const names = cast.map(({ name }) => name);
  const server = fc.constantFrom(...names);
  const honest = fc.constantFrom(...cast.filter(({ hostile }) => !hostile).map(({ name }) => name));
  const as = <D extends string>(...all: readonly D[]): Arbitrary<D> => fc.constantFrom(...all);
  const ms = fc.constantFrom(20, 100, 500, 2_000, 30_000, 200_000);
  const latency = fc.constantFrom(50, 10, 500, 5_000);
  return fc.oneof(
    { arbitrary: fc.record({ do: as("wait"), ms }), weight: 8 },
    {
      arbitrary: fc.record({
        do: as("partition"),
        apart: fc.subarray(names, { minLength: 1, maxLength: Math.max(1, names.length - 1) }),
      }),
      weight: 3,
    },
    { arbitrary: fc.record({ do: as("heal") }), weight: 3 },
    { arbitrary: fc.record({ do: as("block", "block", "unblock"), from: server, to: server }), weight: 2 },
    {
      arbitrary: fc.record({
        do: as("conditions"),
        loss: fc.constantFrom(0, 0.1, 0.3),
        duplication: fc.constantFrom(0, 0.2),
        latency,
      }),
      weight: 2,
    },
    { arbitrary: fc.record({ do: as("slow link"), from: server, to: server, latency }), weight: 1 },
    {
      arbitrary: fc.oneof(
        fc.record({ do: as("crash"), server: honest }),
        fc.record({
          do: as("crash"),
          server: honest,
          commit: fc.integer({ min: 1, max: 4 }),
          when: as("before", "after"),
        }),
      ),
      weight: 5,
    },
    { arbitrary: fc.record({ do: as("restart"), server: honest }), weight: 5 },
    { arbitrary: fc.record({ do: as("rotate key", "hide keys", "show keys"), server }), weight: 2 },
    {
      arbitrary: fc.record({
        do: as("clock"),
        server,
        skew: fc.constantFrom(0, -60_000, 60_000, 86_400_000, -86_400_000),
        drift: fc.constantFrom(0, 0.1, -0.1),
      }),
      weight: 1,
    },
  );
}

function hostileCommands(cast: readonly CastServer[], evil: CastServer): Arbitrary<HostileCommand> {
  const others = cast.filter(({ name }) => name !== HOSTILE_SERVER).map(({ name }) => name);
  const as = <D extends string>(...all: readonly D[]): Arbitrary<D> => fc.constantFrom(...all);
  const forged = {
    by: fc.constantFrom(...evil.users.map(({ userId }) => userId)),
    what: as("message", "topic", "message", "name", "topic", "self", "power", "ban"),
    // Mostly where its users still are what they were: further back they were not in the room yet.
    back: fc.oneof(
      { arbitrary: fc.constant(0), weight: 5 },
      { arbitrary: fc.nat(4), weight: 3 },
      { arbitrary: fc.nat(20), weight: 1 },
    ),
    to: fc.subarray(others, { minLength: 1 }),
  };
  return fc.oneof(
    fc.record({ do: as("equivocate"), ...forged }),
    fc.record({ do: as("withhold"), ...forged }),
    fc.record({ do: as("reveal") }),
    fc.record({ do: as("wrong hash"), ...forged }),
    fc.record({ do: as("wrong signature"), ...forged }),
    fc.record({ do: as("stale branch"), ...forged, length: fc.integer({ min: 1, max: 4 }) }),
    fc.record({
      do: as("forged depth"),
      ...forged,
      depth: fc.constantFrom(0, 1, 3, 1_000, Number.MAX_SAFE_INTEGER),
    }),
    fc.record({ do: as("forged time"), ...forged, time: fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER) }),
    fc.record({ do: as("broken authority"), ...forged, how: as("unknown", "wrong", "rejected") }),
    fc.record({ do: as("flood"), ...forged, count: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ do: as("many extremities"), ...forged, count: fc.integer({ min: 2, max: 25 }) }),
  );
}
