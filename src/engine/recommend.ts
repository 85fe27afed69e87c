/**
 * Asking a room's policy server to recommend events, and being one (server-server-api, "Asking for a Policy Server
 * signature on an event"). The asking is done outside of a room's queue, like all that waits for another server.
 */
import { encodeUnpadded } from "../crypto/base64.js";
import { sha256 } from "../crypto/hash.js";
import { readPdu } from "../event/format.js";
import type { Pdu } from "../event/pdu.js";
import { eventSignedBytes } from "../event/sign.js";
import type { Cancel } from "../ports/cancel.js";
import type { OperationError, OperationErrorCode, OperationResult } from "../ports/operations.js";
import type { RoomVersion } from "../versions/room-version.js";
import { Cache } from "./cache.js";
import { withDeadline } from "./cancel.js";
import type { Facts } from "./facts.js";
import type { Host } from "./host.js";
import { keyOf, notRecommended, recommendation, recommendationAmong, recommended } from "./policy-server.js";
import type { Recommendation, Unasked } from "./policy-server.js";

type Signed = OperationResult<"policy_sign">;

/** Answers that say nothing of the event: asked later, the policy server may recommend it. */
const silent: ReadonlySet<OperationErrorCode> = new Set<OperationErrorCode>([
  "unreachable",
  "timeout",
  "cancelled",
  "limit_exceeded",
  "internal",
]);

/** What asking needs of the room and its host. */
export interface AskingContext {
  readonly host: Host;
  readonly version: RoomVersion;
  readonly facts: Facts;
  /** Answers where this server itself is the policy server. */
  readonly own: PolicySigner;
}

/** One answer for each event. Who did not answer for one of them is asked about no other. */
export async function askPolicyServers(
  context: AskingContext,
  wanted: readonly Unasked[],
  cancel: Cancel | undefined,
): Promise<readonly (readonly [eventId: string, Recommendation])[]> {
  const { clock, limits } = context.host;
  const asking = new Asking(context);
  const answers: (readonly [string, Recommendation])[] = [];
  await withDeadline(clock, limits.policyTime, cancel, async (within) => {
    let at = 0;
    const work = async (): Promise<void> => {
      for (let next = wanted[at++]; next !== undefined; next = wanted[at++]) {
        answers.push([next.event.eventId, await asking.about(next, within)]);
      }
    };
    await Promise.all(Array.from({ length: Math.min(limits.policyRequests, wanted.length) }, work));
  });
  return answers;
}

class Asking {
  readonly #context: AskingContext;
  readonly #gone = new Map<string, OperationError>();

  constructor(context: AskingContext) {
    this.#context = context;
  }

  async about(unasked: Unasked, cancel: Cancel): Promise<Recommendation> {
    const { event, by } = unasked;
    const key = keyOf(by);
    if (key === undefined) return refusedFor(unasked, `the key that the room lists for ${by.server} is none`);
    const answer = await this.#ask(unasked, cancel);
    if (!answer.ok) return failed(unasked, answer.error);
    const signature = recommendationAmong(answer.value.signatures, by.server);
    if (signature === undefined) return refusedFor(unasked, `${by.server} answered without a signature`);
    const { facts, host, version } = this.#context;
    const message = eventSignedBytes(version.rules, event.json);
    await facts.settle([{ fact: "signature", key, message, signature }], host.keys, cancel);
    if (facts.verifies(signature, message, key) !== true) {
      return refusedFor(unasked, `the signature of ${by.server} does not verify by the key that the room lists`);
    }
    const { json } = recommended(event, by.server, signature);
    const read = readPdu(version.rules, json, { counts: "tolerated", eventId: event.eventId });
    return read.ok ? { by, signature } : { by, refusal: read.error };
  }

  async #ask({ event, by }: Unasked, cancel: Cancel): Promise<Signed> {
    const { host, own } = this.#context;
    const gone = this.#gone.get(by.server);
    if (gone !== undefined) return { ok: false, error: gone };
    const isOver = (): boolean => cancel.aborted;
    if (isOver()) return { ok: false, error: { code: "timeout", reason: "there was no time left to ask" } };
    const ask = (): Promise<Signed> =>
      by.server === host.server
        ? orTimeout(own.sign(event, host.server), cancel)
        : host.transport.request(by.server, "policy_sign", { event: event.json }, cancel);
    let answer = await ask();
    for (let wait = pauseOf(answer); wait !== undefined; wait = pauseOf(answer)) {
      await host.clock.sleep(wait, cancel);
      if (isOver()) break;
      answer = await ask();
    }
    if (!answer.ok && silent.has(answer.error.code)) this.#gone.set(by.server, answer.error);
    return answer;
  }
}

/** What a policy server that has too many requests wants to be waited, if it says so; never next to nothing. */
function pauseOf(answer: Signed): number | undefined {
  const wait = !answer.ok && answer.error.code === "limit_exceeded" ? answer.error.retryAfterMs : undefined;
  return typeof wait === "number" && wait >= 0 ? Math.max(wait, 500) : undefined;
}

function failed(unasked: Unasked, { code, reason }: OperationError): Recommendation {
  const { event, by } = unasked;
  const why = `${by.server} (${code}): ${reason}`;
  return { by, refusal: notRecommended(event, why, silent.has(code) ? "unreachable" : "not_recommended") };
}

function refusedFor({ event, by }: Unasked, reason: string): Recommendation {
  return { by, refusal: notRecommended(event, reason) };
}

/** A hook of this host's own keeps nobody waiting longer than another server may. */
function orTimeout(answer: Promise<Signed>, cancel: Cancel): Promise<Signed> {
  const late = new Promise<Signed>((resolve) => {
    cancel.onAbort(() => {
      resolve({ ok: false, error: { code: "timeout", reason: "the host's policy did not answer in time" } });
    });
  });
  return Promise.race([answer, late]);
}

/** How many events of a room a policy server remembers its word on. */
const REMEMBERED = 1_000;

/**
 * Recommends events of a room as its policy server. The host's policy is asked once about an event while it is
 * remembered, however many servers ask: one that was sent without a signature is asked about by all of the room.
 */
export class PolicySigner {
  readonly #host: Host;
  readonly #version: RoomVersion;
  readonly #answers = new Cache<string, Promise<Signed>>(REMEMBERED);

  constructor(host: Host, version: RoomVersion) {
    this.#host = host;
    this.#version = version;
  }

  /** The event's form, content hash and signatures have been checked. */
  sign(event: Pdu, origin: string): Promise<Signed> {
    const message = eventSignedBytes(this.#version.rules, event.json);
    // An id of room versions 1 and 2 may have several bodies.
    const name = encodeUnpadded(sha256(message));
    const known = this.#answers.get(name);
    if (known !== undefined) return known;
    const answer = this.#sign(event, message, origin);
    this.#answers.set(name, answer);
    answer.catch(() => {
      this.#answers.delete(name);
    });
    return answer;
  }

  async #sign(event: Pdu, message: Uint8Array, origin: string): Promise<Signed> {
    const { server, keys, policy } = this.#host;
    if (keys.signPolicy === undefined) {
      return { ok: false, error: { code: "unrecognized", reason: `${server} is no policy server` } };
    }
    const refused = await policy.checkRecommendation?.({ event, roomVersion: this.#version.id, origin });
    if (refused !== undefined) {
      return { ok: false, error: { code: "forbidden", reason: `${refused.code}: ${refused.reason}` } };
    }
    return { ok: true, value: { signatures: recommendation(server, await keys.signPolicy(message)) } };
  }
}
