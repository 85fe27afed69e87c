/** What can be typed: each command as what it asks the API, and how the answer is shown. */
import { isArray, isObject } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import { parseLax } from "../../json/parse.js";
import { Failure } from "../failure.js";
import type { Asked } from "./connection.js";
import { Words } from "./words.js";
import type { Session } from "./words.js";
import * as show from "./show.js";

export interface Command {
  readonly usage: string;
  readonly about: string;
  /** What to ask. @throws Failure for what cannot be asked like this. */
  readonly ask: (words: Words) => Asked;
  readonly show: (answer: JsonObject) => readonly string[];
  /** Whether the answer is a room that is worked in from now on. */
  readonly entersRoom?: boolean;
}

const inRoom = (roomId: string, what: string = ""): string => `/v1/rooms/${encodeURIComponent(roomId)}${what}`;
const get = (path: string, input: JsonObject = {}): Asked => ({ method: "GET", path, input });
const post = (path: string, input: JsonObject): Asked => ({ method: "POST", path, input });
const reasonIn = (words: Words): JsonObject => {
  const reason = words.rest();
  return reason === "" ? {} : { reason };
};

/** `invite [ROOM] USER [REASON]`, and those like it. */
function moderating(verb: "invite" | "kick" | "ban" | "unban", about: string): Command {
  return {
    usage: `${verb} [ROOM] USER [REASON]`,
    about,
    ask: (words) => {
      const [roomId, target] = [words.room(), words.sigil("@", "USER")];
      return post(inRoom(roomId, `/${verb}`), { user: words.acting(), target, ...reasonIn(words) });
    },
    show: show.sent,
  };
}

/** `join ROOM [SERVER…]`, and those like it. */
function entering(verb: "join" | "knock" | "leave", about: string, shown: Command["show"]): Command {
  return {
    usage: `${verb} ${verb === "join" ? "ROOM" : "[ROOM]"} [SERVER…]`,
    about,
    ask: (words) => {
      const roomId = verb === "join" ? words.roomOrAlias() : words.room();
      return post(inRoom(roomId, `/${verb}`), { user: words.acting(), via: words.all() });
    },
    show: shown,
    entersRoom: verb === "join",
  };
}

export const commands: Readonly<Record<string, Command>> = Object.freeze({
  create: {
    usage: "create [--version V] [--preset private|public|trusted] [NAME]",
    about: "makes a room",
    ask: (words) => {
      const { version, preset } = words.options("version", "preset");
      const name = words.rest();
      return post("/v1/rooms", {
        user: words.acting(),
        ...(version === undefined ? {} : { version }),
        ...(preset === undefined ? {} : { preset }),
        ...(name === "" ? {} : { name }),
      });
    },
    show: show.room,
    entersRoom: true,
  },
  join: entering("join", "joins a room, by its id or alias", show.room),
  knock: entering("knock", "asks to be let in", () => ["asked to be let in"]),
  leave: entering("leave", "leaves a room, rejects an invite, or takes back a knock", () => ["left"]),
  invite: moderating("invite", "invites a user"),
  kick: moderating("kick", "takes a user out of the room"),
  ban: moderating("ban", "takes a user out for good"),
  unban: moderating("unban", "takes a ban back"),
  send: {
    usage: "send [ROOM] TEXT",
    about: "says something",
    ask: (words) => {
      const roomId = words.room();
      return post(inRoom(roomId, "/send"), { user: words.acting(), body: words.needRest("TEXT") });
    },
    show: show.sent,
  },
  event: {
    usage: "event [ROOM] TYPE JSON",
    about: "sends any event that is no state",
    ask: (words) => {
      const [roomId, type] = [words.room(), words.word("TYPE")];
      const content = jsonOf(words.needRest("JSON"));
      return post(inRoom(roomId, "/send"), { user: words.acting(), type, content });
    },
    show: show.sent,
  },
  set: {
    usage: "set [ROOM] TYPE [KEY] JSON",
    about: "sets state",
    ask: (words) => {
      const [roomId, type] = [words.room(), words.word("TYPE")];
      const stateKey = words.isNext("{") ? "" : words.word("KEY");
      const content = jsonOf(words.needRest("JSON"));
      return post(inRoom(roomId, "/state"), { user: words.acting(), type, stateKey, content });
    },
    show: show.sent,
  },
  redact: {
    usage: "redact [ROOM] EVENT [REASON]",
    about: "takes back what an event says",
    ask: (words) => {
      const [roomId, eventId] = [words.room(), words.sigil("$", "EVENT")];
      return post(inRoom(roomId, "/redact"), { user: words.acting(), eventId, ...reasonIn(words) });
    },
    show: show.sent,
  },
  upgrade: {
    usage: "upgrade [ROOM] VERSION",
    about: "replaces a room by one of another version",
    ask: (words) => {
      const roomId = words.room();
      return post(inRoom(roomId, "/upgrade"), { user: words.acting(), version: words.word("VERSION") });
    },
    show: show.room,
    entersRoom: true,
  },
  timeline: {
    usage: "timeline [ROOM] [LIMIT]",
    about: "what was said and done last",
    ask: (words) => {
      const roomId = words.room();
      return get(inRoom(roomId, "/timeline"), { direction: "backwards", limit: words.maybe() ?? "20" });
    },
    show: (answer) => [...show.timeline(answer)].reverse(),
  },
  state: {
    usage: "state [ROOM] [TYPE [KEY]]",
    about: "the current state",
    ask: (words) => {
      const roomId = words.room();
      const [type, stateKey] = [words.maybe(), words.maybe()];
      return get(inRoom(roomId, "/state"), {
        ...(type === undefined ? {} : { type }),
        ...(stateKey === undefined ? {} : { stateKey }),
      });
    },
    show: show.state,
  },
  members: {
    usage: "members [ROOM]",
    about: "who is in the room, was, or is to be",
    ask: (words) => get(inRoom(words.room(), "/members")),
    show: show.members,
  },
  room: {
    usage: "room [ROOM]",
    about: "a room as it is now",
    ask: (words) => get(inRoom(words.room())),
    show: show.roomInFull,
  },
  rooms: {
    usage: "rooms",
    about: "the user's rooms; every room, where no user is chosen",
    ask: (words) => get("/v1/rooms", words.user === undefined ? {} : { user: words.user }),
    show: show.rooms,
  },
  backfill: {
    usage: "backfill [ROOM] [LIMIT]",
    about: "asks other servers for older events",
    ask: (words) => {
      const roomId = words.room();
      return post(inRoom(roomId, "/backfill"), { limit: words.maybe() ?? "100" });
    },
    show: show.backfilled,
  },
  why: {
    usage: "why EVENT",
    about: "why an event has its verdict, and what it changed",
    ask: (words) => get(`/v1/events/${encodeURIComponent(words.sigil("$", "EVENT"))}/why`),
    show: show.why,
  },
  raw: {
    usage: "raw EVENT",
    about: "an event as it was sent between servers",
    ask: (words) => get(`/v1/events/${encodeURIComponent(words.sigil("$", "EVENT"))}`),
    show: show.raw,
  },
  check: {
    usage: "check",
    about: "judges all that is stored anew",
    ask: () => get("/v1/check"),
    show: show.check,
  },
  health: { usage: "health", about: "how the server is", ask: () => get("/v1/health"), show: show.pairs },
  metrics: { usage: "metrics", about: "what was counted", ask: () => get("/v1/metrics"), show: show.pairs },
});

export interface Prepared {
  readonly command: Command;
  readonly asked: Asked;
}

/** @throws Failure with the usage where the words make no sense. */
export function prepare(line: string, session: Session): Prepared {
  const words = new Words(line, session);
  const name = words.word("a command");
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new Failure(`there is no command ${name}: help lists them`);
  words.usage = command.usage;
  const asked = command.ask(words);
  words.end();
  return { command, asked };
}

function jsonOf(text: string): JsonObject {
  const parsed = parseLax(text);
  if (!parsed.ok) throw new Failure(`that is no JSON: ${parsed.error.reason}`);
  if (!isObject(parsed.value) || isArray(parsed.value)) throw new Failure("the content of an event is a JSON object");
  return parsed.value;
}

const heading = `roomdag client --data DIR [--as USER] [--json] [COMMAND]
roomdag client --api ADDRESS --token-file FILE …   where the server's folder is not at hand

Without a command, lines are read, one command each. ROOM may be left out after create, join, upgrade or use. In shells
put ids in quotes: they read the ! and the $.
`;

/** What `help` prints: local words first. */
export function commandsHelp(): string {
  const rows = [
    ["as USER", "whom to speak for"],
    ["use ROOM", "which room is meant where none is given"],
    ["follow [ROOM]", "shows what happens, until Ctrl-C"],
    ...Object.values(commands).map(({ usage, about }) => [usage, about]),
    ["help, quit", ""],
  ];
  const lines = rows.map(([usage = "", about = ""]) => `  ${usage.padEnd(62)}${about}`.trimEnd());
  return [heading, ...lines].join("\n");
}
