/**
 * What happens in a simulation, as plain data. Servers and users are named, so that a command reads the same
 * wherever it stands; one that cannot be done where it stands is skipped, so that any part of a script is a
 * script too. `room` counts the rooms of a run: 0, or absent, is the one it begins with, each upgrade adds one.
 */

interface ByUser {
  /** A user of any server; it is their server that acts. */
  readonly by: string;
  readonly room?: number;
}

/** What a user does. Many of these are refused, which is part of what is tried. */
export type UserCommand =
  | (ByUser & { readonly do: "send"; readonly text: string })
  | (ByUser & { readonly do: "set"; readonly what: "name" | "topic"; readonly text: string })
  | (ByUser & { readonly do: "level"; readonly of: string; readonly level: number })
  | (ByUser & { readonly do: "needs"; readonly key: LevelKey; readonly level: number })
  | (ByUser & { readonly do: "join rule"; readonly rule: string })
  /** Sets the server ACL: everybody is allowed but these. */
  | (ByUser & { readonly do: "deny"; readonly servers: readonly string[] })
  | (ByUser & { readonly do: "invite" | "kick" | "ban" | "unban"; readonly target: string })
  /** `partial`: a join that does not wait to be told who the members are. */
  | (ByUser & { readonly do: "join" | "knock" | "leave"; readonly via?: string; readonly partial?: boolean })
  /** `back`: how many of the room's acknowledged events came after the one that is redacted. */
  | (ByUser & { readonly do: "redact"; readonly back: number })
  | (ByUser & { readonly do: "upgrade"; readonly version: string })
  | (ByUser & { readonly do: "backfill" });

export type LevelKey = "ban" | "invite" | "kick" | "redact" | "state_default" | "users_default";

/** What befalls the network, the servers and their clocks. */
export type WorldCommand =
  | { readonly do: "wait"; readonly ms: number }
  /** Cuts these servers off from all others; among themselves they stay connected. */
  | { readonly do: "partition"; readonly apart: readonly string[] }
  | { readonly do: "block" | "unblock"; readonly from: string; readonly to: string }
  | { readonly do: "heal" }
  | { readonly do: "conditions"; readonly loss: number; readonly duplication: number; readonly latency: number }
  | { readonly do: "slow link"; readonly from: string; readonly to: string; readonly latency: number }
  /** At once, or at one of the commits to come, counted from 1: before it takes effect, or after. */
  | { readonly do: "crash"; readonly server: string; readonly commit?: number; readonly when?: "before" | "after" }
  | { readonly do: "restart"; readonly server: string }
  /** The server makes a new key, and signs with it from now on. */
  | { readonly do: "rotate key"; readonly server: string }
  /** Nobody can have the server's keys, or everybody again. */
  | { readonly do: "hide keys" | "show keys"; readonly server: string }
  | { readonly do: "clock"; readonly server: string; readonly skew: number; readonly drift: number };

interface Forged {
  /** A user of the hostile server. */
  readonly by: string;
  readonly room?: number;
  /** What is forged: a message, or state of this kind. */
  readonly what: ForgedKind;
  /** How many accepted events of the room, by depth, come after the parent. */
  readonly back: number;
  /** Who is told. */
  readonly to: readonly string[];
}

export type ForgedKind = "message" | "topic" | "name" | "self" | "power" | "ban";

/** What a hostile server does behind its engine's back. */
export type HostileCommand =
  /** Two events at one place, one for each half of those who are told. */
  | (Forged & { readonly do: "equivocate" })
  /** One event id, two bodies: the true one for the first who is told, another for everyone else. */
  | (Forged & { readonly do: "change body" })
  /** An event whose parent nobody else gets. */
  | (Forged & { readonly do: "withhold" })
  /** Hands out what was withheld. */
  | { readonly do: "reveal" }
  | (Forged & { readonly do: "wrong hash" })
  | (Forged & { readonly do: "wrong signature" })
  /** A valid event far from where the room is; a ban since then is evaded. */
  | (Forged & { readonly do: "stale branch"; readonly length: number })
  | (Forged & { readonly do: "forged depth"; readonly depth: number })
  | (Forged & { readonly do: "forged time"; readonly time: number })
  /** Auth events that nobody has, that are not the ones asked for, or that were rejected. */
  | (Forged & { readonly do: "broken authority"; readonly how: "unknown" | "wrong" | "rejected" })
  /** Events of which nothing can be known. */
  | (Forged & { readonly do: "flood"; readonly count: number })
  /** As many events that cite one parent. */
  | (Forged & { readonly do: "many extremities"; readonly count: number });

export type SimulationCommand = UserCommand | WorldCommand | HostileCommand;

const forgedNames: Readonly<Record<ForgedKind, string>> = {
  message: "a message",
  topic: "a topic",
  name: "a name",
  self: "a membership of their own",
  power: "power levels with themselves on top",
  ban: "a ban of somebody",
};

/** One line that a person can read. */
export function formatCommand(command: SimulationCommand): string {
  if (command.do === "reveal") return "what was withheld is handed out";
  if ("what" in command && "back" in command) return formatForged(command) + roomText(command);
  return "by" in command ? formatUser(command) + roomText(command) : formatWorld(command);
}

function roomText({ room = 0 }: { readonly room?: number }): string {
  return room === 0 ? "" : ` in room ${room}`;
}

function formatUser(command: UserCommand): string {
  const { by } = command;
  switch (command.do) {
    case "send":
      return `${by} says "${command.text}"`;
    case "set":
      return `${by} sets the ${command.what} to "${command.text}"`;
    case "level":
      return `${by} gives ${command.of} level ${command.level}`;
    case "needs":
      return `${by} sets ${command.key} to ${command.level}`;
    case "join rule":
      return `${by} sets the join rule to ${command.rule}`;
    case "deny":
      return `${by} denies ${command.servers.join(", ") || "nobody"} the room`;
    case "redact":
      return `${by} redacts the event ${command.back} back`;
    case "upgrade":
      return `${by} upgrades the room to version ${command.version}`;
    case "backfill":
      return `the server of ${by} asks for older events`;
    default:
      if ("target" in command) return `${by} tries to ${command.do} ${command.target}`;
      return `${by} tries to ${command.do}${command.via === undefined ? "" : ` by way of ${command.via}`}${
        command.partial === true ? ", without the members at first" : ""
      }`;
  }
}

function formatWorld(command: WorldCommand): string {
  switch (command.do) {
    case "wait":
      return `${command.ms} ms pass`;
    case "partition":
      return `${command.apart.join(", ")} cut off`;
    case "block":
      return `nothing goes from ${command.from} to ${command.to}`;
    case "unblock":
      return `messages go from ${command.from} to ${command.to} again`;
    case "heal":
      return "all cuts heal";
    case "conditions":
      return `every link loses ${command.loss}, repeats ${command.duplication}, takes up to ${command.latency} ms`;
    case "slow link":
      return `from ${command.from} to ${command.to} takes up to ${command.latency} ms`;
    case "crash":
      return command.commit === undefined
        ? `${command.server} crashes`
        : `${command.server} is to crash ${command.when ?? "before"} its next commit but ${command.commit - 1}`;
    case "restart":
      return `${command.server} starts again`;
    case "rotate key":
      return `${command.server} makes a new key`;
    case "hide keys":
      return `the keys of ${command.server} cannot be had`;
    case "show keys":
      return `the keys of ${command.server} can be had again`;
    case "clock":
      return `the clock of ${command.server} is ${command.skew} ms off and gains ${command.drift}`;
  }
}

function formatForged(command: Exclude<HostileCommand, { readonly do: "reveal" }>): string {
  const place = command.back === 0 ? "at the end" : `${command.back} events back`;
  const what = forgedNames[command.what];
  return `${command.by} forges: ${command.do}${forgedDetail(command)}, ${what}, ${place}, for ${command.to.join(", ")}`;
}

function forgedDetail(command: HostileCommand): string {
  switch (command.do) {
    case "forged depth":
      return ` of ${command.depth}`;
    case "forged time":
      return ` of ${command.time}`;
    case "broken authority":
      return ` (${command.how})`;
    case "flood":
    case "many extremities":
      return ` of ${command.count}`;
    case "stale branch":
      return ` of ${command.length}`;
    default:
      return "";
  }
}
