/** The contender's side of the line protocol, for contenders that run in Node. */
import { performance } from "node:perf_hooks";
import process from "node:process";
import { createInterface } from "node:readline";
import { eventIdOf } from "../../src/event/index.js";
import { sweepYoung } from "../measure.js";
import { readRoom } from "./ours.js";
import type { Room, RoomRun, RoomTurn } from "./ours.js";
import type { Request, Resolved, Task } from "./protocol.js";
import { readSamples, stop } from "./work.js";
import type { Samples, TaskTable, Work } from "./work.js";

/** One contender: what it has been given, and what it makes of it. */
class Server {
  readonly #tasks: TaskTable;
  readonly #turnOf: RoomTurn;
  /** The turn that goes on; of those before nothing is kept. */
  #turn: { readonly room: string; readonly run: RoomRun } | undefined;
  readonly #rooms = new Map<string, Room>();
  readonly #answers = new Map<string, () => readonly string[]>();
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
        return this.#resolve(request.room, request.first);
      case "answer":
        return { ids: (this.#answers.get(request.room) ?? stop(`${request.room} was not resolved yet`))() };
      case "drop":
        this.#rooms.delete(request.room);
        this.#answers.delete(request.room);
        this.#turn = undefined;
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

  #resolve(name: string, first: boolean): Resolved {
    const room = this.#rooms.get(name) ?? stop(`no room ${name} is loaded`);
    if (first || this.#turn?.room !== name) this.#turn = { room: name, run: this.#turnOf(room) };
    const [times, ids] = this.#turn.run();
    this.#answers.set(name, ids);
    return times;
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
