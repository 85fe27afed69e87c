/** One run: a room begins, the commands of the script happen to it, everything heals, and all of it is judged. */
import type { JsonObject } from "../../json/value.js";
import type { Room } from "../../engine/room.js";
import { messageOf } from "./content.js";
import { Forger } from "./forger.js";
import { judge } from "./judge.js";
import { perform } from "./perform.js";
import { formatScript } from "./script.js";
import type { SimulationScript } from "./script.js";
import { World } from "./world.js";
import type { Sabotage, SimulatedServer, WorldOptions } from "./world.js";

export interface SimulationOptions {
  /**
   * Lets every promise settle that can settle without more time. Where there is an event loop:
   * `() => new Promise((resolve) => setImmediate(resolve))`.
   */
  readonly settle: () => Promise<void>;
  /** Whether to record what happened, for its hash and for reading. */
  readonly trace?: boolean;
  /** Breaks servers on purpose, to see that it is noticed. */
  readonly sabotage?: Sabotage;
  /** Looks at the servers before they are judged. */
  readonly inspect?: (world: World) => Promise<void> | void;
}

export interface SimulationReport {
  readonly script: SimulationScript;
  /** Everything that is wrong, in sentences; empty for a run that went well. */
  readonly violations: readonly string[];
  /** Places of the commands that could not be done where they stood. */
  readonly skipped: ReadonlySet<number>;
  /** Virtual milliseconds. */
  readonly took: number;
  /** Events that calls of users were told are taken, and messages between servers. */
  readonly acknowledged: number;
  readonly requests: number;
  readonly stateChanges: number;
  readonly crashes: number;
  /** What users asked for, by the first word of it: how often it was done, and how often refused. */
  readonly outcomes: World["outcomes"];
  readonly trace: World["trace"];
}

/** Runs a script. It never throws for what servers do: that is what {@link SimulationReport.violations} are for. */
export async function runSimulation(script: SimulationScript, options: SimulationOptions): Promise<SimulationReport> {
  const worldOptions: WorldOptions = {
    settle: options.settle,
    trace: options.trace ?? false,
    ...(options.sabotage === undefined ? {} : { sabotage: options.sabotage }),
  };
  const world = new World(script, worldOptions);
  const skipped = new Set<number>();
  await begin(world);
  const { hostile } = world;
  const forger = hostile === undefined ? undefined : new Forger(world, hostile);
  for (const [at, command] of script.commands.entries()) {
    if (world.trace.on) world.trace.note("script", JSON.stringify(command));
    if (!(await perform(world, forger, command))) skipped.add(at);
    // Nothing of this millisecond is left undone, so that no two commands race in a way that no seed decides.
    await world.run(1);
  }
  await heal(world);
  await speakOnceMore(world);
  await options.inspect?.(world);
  const violations = await judge(world, {
    manyBodied: forger?.manyBodied ?? new Set(),
    describe: (eventId) => forger?.describe(eventId) ?? eventId,
  });
  return {
    script,
    violations,
    skipped,
    took: world.time.now,
    acknowledged: world.acknowledged.length,
    requests: world.network.statistics().requests,
    stateChanges: world.stateChanges,
    crashes: world.honest.reduce((sum, { disk }) => sum + disk.crashes, world.crashes),
    outcomes: world.outcomes,
    trace: world.trace,
  };
}

/** The room, with those servers in it that are to be there from the beginning. */
async function begin(world: World): Promise<void> {
  const { script, version } = world;
  const [first] = world.honest;
  const creator = first?.users[0]?.userId;
  if (first === undefined || creator === undefined) return;
  const evil = world.hostile === undefined ? [] : [world.hostile];
  const present = [...world.honest.slice(0, Math.max(1, script.present)), ...evil];
  const users = Object.fromEntries(
    [...world.servers.values()]
      .flatMap((server) => server.users)
      .filter(({ userId, level }) => level !== 0 && !(userId === creator && isAboveLevels(version.rules)))
      .map(({ userId, level }) => [userId, userId === creator ? 100 : level]),
  );
  const powerLevels: JsonObject = { users: { ...users, ...(isAboveLevels(version.rules) ? {} : { [creator]: 100 }) } };
  world.watch(
    "create",
    first,
    () => first.server.create({ version: script.version, creator, preset: script.preset, powerLevels }),
    (result) => {
      if (result.ok) world.rooms.push(result.value.roomId);
      else world.fault(`the room could not be made: ${result.error.reason}`);
    },
  );
  await world.run();
  const [roomId] = world.rooms;
  if (roomId === undefined) {
    world.fault("there is no room to begin with");
    return;
  }
  const invited = present.flatMap((server) => server.users.map(({ userId }) => ({ server, userId })));
  for (const { server, userId } of invited.filter((one) => one.userId !== creator)) {
    if (script.preset !== "public") {
      world.watch("invite", first, () => first.server.invite({ roomId, userId: creator, target: userId }));
      await world.run();
    }
    world.watch(
      "join",
      server,
      () => server.server.join({ roomId, userId, via: [first.name] }),
      (result) => {
        if (!result.ok) world.fault(`${userId} could not join: ${result.error.reason}`);
      },
    );
    await world.run();
  }
  world.noteFounders();
}

/** Creators of room version 12 stand above all levels and may not be listed. */
function isAboveLevels(rules: World["version"]["rules"]): boolean {
  return rules.auth.creatorPower === "infinite";
}

/** Ends whatever stands between servers, starts those that are down, and waits until nothing is to be done. */
async function heal(world: World): Promise<void> {
  world.network.heal();
  world.network.calm();
  world.network.setConditions({ latency: [5, 50] });
  for (const server of world.servers.values()) {
    server.disk.plan(undefined);
    world.ring.publish(server.name);
  }
  // A crash may be under way: with the write that it is to follow.
  await world.run(100);
  for (const server of world.servers.values()) if (!server.isUp) server.restart();
  await world.run();
}

/** Rounds of one event from each server after which nobody waits for their extremities to become the same. */
const LAST_ROUNDS = 4;

/**
 * One more event from each honest server. Where one of them soft-fails at another, as that of a user who was banned
 * meanwhile, the two have other extremities after it than before, and other current states perhaps: they speak
 * again, by another user each time: one who is out by a merge at the others does not know it, and is not heard.
 */
async function speakOnceMore(world: World): Promise<void> {
  for (const roomId of world.rooms) {
    for (let round = 1; round <= LAST_ROUNDS; round++) {
      const rooms: Room[] = [];
      for (const server of world.honest) {
        const room = await world.glimpse(server.room(roomId));
        if (room?.isResident !== true) continue;
        rooms.push(room);
        speak(world, server, room, round);
      }
      await world.run();
      const ends = rooms.map(({ control }) => [...control.forwardExtremities].sort().join(" "));
      if (new Set(ends).size <= 1) break;
    }
  }
}

/**
 * A message by whoever may, else a membership that stays what it was: that a member may send under any join rule
 * that the room's version knows, and under no other.
 */
function speak(world: World, server: SimulatedServer, room: Room, round: number): void {
  const all = [...room.localUsers].sort();
  const turn = (round - 1) % Math.max(all.length, 1);
  const users = [...all.slice(turn), ...all.slice(0, turn)];
  const { roomId } = room;
  world.watch(
    `last word of ${server.name}`,
    server,
    async () => {
      for (const userId of users) {
        const sent = await server.server.send({ roomId, userId, ...messageOf(room, "the last word") });
        if (sent.ok) return sent;
      }
      const [userId = ""] = users;
      const content = { membership: "join", displayname: "the last word" };
      return server.server.setState({ roomId, userId, type: "m.room.member", stateKey: userId, content });
    },
    (sent) => {
      if (sent.ok) {
        const { eventId } = sent.value;
        world.acknowledge(server, roomId, eventId);
        world.lastWords.push({ server: server.name, roomId, eventId });
      } else if (sent.error.code === "auth_rejected") world.mute.add(`${server.name} ${roomId}`);
      else {
        world.fault(`${server.name} cannot say anything any more: ${sent.error.reason}`);
      }
    },
  );
}

/** What a person needs to see of a run that went wrong. */
export function formatReport({ script, violations, skipped }: SimulationReport): string {
  const shown = violations.slice(0, 12).map((violation) => `  - ${violation}`);
  const more = violations.length > 12 ? [`  - and ${violations.length - 12} more`] : [];
  return [formatScript(script, skipped), "", ...shown, ...more].join("\n");
}
