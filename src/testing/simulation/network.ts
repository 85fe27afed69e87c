/** A network that loses, delays, repeats and reorders as a seed says, between servers that share no object. */
import { UsageError } from "../../errors.js";
import type { Awaitable, Cancel } from "../../ports/cancel.js";
import type { OperationErrorCode, OperationName, OperationRequest, OperationResult } from "../../ports/operations.js";
import type { Receiver, Transport } from "../../ports/transport.js";
import { copyMessage } from "./message.js";
import type { SeededRandom } from "./random.js";
import type { VirtualTime } from "./time.js";
import type { Trace } from "./trace.js";

/** What a link does to each message, one way. */
export interface LinkConditions {
  /** Milliseconds; drawn for each message alone, so messages overtake each other. */
  readonly latency: readonly [least: number, most: number];
  /** The probability that a message, be it a request or an answer, is lost. */
  readonly loss: number;
  /** The probability that a request arrives twice. */
  readonly duplication: number;
}

export interface NetworkOptions {
  /** Of links that have none of their own. Default: 5 to 50 ms, nothing lost or repeated. */
  readonly link?: Partial<LinkConditions>;
  /** Milliseconds until a request without an answer is given up. Default 30,000. */
  readonly timeout?: number;
  readonly trace?: Trace;
}

/** One function for each operation that is to be answered. */
export type OperationHandlers = {
  readonly [N in OperationName]?: (origin: string, request: OperationRequest<N>) => Awaitable<OperationResult<N>>;
};

/**
 * What a hostile server does to messages of its own engine as they leave. Each function answers what is sent
 * instead; `undefined` sends nothing, and the other side times out.
 */
export interface Interceptor {
  readonly sending?: {
    readonly [N in OperationName]?: (
      destination: string,
      request: OperationRequest<N>,
    ) => OperationRequest<N> | undefined;
  };
  readonly answering?: {
    readonly [N in OperationName]?: (
      origin: string,
      request: OperationRequest<N>,
      result: OperationResult<N>,
    ) => OperationResult<N> | undefined;
  };
}

/** A receiver that threw: a bug of that server, because a refusal is a value. */
export interface NetworkFault {
  readonly server: string;
  readonly origin: string;
  readonly name: OperationName;
  readonly error: unknown;
}

/** Requests on their way or unanswered. */
export interface QueueStatistics {
  readonly now: number;
  readonly most: number;
}

export interface NetworkStatistics {
  readonly requests: number;
  /** Calls of receivers; a repeated request is two. */
  readonly deliveries: number;
  /** Requests that got an answer from the other server. */
  readonly answered: number;
  /** Messages lost, by chance or because the link was cut. */
  readonly lost: number;
  readonly duplicated: number;
  readonly timeouts: number;
  readonly unreachable: number;
  readonly cancelled: number;
  /** About how large all requests and answers were, counted where they were sent. */
  readonly bytes: number;
  readonly byOperation: Readonly<Partial<Record<OperationName, number>>>;
  readonly inFlight: QueueStatistics;
  /** By destination. */
  readonly queues: ReadonlyMap<string, QueueStatistics>;
}

const CALM: LinkConditions = { latency: [5, 50], loss: 0, duplication: 0 };

/** The generator and the conditions of the way from one server to another. */
interface Link {
  readonly random: SeededRandom;
  conditions: LinkConditions | undefined;
}

interface Call<N extends OperationName> {
  readonly id: number;
  readonly origin: string;
  readonly destination: string;
  readonly name: N;
  readonly request: OperationRequest<N>;
  /** How often the origin had gone down when it asked. */
  readonly life: number;
  readonly finish: (result: OperationResult<N>, how: "answered" | "timeouts" | "unreachable" | "cancelled") => void;
}

/** A {@link Receiver} from a function for each operation; what has none is answered `not_found`. */
export function receiverOf(handlers: OperationHandlers): Receiver {
  return async <N extends OperationName>(origin: string, name: N, request: OperationRequest<N>) => {
    const handler: OperationHandlers[N] = handlers[name];
    return handler === undefined ? failure("not_found", `${name} is not answered here.`) : handler(origin, request);
  };
}

export class VirtualNetwork {
  /** Receivers that threw, in order. An honest run has none. */
  readonly faults: NetworkFault[] = [];
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #timeout: number;
  readonly #trace: Trace | undefined;
  #conditions: LinkConditions;
  readonly #links = new Map<string, Map<string, Link>>();
  readonly #receivers = new Map<string, Receiver>();
  readonly #interceptors = new Map<string, Interceptor>();
  readonly #down = new Set<string>();
  /** How often a server went down: an answer of an earlier life never leaves, and never arrives in a later one. */
  readonly #lives = new Map<string, number>();
  #groups = new Map<string, number>();
  readonly #blocks = new Map<string, Set<string>>();
  readonly #counts = {
    requests: 0,
    deliveries: 0,
    answered: 0,
    lost: 0,
    duplicated: 0,
    timeouts: 0,
    unreachable: 0,
    cancelled: 0,
    bytes: 0,
  };
  readonly #byOperation = new Map<OperationName, number>();
  readonly #inFlight = { now: 0, most: 0 };
  readonly #queues = new Map<string, { now: number; most: number }>();

  constructor(time: VirtualTime, random: SeededRandom, options: NetworkOptions = {}) {
    this.#time = time;
    this.#random = random;
    this.#timeout = options.timeout ?? 30_000;
    this.#trace = options.trace?.on === true ? options.trace : undefined;
    this.#conditions = conditionsOf(CALM, options.link);
  }

  /** The transport of a server, whose name every receiver sees as the origin. */
  transport(server: string): Transport {
    return Object.freeze<Transport>({
      request: <N extends OperationName>(
        destination: string,
        name: N,
        request: OperationRequest<N>,
        cancel?: Cancel,
      ): Promise<OperationResult<N>> => this.#request(server, destination, name, request, cancel),
      listen: (receiver) => this.listen(server, receiver),
    });
  }

  /** Answers as `server` from now on, in place of any receiver before. Returns what stops it. */
  listen(server: string, receiver: Receiver): () => void {
    this.#receivers.set(server, receiver);
    return () => {
      if (this.#receivers.get(server) === receiver) this.#receivers.delete(server);
    };
  }

  /** Asks as `origin`, past its engine and its interceptor: what a hostile server makes up. */
  inject<N extends OperationName>(
    origin: string,
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel?: Cancel,
  ): Promise<OperationResult<N>> {
    return this.#send(origin, destination, name, request, cancel);
  }

  /** Puts a hostile will between a server's engine and the network, in place of any before. Returns what removes it. */
  intercept(server: string, interceptor: Interceptor): () => void {
    this.#interceptors.set(server, interceptor);
    return () => {
      if (this.#interceptors.get(server) === interceptor) this.#interceptors.delete(server);
    };
  }

  /** Sets the conditions of every link that has none of its own. What is absent stays as it is. */
  setConditions(conditions: Partial<LinkConditions>): void {
    this.#conditions = conditionsOf(this.#conditions, conditions);
  }

  /** Sets the conditions of one way; `undefined`: those of every link again. */
  setLink(from: string, to: string, conditions: Partial<LinkConditions> | undefined): void {
    const link = this.#link(from, to);
    link.conditions = conditions && conditionsOf(link.conditions ?? this.#conditions, conditions);
  }

  /** Nothing is lost or repeated by chance any more, and every link has the same latency. */
  calm(): void {
    this.setConditions({ loss: 0, duplication: 0 });
    for (const links of this.#links.values()) for (const link of links.values()) link.conditions = undefined;
  }

  /**
   * Cuts every link between servers of different groups, in place of any partition before. Servers that are
   * not named are one more group.
   */
  partition(groups: readonly (readonly string[])[]): void {
    this.#groups = new Map(groups.flatMap((group, index) => group.map((server) => [server, index] as const)));
  }

  /** Cuts one way: requests of `from` to `to`, and the answers that `from` owes to `to`. */
  block(from: string, to: string): void {
    const blocked = this.#blocks.get(from);
    if (blocked === undefined) this.#blocks.set(from, new Set([to]));
    else blocked.add(to);
  }

  unblock(from: string, to: string): void {
    this.#blocks.get(from)?.delete(to);
  }

  /** Ends the partition and every block. Servers that are down stay so, and links stay as bad as they are. */
  heal(): void {
    this.#groups.clear();
    this.#blocks.clear();
  }

  /** Whether a message of `from` reaches `to`, were it not for chance. */
  connects(from: string, to: string): boolean {
    return this.#groups.get(from) === this.#groups.get(to) && this.#blocks.get(from)?.has(to) !== true;
  }

  /** Takes a server off: it neither asks nor answers, and what it was about to answer is never sent. */
  takeDown(server: string): void {
    if (this.#down.has(server)) return;
    this.#down.add(server);
    this.#lives.set(server, this.#life(server) + 1);
  }

  bringUp(server: string): void {
    this.#down.delete(server);
  }

  isUp(server: string): boolean {
    return !this.#down.has(server);
  }

  statistics(): NetworkStatistics {
    return Object.freeze({
      ...this.#counts,
      byOperation: Object.fromEntries(this.#byOperation),
      inFlight: { ...this.#inFlight },
      queues: new Map([...this.#queues].map(([server, queue]) => [server, { ...queue }])),
    });
  }

  async #request<N extends OperationName>(
    origin: string,
    destination: string,
    name: N,
    request: OperationRequest<N>,
    cancel: Cancel | undefined,
  ): Promise<OperationResult<N>> {
    const change = this.#interceptors.get(origin)?.sending?.[name];
    const sent = change === undefined ? request : change(destination, copyMessage(request).copy);
    return this.#send(origin, destination, name, sent, cancel);
  }

  /** `request` is absent where a hostile server keeps it to itself. */
  #send<N extends OperationName>(
    origin: string,
    destination: string,
    name: N,
    request: OperationRequest<N> | undefined,
    cancel: Cancel | undefined,
  ): Promise<OperationResult<N>> {
    return new Promise((resolve) => {
      if (cancel?.aborted === true) {
        this.#counts.cancelled++;
        resolve(failure("cancelled", "The request was cancelled before it was sent."));
        return;
      }
      const id = ++this.#counts.requests;
      this.#byOperation.set(name, (this.#byOperation.get(name) ?? 0) + 1);
      let open = true;
      const finish: Call<N>["finish"] = (result, how) => {
        if (!open) return;
        open = false;
        stopTimeout();
        takeBack?.();
        this.#dequeue(destination);
        this.#counts[how]++;
        this.#trace?.note(origin, `#${id} ${name} of ${destination}: ${result.ok ? "ok" : result.error.code}`);
        resolve(result);
      };
      this.#enqueue(destination);
      const stopTimeout = this.#time.after(this.#timeout, () => finish(timedOut(destination), "timeouts"));
      const takeBack = cancel?.onAbort(() => finish(failure("cancelled", "The request was cancelled."), "cancelled"));
      if (request === undefined) return;
      const { copy, size } = copyMessage(request);
      this.#counts.bytes += size;
      this.#trace?.note(origin, `#${id} ${name} to ${destination}`);
      this.#carry({ id, origin, destination, name, request: copy, life: this.#life(origin), finish });
    });
  }

  #carry<N extends OperationName>(call: Call<N>): void {
    const { origin, destination } = call;
    if (!this.isUp(origin)) {
      this.#time.after(0, () => call.finish(unreachable(destination), "unreachable"));
      return;
    }
    const { duplication } = this.#conditionsOf(origin, destination);
    const twice = this.#link(origin, destination).random.chance(duplication);
    if (twice) {
      this.#counts.duplicated++;
      const request = copyMessage(call.request).copy;
      this.#travel(origin, destination, call.id, () => this.#deliver({ ...call, request }));
    }
    this.#travel(origin, destination, call.id, () => this.#deliver(call));
  }

  /** Brings one message over a link, or loses it. */
  #travel(from: string, to: string, id: number, arrive: () => void): void {
    const { random } = this.#link(from, to);
    const { latency, loss } = this.#conditionsOf(from, to);
    // Both are drawn always, so that a cut link leaves the draws after it as they were.
    const [isLost, delay] = [random.chance(loss), random.between(...latency)];
    if (isLost || !this.connects(from, to)) {
      this.#lose(from, to, id);
      return;
    }
    this.#time.after(delay, () => (this.connects(from, to) ? arrive() : this.#lose(from, to, id)));
  }

  #lose(from: string, to: string, id: number): void {
    this.#counts.lost++;
    this.#trace?.note(from, `#${id} lost to ${to}`);
  }

  #deliver<N extends OperationName>(call: Call<N>): void {
    const { id, origin, destination, name, request } = call;
    const receiver = this.#receivers.get(destination);
    if (receiver === undefined || !this.isUp(destination)) {
      this.#travel(destination, origin, id, () => call.finish(unreachable(destination), "unreachable"));
      return;
    }
    this.#counts.deliveries++;
    this.#trace?.note(destination, `#${id} ${name} from ${origin}`);
    const life = this.#life(destination);
    const answer = (result: OperationResult<N>): void => {
      if (life === this.#life(destination)) this.#answer(call, result);
    };
    const fail = (error: unknown): void => {
      this.faults.push({ server: destination, origin, name, error });
      answer(failure("internal", "The server failed."));
    };
    try {
      receiver(origin, name, request).then(answer).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  #answer<N extends OperationName>(call: Call<N>, result: OperationResult<N>): void {
    const { id, origin, destination, name, request } = call;
    const change = this.#interceptors.get(destination)?.answering?.[name];
    const sent = change === undefined ? result : change(origin, request, copyMessage(result).copy);
    if (sent === undefined) return;
    const { copy, size } = copyMessage(sent);
    this.#counts.bytes += size;
    this.#travel(destination, origin, id, () => {
      if (call.life === this.#life(origin)) call.finish(copy, "answered");
    });
  }

  #conditionsOf(from: string, to: string): LinkConditions {
    return this.#link(from, to).conditions ?? this.#conditions;
  }

  #link(from: string, to: string): Link {
    let links = this.#links.get(from);
    if (links === undefined) this.#links.set(from, (links = new Map<string, Link>()));
    let link = links.get(to);
    if (link === undefined) {
      links.set(to, (link = { random: this.#random.fork(`${from} ${to}`), conditions: undefined }));
    }
    return link;
  }

  #life(server: string): number {
    return this.#lives.get(server) ?? 0;
  }

  #enqueue(destination: string): void {
    let queue = this.#queues.get(destination);
    if (queue === undefined) this.#queues.set(destination, (queue = { now: 0, most: 0 }));
    for (const count of [queue, this.#inFlight]) {
      count.now++;
      count.most = Math.max(count.most, count.now);
    }
  }

  #dequeue(destination: string): void {
    const queue = this.#queues.get(destination);
    if (queue !== undefined) queue.now--;
    this.#inFlight.now--;
  }
}

function conditionsOf(base: LinkConditions, change: Partial<LinkConditions> = {}): LinkConditions {
  const conditions = { ...base, ...change };
  const [least, most] = conditions.latency;
  if (!Number.isSafeInteger(least) || !Number.isSafeInteger(most) || least < 0 || most < least) {
    throw new UsageError(`A latency is two whole numbers of milliseconds, the lower first, not ${least} and ${most}.`);
  }
  return conditions;
}

function failure(
  code: OperationErrorCode,
  reason: string,
): { readonly ok: false; readonly error: { readonly code: OperationErrorCode; readonly reason: string } } {
  return { ok: false, error: { code, reason } };
}

function timedOut(server: string): ReturnType<typeof failure> {
  return failure("timeout", `${server} did not answer in time.`);
}

function unreachable(server: string): ReturnType<typeof failure> {
  return failure("unreachable", `${server} does not listen.`);
}
