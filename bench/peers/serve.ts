/** The contender's side of the line protocol, for contenders that run in Node. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { createInterface } from "node:readline";
import { eventIdOf } from "../../src/event/index.js";
import { sweepYoung } from "../measure.js";
import { readRoom } from "./ours.js";
import type { Room, RoomTurn } from "./ours.js";
import type { Request, Resolved, Task, Turn } from "./protocol.js";
import { readSamples, stop } from "./work.js";
import type { Samples, TaskTable, Work } from "./work.js";

/** One contender: what it has been given, and what it makes of it. */
class Server {
  readonly #tasks: TaskTable;
  readonly #turnOf: RoomTurn;
  /** What the last turn came to; of those before nothing is kept, for the collector to go over. */
  #last: { readonly room: string; readonly ids: () => readonly string[] } | undefined;
  readonly #rooms = new Map<string, Room>();
  #samples: Samples | undefined;
  /** Work by task, made once. */
  readonly #work = new Map<Task, Work>();

  constructor(tasks: TaskTable, turnOf: RoomTurn) {
    this.#tasks = tasks;
    this.#turnOf = turnOf;
  }

  async answer(request: Request): Promise<object> {
    switch (request.op) {
      case "about":
        return { about: `Node.js ${process.versions.node}, OpenSSL ${process.versions.openssl}` };
      case "load":
        this.#rooms.set(request.room, await readRoom(request.file));
        return {};
      case "resolve":
        return { runs: this.#resolve(request.room, request) };
      case "answer":
        return { ids: this.#answer(request.room) };
      case "drop":
        this.#rooms.delete(request.room);
        this.#last = undefined;
        return {};
      case "samples":
        this.#samples = await readSamples(request.file);
        return {};
      case "sample":
        return { ms: this.#sample(request.task, request.times) };
      case "ids":
        return { ids: this.#given().values.map((value) => eventIdOf(this.#given().version.rules, value)) };
    }
  }

  #resolve(name: string, { runs: most, ms }: Turn): readonly Resolved[] {
    this.#last = undefined;
    const run = this.#turnOf(this.#rooms.get(name) ?? stop(`no room ${name} is loaded`));
    const runs: Resolved[] = [];
    for (let taken = 0; runs.length === 0 || (runs.length < most && taken < ms);) {
      const [times, ids] = run();
      this.#last = { room: name, ids };
      runs.push(times);
      taken += times.resolve + times.walk;
    }
    return runs;
  }

  #answer(name: string): readonly string[] {
    return this.#last?.room === name ? this.#last.ids() : stop(`${name} was not the last to be resolved`);
  }

  #given(): Samples {
    return this.#samples ?? stop("no samples are loaded");
  }

  #sample(task: Task, times: number): number {
    const make = this.#tasks[task] ?? stop(`${task} is no task`);
    const work = this.#work.get(task) ?? make(this.#given());
    this.#work.set(task, work);
    const [count, all] = work;
    sweepYoung();
    const before = performance.now();
    for (let time = 0; time < times; time++) all();
    return (performance.now() - before) / times / count;
  }
}

/** Answers requests until stdin ends. */
export async function serve(tasks: TaskTable, turnOf: RoomTurn): Promise<void> {
  const server = new Server(tasks, turnOf);
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = await server
      .answer(JSON.parse(line) as Request)
      .catch((error: unknown) => ({ error: String(error) }));
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}
