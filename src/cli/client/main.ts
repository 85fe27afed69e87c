/** `roomdag client`: one command, or a line after the other, asked of a server's local API. */
import process from "node:process";
import { createInterface } from "node:readline";
import { encodeCanonical } from "../../json/canonical.js";
import { get } from "../../json/value.js";
import type { JsonObject } from "../../json/value.js";
import { printable } from "../../inspect/format.js";
import { Failure } from "../failure.js";
import type { Output } from "../output.js";
import { commandsHelp, prepare } from "./commands.js";
import { connect } from "./connection.js";
import type { Answer, Connection } from "./connection.js";
import { timeline } from "./show.js";
import { Words } from "./words.js";
import type { Session } from "./words.js";

export interface ClientArguments {
  readonly data: string | undefined;
  readonly api: string | undefined;
  readonly tokenFile: string | undefined;
  readonly user: string | undefined;
  readonly json: boolean;
  /** The command with its words; empty for one line after the other. */
  readonly line: string;
}

/** Flags come first: what follows the command is its own. @throws Failure for a flag that there is not. */
export function parseClientArguments(args: readonly string[]): ClientArguments {
  const found: Partial<Record<"data" | "api" | "token-file" | "as", string>> = {};
  let json = false;
  let at = 0;
  for (; args[at]?.startsWith("--") === true; at++) {
    const [flag = "", joined] = (args[at] ?? "").slice(2).split(/=(.*)/s, 2);
    if (flag === "json") {
      json = true;
    } else if (flag === "data" || flag === "api" || flag === "token-file" || flag === "as") {
      const value = joined ?? args[++at];
      if (value === undefined) throw new Failure(`--${flag} needs a value`);
      found[flag] = value;
    } else throw new Failure(`client takes no --${flag}: it takes --data, --api, --token-file, --as and --json`);
  }
  const { data, api, as: user } = found;
  return { data, api, tokenFile: found["token-file"], user, json, line: args.slice(at).join(" ") };
}

/** Exit status: 0, or 1 when something was refused. @throws Failure if no server can be asked. */
export async function runClient(args: readonly string[], output: Output, errors: Output): Promise<number> {
  const options = parseClientArguments(args.includes("--help") ? ["help"] : args);
  if (options.line === "help") {
    await output.write(`${commandsHelp()}\n`);
    return 0;
  }
  const connection = await connect(options);
  const client = new Client(connection, { user: options.user, room: undefined }, options.json, output, errors);
  if (options.line !== "") return client.run(options.line);
  return client.converse();
}

/** How long the server is asked to wait for news, in milliseconds. */
const WAIT = 30_000;

class Client {
  readonly #connection: Connection;
  readonly #session: Session;
  readonly #json: boolean;
  readonly #output: Output;
  readonly #errors: Output;

  constructor(connection: Connection, session: Session, json: boolean, output: Output, errors: Output) {
    this.#connection = connection;
    this.#session = session;
    this.#json = json;
    this.#output = output;
    this.#errors = errors;
  }

  /** One command; its exit status. @throws Failure for one that makes no sense. */
  async run(line: string): Promise<number> {
    const words = new Words(line, this.#session);
    if (words.word("a command") === "follow") {
      words.usage = "follow [ROOM]";
      return this.#follow(words.room());
    }
    const { command, asked } = prepare(line, this.#session);
    const answer = await this.#connection.ask(asked);
    if (!answer.ok) return this.#refused(answer);
    const roomId = get(answer.value, "roomId");
    if (command.entersRoom === true && typeof roomId === "string") this.#session.room = roomId;
    await this.#tell(answer.value, command.show);
    return 0;
  }

  async #tell(value: JsonObject, lines: (value: JsonObject) => readonly string[]): Promise<void> {
    const shown = this.#json ? [encodeCanonical(value)] : lines(value);
    for (const line of shown) await this.#output.write(`${line}\n`);
  }

  async #refused(answer: Extract<Answer, { readonly ok: false }>): Promise<number> {
    if (this.#json) await this.#output.write(`${encodeCanonical(answer.value)}\n`);
    else await this.#errors.write(`${printable(answer.code)}: ${printable(answer.reason)}\n`);
    return 1;
  }

  /** What happens from now on, until the reader is gone. */
  async #follow(roomId: string): Promise<number> {
    const path = `/v1/rooms/${encodeURIComponent(roomId)}`;
    const room = await this.#connection.ask({ method: "GET", path });
    if (!room.ok) return this.#refused(room);
    const position = get(room.value, "position");
    let from = typeof position === "number" ? position + 1 : 1;
    while (!this.#output.closed) {
      const input = { from, wait: WAIT };
      const answer = await this.#connection.ask({ method: "GET", path: `${path}/timeline`, input });
      if (!answer.ok) return this.#refused(answer);
      const next = get(answer.value, "next");
      if (typeof next === "number") from = next;
      const events = get(answer.value, "events");
      if (Array.isArray(events) && events.length > 0) await this.#tell(answer.value, timeline);
    }
    return 0;
  }

  /** A line after the other, of a person or of a pipe. */
  async converse(): Promise<number> {
    const lines = createInterface({ input: process.stdin, output: process.stdout, terminal: process.stdin.isTTY });
    let status = 0;
    const prompt = (): void => {
      if (!process.stdin.isTTY) return;
      lines.setPrompt(`${this.#session.user ?? ""}> `);
      lines.prompt();
    };
    prompt();
    for await (const line of lines) {
      const done = await this.#attempt(line.trim());
      if (done === "quit" || this.#output.closed) break;
      if (done !== 0) status = 1;
      prompt();
    }
    lines.close();
    return process.stdin.isTTY ? 0 : status;
  }

  async #attempt(line: string): Promise<number | "quit"> {
    if (line === "" || line.startsWith("#")) return 0;
    if (line === "quit" || line === "exit") return "quit";
    try {
      return (await this.#local(line)) ? 0 : await this.run(line);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      await this.#errors.write(`${error.message}\n`);
      return 1;
    }
  }

  /** What the client does by itself. */
  async #local(line: string): Promise<boolean> {
    const words = new Words(line, this.#session);
    switch (words.maybe()) {
      case "help":
        await this.#output.write(`${commandsHelp()}\n`);
        return true;
      case "as":
        words.usage = "as USER";
        this.#session.user = words.sigil("@", "USER");
        words.end();
        return true;
      case "use":
        words.usage = "use ROOM";
        this.#session.room = words.room();
        words.end();
        return true;
      default:
        return false;
    }
  }
}
