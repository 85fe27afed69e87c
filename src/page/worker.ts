/** The worker: reads, checks and answers, so that the page never waits. */
import { createWebCryptoVerifier } from "../adapters/webcrypto/verifier.js";
import { encodeUnpadded } from "../crypto/base64.js";
import { coreProvider, rememberingProvider } from "../crypto/ed25519-provider.js";
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { planSignatures } from "../event/signatures.js";
import { keyLookup } from "../inspect/keys.js";
import type { Dump } from "../inspect/dump.js";
import { readDump } from "../inspect/read.js";
import { isScenario, readScenario } from "../inspect/scenario.js";
import { graphOfDump } from "../inspect/graph.js";
import type { RoomGraph } from "../inspect/graph.js";
import { roomVersions } from "../versions/index.js";
import type { VerifyRequest } from "../ports/keys.js";
import type { Answers, LoadedRoom, Problem, Reply, Request, Source, Story } from "./protocol.js";
import { Session, draw, previewOf } from "./session.js";
import type { About } from "./session.js";

/** Files beyond this would not fit as text and events beside each other in the memory of a tab. */
export const MOST_BYTES: number = 256 * 1024 * 1024;

/** The signatures of fewer events are verified before the room is shown; those of more, behind the picture. */
const VERIFY_AT_ONCE = 80;
const BATCH = 500;

/** Rooms of so many events are shown before they are checked. */
const PREVIEW_FROM = 2000;

class Stop extends Error {
  readonly problem: Problem;
  constructor(code: string, reason: string) {
    super(reason);
    this.problem = { code, reason };
  }
}

/** Answers a page. */
export function startWorker(scope: DedicatedWorker): void {
  let session: Session | undefined;
  let generation = 0;
  const post = (reply: Reply): void => scope.postMessage(reply);
  const load = async (source: Source): Promise<LoadedRoom> => {
    const mine = ++generation;
    const { dump, ...about } = await read(source, post);
    const early = dump.events.length >= PREVIEW_FROM ? preview(about, dump, post) : undefined;
    const atOnce = dump.events.length <= VERIFY_AT_ONCE;
    const first = checked(about, dump, atOnce ? rememberingProvider() : undefined, post);
    session = first;
    const requests = atOnce ? [] : signaturesOf(dump, first);
    if (requests.length > 0) {
      const better = verifyLater(about, dump, requests, post, () => mine === generation);
      better.then(
        (found) => {
          if (found === undefined) return;
          session = found;
          post({ update: found.room(undefined, 0) });
        },
        (error: unknown) => post({ progress: problemOf(error).reason, done: 0, total: 0 }),
      );
    }
    return first.room(isAsDrawn(early, first.graph) ? undefined : first.draw([], true), requests.length);
  };
  const answer = async (request: Request): Promise<Answers[keyof Answers]> => {
    if (request.ask === "load") return load(request.source);
    if (session === undefined) throw new Stop("empty", "no room is open");
    return ask(session, request);
  };
  scope.onmessage = ({ data }) => {
    const { number, request } = data as { readonly number: number; readonly request: Request };
    answer(request).then(
      (value) => post({ number, ok: true, answer: value }),
      (error: unknown) => post({ number, ok: false, problem: problemOf(error) }),
    );
  };
}

/** Shows the graph, which is there long before the verdicts are. */
function preview(about: About, dump: Dump, post: (reply: Reply) => void): RoomGraph | undefined {
  const version = roomVersions.get(dump.roomVersion ?? "");
  if (!version.ok) return undefined;
  const graph = graphOfDump(version.value.rules, dump);
  if (graph.events.length === 0) return undefined;
  post({ preview: previewOf(about, graph, draw(graph, [], true)) });
  return graph;
}

/** Whether a drawing of one graph is one of the other: the same events, and none that has to be unfolded. */
function isAsDrawn(drawn: RoomGraph | undefined, graph: RoomGraph): boolean {
  if (drawn?.events.length !== graph.events.length) return false;
  return graph.events.every(
    ({ eventId, standing }, at) => standing === "accepted" && drawn.events[at]?.eventId === eventId,
  );
}

/** What the worker needs of its global scope. */
export interface DedicatedWorker {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

function problemOf(error: unknown): Problem {
  if (error instanceof Stop) return error.problem;
  const reason = error instanceof Error ? error.message : String(error);
  return { code: "internal", reason: `this room is more than the page can hold: ${reason}` };
}

function ask(session: Session, request: Exclude<Request, { ask: "load" }>): Answers[keyof Answers] {
  if (request.ask === "layout") return session.draw(request.open, request.fold);
  if (request.ask === "audit") return session.audit();
  const result =
    request.ask === "explain"
      ? session.explain(request.eventId)
      : request.ask === "state"
        ? session.state(request.eventId, request.side)
        : session.resolve(request.eventIds);
  if (!result.ok) throw new Stop(result.error.code, result.error.reason);
  return result.value;
}

async function read(source: Source, post: (reply: Reply) => void): Promise<About & { readonly dump: Dump }> {
  post({ progress: "Reading", done: 0, total: 1 });
  const { name, roomVersion, roomId, signatures } = source;
  const text = await textOf(source);
  const dump = readDump(text, {
    ...(roomVersion === undefined ? {} : { roomVersion }),
    ...(roomId === undefined ? {} : { roomId }),
  });
  if (dump.ok) return { name, story: storyOf(text), dump: signatures === undefined ? dump.value : kept(dump.value) };
  throw new Stop(dump.error.code, dump.error.reason);
}

/** A room of a server's store. */
function kept(dump: Dump): Dump {
  const note = "a server kept this room and verified its signatures when the events came: here they count as valid";
  return { ...dump, signatures: "assumed", notes: [...dump.notes, note] };
}

function storyOf(text: string): Story | undefined {
  const scenario = isScenario(text) ? readScenario(text) : undefined;
  if (scenario?.ok !== true) return undefined;
  const { title, lesson, source } = scenario.value;
  return { title, lesson, source };
}

async function textOf({ text, gzip, file }: Source): Promise<string> {
  if (text !== undefined) return text;
  if (gzip !== undefined) {
    const bytes = Uint8Array.from(atob(gzip), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  if (file === undefined) return "";
  if (file.size > MOST_BYTES) {
    throw new Stop("too_large", `this file has ${megabytes(file.size)}: the page reads up to ${megabytes(MOST_BYTES)}`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Stop("bad_json", "this is not UTF-8 text");
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MB`;
}

function checked(
  about: About,
  dump: Dump,
  provider: Ed25519Provider | undefined,
  post: (reply: Reply) => void,
): Session {
  const progress = (done: number, total: number): void => {
    if (done % 1000 === 0) post({ progress: "Checking events", done, total });
  };
  const session = Session.check(about, dump, provider, progress);
  if (!session.ok) throw new Stop(session.error.code, session.error.reason);
  return session.value;
}

/** Every signature that a known key can check. */
function signaturesOf(dump: Dump, { report }: Session): readonly VerifyRequest[] {
  if (dump.keys.length === 0) return [];
  const lookup = keyLookup(dump.keys);
  const { rules } = report.replay.roomVersion;
  return [...report.received.events.values()].flatMap(({ copies }) =>
    copies.flatMap(({ pdu }) => planSignatures(rules, pdu, lookup).checks),
  );
}

/** Has the platform verify, then checks the room again with what it said. */
async function verifyLater(
  about: About,
  dump: Dump,
  requests: readonly VerifyRequest[],
  post: (reply: Reply) => void,
  isWanted: () => boolean,
): Promise<Session | undefined> {
  const { verify } = await createWebCryptoVerifier();
  const known = new Map<string, { readonly request: VerifyRequest; readonly valid: boolean }>();
  for (let from = 0; from < requests.length; from += BATCH) {
    const batch = requests.slice(from, from + BATCH);
    const verdicts = await verify(batch);
    if (!isWanted()) return undefined;
    batch.forEach((request, at) => known.set(nameOf(request), { request, valid: verdicts[at] === true }));
    post({ progress: "Checking signatures", done: from + batch.length, total: requests.length });
  }
  return checked(about, dump, remembered(known), () => undefined);
}

function nameOf({ signature, key }: VerifyRequest): string {
  return encodeUnpadded(signature) + encodeUnpadded(key);
}

/** The verdicts that are known, and the core's for any other question. */
function remembered(
  known: ReadonlyMap<string, { readonly request: VerifyRequest; readonly valid: boolean }>,
): Ed25519Provider {
  return {
    verify: (signature, message, key) => {
      const found = known.get(nameOf({ signature, message, key }));
      if (found !== undefined && sameBytes(found.request.message, message)) return found.valid;
      return coreProvider.verify(signature, message, key);
    },
  };
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
