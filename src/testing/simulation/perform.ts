/** Doing what the commands of a script say. */
import type { Result } from "../../errors.js";
import type { Room } from "../../engine/room.js";
import type { Pdu } from "../../event/pdu.js";
import { get, isObject } from "../../json/value.js";
import type { JsonObject, JsonValue } from "../../json/value.js";
import type { SimulationCommand, UserCommand, WorldCommand } from "./commands.js";
import { messageOf } from "./content.js";
import type { Forger } from "./forger.js";
import { crashAtCommit } from "./storage.js";
import { SLOWEST_WRITE } from "./world.js";
import type { SimulatedServer, World } from "./world.js";

/** Begins what a command says. `false` when it cannot be done here; what was begun goes on while time passes. */
export async function perform(world: World, forger: Forger | undefined, command: SimulationCommand): Promise<boolean> {
  if (isForged(command)) return forger === undefined ? false : forger.perform(command);
  if ("by" in command) return performUser(world, command);
  return performWorld(world, command);
}

function isForged(command: SimulationCommand): command is Exclude<SimulationCommand, UserCommand | WorldCommand> {
  return command.do === "reveal" || ("what" in command && "back" in command);
}

async function performWorld(world: World, command: WorldCommand): Promise<boolean> {
  const { network } = world;
  switch (command.do) {
    case "wait":
      await world.run(command.ms);
      return true;
    case "partition":
      network.partition([command.apart]);
      return true;
    case "block":
      network.block(command.from, command.to);
      return true;
    case "unblock":
      network.unblock(command.from, command.to);
      return true;
    case "heal":
      network.heal();
      return true;
    case "conditions":
      network.setConditions({
        loss: command.loss,
        duplication: command.duplication,
        latency: [1, Math.max(1, command.latency)],
      });
      return true;
    case "slow link":
      network.setLink(command.from, command.to, { latency: [1, Math.max(1, command.latency)] });
      return true;
    case "clock":
      world.servers.get(command.server)?.clock.lie({ skew: command.skew, drift: command.drift });
      return world.servers.has(command.server);
    case "crash":
      return crash(world, command);
    case "restart": {
      const server = world.servers.get(command.server);
      if (server === undefined || server.isUp) return false;
      // Not before what the process had written last is on its disk.
      if (world.script.disks === "slow") await world.run(SLOWEST_WRITE);
      server.restart();
      return true;
    }
    case "rotate key":
      world.servers.get(command.server)?.keys.rotate();
      return world.servers.has(command.server);
    case "hide keys":
    case "show keys": {
      const { server } = command;
      if (command.do === "show keys") world.ring.publish(server);
      else {
        world.ring.withhold(server);
        world.keysWereHidden = true;
      }
      return world.servers.has(server);
    }
  }
}

function crash(
  world: World,
  { server: name, commit, when = "before" }: Extract<WorldCommand, { readonly do: "crash" }>,
): boolean {
  const server = world.servers.get(name);
  if (server === undefined || !server.isUp) return false;
  if (commit === undefined) {
    server.disk.crash();
    world.crashes++;
  } else server.disk.plan(crashAtCommit(server.disk.commits + commit, when));
  return true;
}

/** One user at work: who, where, and through which server. */
interface Actor {
  readonly world: World;
  readonly server: SimulatedServer;
  readonly userId: string;
  readonly roomId: string;
}

async function performUser(world: World, command: UserCommand): Promise<boolean> {
  const server = world.serverOf(command.by);
  const roomId = world.rooms[command.room ?? 0];
  if (server?.isUp !== true || roomId === undefined) return false;
  const actor: Actor = { world, server, userId: command.by, roomId };
  const room = await world.glimpse(server.room(roomId));
  switch (command.do) {
    case "send":
      say(actor, room, command.text);
      return true;
    case "set":
      setState(actor, `m.room.${command.what}`, { [command.what]: command.text });
      return true;
    case "join rule":
      setState(actor, "m.room.join_rules", joinRule(world, command.rule));
      return true;
    case "deny":
      world.wasDenied = true;
      setState(actor, "m.room.server_acl", { allow: ["*"], deny: command.servers });
      return true;
    case "level":
      return changeLevels(actor, room, (content) => {
        const users = get(content, "users");
        return { ...content, users: { ...(isObject(users) ? users : {}), [command.of]: command.level } };
      });
    case "needs":
      return changeLevels(actor, room, (content) => ({ ...content, [command.key]: command.level }));
    case "redact":
      return redact(actor, command.back);
    case "upgrade":
      upgrade(actor, command.version);
      return true;
    case "backfill":
      world.watch(`backfill of ${server.name}`, server, () => server.server.backfill(roomId, 20));
      return true;
    default:
      return performMembership(actor, command);
  }
}

function joinRule(world: World, rule: string): JsonObject {
  const allow: JsonValue = world.rooms.map((roomId) => ({ type: "m.room_membership", room_id: roomId }));
  return rule === "restricted" || rule === "knock_restricted" ? { join_rule: rule, allow } : { join_rule: rule };
}

function performMembership(
  actor: Actor,
  command: Extract<UserCommand, { readonly target: string } | { readonly do: "join" | "knock" | "leave" }>,
): boolean {
  const { world, server, userId, roomId } = actor;
  const acting = { roomId, userId };
  if ("target" in command) {
    if (world.serverOf(command.target) === undefined) return false;
    const request = { ...acting, target: command.target };
    sends(actor, command.do, () => server.server[command.do](request));
    return true;
  }
  if (command.via !== undefined && !world.servers.has(command.via)) return false;
  const request = { ...acting, ...(command.via === undefined ? {} : { via: [command.via] }) };
  if (command.do === "join") {
    world.watch(
      `join by ${userId}`,
      server,
      () => server.server.join({ ...request, partial: command.partial === true }),
      (result) => {
        if (!result.ok) return;
        const member = result.value.state("m.room.member", userId);
        if (member !== undefined && member.content["membership"] === "join") {
          world.acknowledge(server, roomId, member.eventId);
        }
      },
    );
    return true;
  }
  const { do: what } = command;
  world.watch(`${what} by ${userId}`, server, (): Promise<Result<JsonObject>> => server.server[what](request));
  return true;
}

function sends(actor: Actor, what: string, call: () => Promise<Result<Pdu>>): void {
  const { world, server, userId, roomId } = actor;
  world.watch(`${what} by ${userId}`, server, call, (result) => {
    if (!result.ok) return;
    world.acknowledge(server, roomId, result.value.eventId);
    if (result.value.type === "m.room.server_acl") world.serverAcls.add(result.value.eventId);
  });
}

function say(actor: Actor, room: Room | undefined, text: string): void {
  const { server, userId, roomId } = actor;
  sends(actor, "send", () => server.server.send({ roomId, userId, ...messageOf(room, text) }));
}

function setState(actor: Actor, type: string, content: JsonObject, stateKey: string = ""): void {
  const { server, userId, roomId } = actor;
  sends(actor, type, () => server.server.setState({ roomId, userId, type, stateKey, content }));
}

function changeLevels(actor: Actor, room: Room | undefined, change: (content: JsonObject) => JsonObject): boolean {
  if (room === undefined) return false;
  setState(actor, "m.room.power_levels", change(room.state("m.room.power_levels")?.content ?? {}));
  return true;
}

function redact(actor: Actor, back: number): boolean {
  const { world, server, userId, roomId } = actor;
  const eventId = world.eventBack(roomId, back);
  // A server ACL that was redacted denies every server the room, and no two have to agree any more.
  if (eventId === undefined || world.serverAcls.has(eventId)) return false;
  sends(actor, "redact", () => server.server.redact({ roomId, userId, eventId }));
  return true;
}

function upgrade(actor: Actor, version: string): void {
  const { world, server, userId, roomId } = actor;
  world.watch(
    `upgrade by ${userId}`,
    server,
    () => server.server.upgrade({ roomId, userId, version }),
    (result) => {
      if (result.ok && !world.rooms.includes(result.value.roomId)) world.rooms.push(result.value.roomId);
    },
  );
}
