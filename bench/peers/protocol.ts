/**
 * What the driver and the contenders say to each other: one JSON request a line, one JSON answer a line. Contenders
 * are processes of their own that wait for a request, so that only one works at a time and runs can take turns.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

export type Request =
  | { readonly op: "about" }
  /** Reads a room; see rooms.ts for the file. */
  | { readonly op: "load"; readonly room: string; readonly file: string }
  /** Resolves it, from its indexed events, one run after the other. */
  | ({ readonly op: "resolve"; readonly room: string } & Turn)
  /** The ids that the last run came to, sorted. */
  | { readonly op: "answer"; readonly room: string }
  | { readonly op: "drop"; readonly room: string }
  /** Reads sample events; see samples.ts for the file. */
  | { readonly op: "samples"; readonly file: string }
  /** Does one thing with each sample, so many times over. */
  | { readonly op: "sample"; readonly task: Task; readonly times: number }
  /** The ids of the samples, in their order. */
  | { readonly op: "ids" };

/** What is done with a sample event. */
export type Task =
  | "parse"
  | "canonical"
  | "id"
  /** The floor below `id` where SHA-256 is JavaScript, too. */
  | "id by noble"
  | "id from text"
  | "pdu"
  | "verify"
  | "Ed25519";

/**
 * What a contender does before it answers: one run, and others while there are fewer than `runs` and they have taken
 * less than `ms`. Whoever waits for a request is cold when it comes: a run of 0.1 ms took 0.25 ms after each.
 */
export interface Turn {
  readonly runs: number;
  readonly ms: number;
}

/** Milliseconds of one resolution, by part. */
export interface Resolved {
  /** States made of lists of ids. */
  readonly states: number;
  /** Everything from indexed events and states to the resolved state, but for `walk`. */
  readonly resolve: number;
  /** What the caller has to work out for the resolver: auth chains and, in room version 12, the conflicted subgraph. */
  readonly walk: number;
  /** The same as the quickest caller would do it, where there is another way. */
  readonly fastWalk?: number;
}

/** A contender's process. */
export class Contender {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #waiting: { readonly resolve: (line: string) => void; readonly reject: (error: Error) => void }[] = [];

  constructor(name: string, command: string, argv: readonly string[]) {
    this.name = name;
    const child = spawn(command, argv, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.#waiting.shift()?.resolve(line));
    const fail = (why: string) => (): void => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`${name} ${why}`));
    };
    child.on("error", fail("could not be started"));
    child.on("close", fail("ended before it answered"));
    child.stdin.on("error", fail("no longer listens"));
  }

  async #ask(request: Request): Promise<Readonly<Record<string, unknown>>> {
    const line = await new Promise<string>((resolve, reject) => {
      if (this.#child.exitCode !== null) reject(new Error(`${this.name} has ended`));
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
    const answer = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (answer["error"] !== undefined)
      throw new Error(`${this.name}, ${request.op}: ${JSON.stringify(answer["error"])}`);
    return answer;
  }

  async about(): Promise<string> {
    return String((await this.#ask({ op: "about" }))["about"]);
  }

  async load(room: string, file: string): Promise<void> {
    await this.#ask({ op: "load", room, file });
  }

  /** The runs of one turn, in their order. */
  async resolve(room: string, turn: Turn): Promise<readonly Resolved[]> {
    return (await this.#ask({ op: "resolve", room, ...turn }))["runs"] as readonly Resolved[];
  }

  async answer(room: string): Promise<readonly string[]> {
    return (await this.#ask({ op: "answer", room }))["ids"] as readonly string[];
  }

  async drop(room: string): Promise<void> {
    await this.#ask({ op: "drop", room });
  }

  async samples(file: string): Promise<void> {
    await this.#ask({ op: "samples", file });
  }

  /** Milliseconds for one event. */
  async sample(task: Task, times: number): Promise<number> {
    return (await this.#ask({ op: "sample", task, times }))["ms"] as number;
  }

  async ids(): Promise<readonly string[]> {
    return (await this.#ask({ op: "ids" }))["ids"] as readonly string[];
  }

  end(): void {
    this.#child.stdin?.end();
  }
}
