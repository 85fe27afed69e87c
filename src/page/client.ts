/** The page's end of the worker: questions as promises. */
import type { Answers, LoadedRoom, Problem, Reply, Request } from "./protocol.js";

/** A question that was answered with a reason and not with an answer. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.reason);
    this.problem = problem;
  }
}

export interface News {
  readonly progress: (what: string, done: number, total: number) => void;
  readonly preview: (room: LoadedRoom) => void;
  readonly update: (room: LoadedRoom) => void;
  /** The worker died: memory ran out, as a rule. */
  readonly lost: () => void;
}

interface Waiting {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: Refused) => void;
}

export class Client {
  readonly #script: string;
  readonly #news: News;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker;
  #last = 0;

  /** `script` is the page's own: the worker runs the same one. */
  constructor(script: string, news: News) {
    this.#script = script;
    this.#news = news;
    this.#worker = this.#start();
  }

  #start(): Worker {
    const url = URL.createObjectURL(new Blob([this.#script], { type: "text/javascript" }));
    const worker = new Worker(url);
    URL.revokeObjectURL(url);
    worker.onmessage = ({ data }: MessageEvent<Reply>) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.restart("the page ran out of memory for this file");
      this.#news.lost();
    };
    return worker;
  }

  /** Ends what is under way: a file that is too much, or one that nobody waits for any more. */
  restart(reason: string): void {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.values()) reject(new Refused({ code: "cancelled", reason }));
    this.#waiting.clear();
    this.#worker = this.#start();
  }

  #receive(reply: Reply): void {
    if ("progress" in reply) return this.#news.progress(reply.progress, reply.done, reply.total);
    if ("preview" in reply) return this.#news.preview(reply.preview);
    if ("update" in reply) return this.#news.update(reply.update);
    const waiting = this.#waiting.get(reply.number);
    this.#waiting.delete(reply.number);
    if (waiting === undefined) return;
    if (reply.ok) waiting.resolve(reply.answer);
    else waiting.reject(new Refused(reply.problem));
  }

  /** @throws Refused with what the worker says. */
  ask<K extends Request["ask"]>(request: Extract<Request, { readonly ask: K }>): Promise<Answers[K]> {
    const number = ++this.#last;
    return new Promise<Answers[K]>((resolve, reject) => {
      // The worker answers each question in its own kind.
      this.#waiting.set(number, { resolve: (answer) => resolve(answer as Answers[K]), reject });
      this.#worker.postMessage({ number, request });
    });
  }
}
