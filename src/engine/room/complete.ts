/**
 * Completing a partial state (server-server-api, "Joining Rooms": `members_omitted`): a server is asked for the whole
 * state before the join. In one commit it takes the place of the part, and every event since is judged again, in order.
 */
import { ok, refuse } from "../../errors.js";
import type { Result } from "../../errors.js";
import { domainOf } from "../../ids/grammar.js";
import { compareCodePoints } from "../../json/compare.js";
import type { Cancel } from "../../ports/cancel.js";
import type { OutboxEntry } from "../../ports/storage.js";
import { completionStep } from "../cause.js";
import { listOf } from "../fetch.js";
import type { Held } from "../held.js";
import type { Snapshot } from "../snapshot.js";
import { StateView } from "../state-view.js";
import type { Workspace } from "../workspace.js";
import type { RoomCore } from "./core.js";
import { deciding, lostEveryRace, refusalIn, requireAsked, settlingOf, untilCommitted } from "./deciding.js";
import { admitState } from "./given.js";
import type { AdmittedState, GivenState } from "./given.js";
import { remembering, settle } from "./loop.js";
import { againOf, judgedIn, takeBackRedactions } from "./rejudge.js";
import { drain, need } from "./supply.js";
import type { EmitOptions } from "./types.js";

/** A whole state before a join. */
interface Whole extends AdmittedState {
  /** The id of the join. */
  readonly eventId: string;
  /** Who gave the state. */
  readonly server: string;
}

/** Nothing changes when the state does not let the join in, or contradicts the part; a complete room stays as it is. */
export async function completeFrom(core: RoomCore, server: string, options: EmitOptions): Promise<Result<undefined>> {
  const { cancel } = options;
  await core.open(cancel);
  const eventId = core.memory.record?.partial?.eventId;
  if (eventId === undefined) return ok(undefined);
  const answer = await askForState(core, server, eventId, cancel);
  if (!answer.ok) return answer;
  const given = await admitState(core, answer.value, cancel);
  if (!given.ok) return given;
  const whole = { ...given.value, eventId, server };
  const completeOnce = async (): Promise<Result<undefined>> => {
    const decide = (ws: Workspace): Promise<Result<undefined> | undefined> => completeIn(core, ws, whole, options);
    return (await untilCommitted(core, decide, cancel)) ?? lostEveryRace(core);
  };
  const completed = await remembering(core, () => deciding(core, completeOnce, cancel), cancel);
  if (completed.ok) await settle(core, [], cancel);
  return completed;
}

/** The state before the join, and its auth chain, within bounds. */
async function askForState(
  { host, roomId }: RoomCore,
  server: string,
  eventId: string,
  cancel: Cancel | undefined,
): Promise<Result<GivenState>> {
  const { transport, limits } = host;
  const answer = await transport.request(server, "state", { roomId, eventId }, cancel);
  if (!answer.ok) return refuse("unreachable", `${server} (${answer.error.code}): ${answer.error.reason}`);
  const [state, authChain] = [listOf(answer.value.state), listOf(answer.value.authChain)];
  const count = state.length + authChain.length;
  if (count > limits.joinEvents) return refuse("too_large", `${server} answered with ${count} events`);
  return ok({ state, authChain, origin: server });
}

async function completeIn(
  core: RoomCore,
  ws: Workspace,
  whole: Whole,
  options: EmitOptions,
): Promise<Result<undefined> | undefined> {
  const { cancel } = options;
  const { eventId, ids, candidates, server } = whole;
  const partial = core.memory.record?.partial;
  if (partial?.eventId !== eventId) return ok(undefined);
  const judged = await judgedIn(core, partial, cancel);
  ws.partial = undefined;
  ws.setExtremities(new Map());
  await takeBackRedactions(core, ws, judged, cancel);
  const again = judged.map((held) => againOf(held, held.event.eventId === eventId ? ids : undefined));
  const settling = await settlingOf(core, ws, [...candidates, ...again], cancel);
  await drain(core.host, ws, settling, cancel);
  requireAsked(ws);
  const refusal = refusalIn(settling, eventId);
  if (refusal !== undefined) return { ok: false, error: refusal };
  const contradicted = contradiction(ws, judged, eventId);
  if (contradicted !== undefined) {
    return refuse("bad_format", `${server} gives another ${contradicted} than the room was joined with`);
  }
  if (!(await commitCompletion(core, ws, judged, eventId, options))) return undefined;
  core.freed = [...core.freed, ...settling.leftover];
  if (settling.outdated) core.forget();
  return ok(undefined);
}

/**
 * What a whole state says otherwise than the part that the room was joined with: it adds memberships, and nothing else.
 * The type of the first such event.
 */
function contradiction(ws: Workspace, judged: readonly Held[], joinId: string): string | undefined {
  const part = judged.find(({ event }) => event.eventId === joinId)?.before;
  const whole = ws.held(joinId)?.before;
  if (part === undefined || whole === undefined) return undefined;
  let found: string | undefined;
  new StateView(ws.index, part).differences(new StateView(ws.index, whole), (type, _, here) => {
    if (here !== undefined || type !== "m.room.member") found ??= type;
  });
  return found;
}

async function commitCompletion(
  core: RoomCore,
  ws: Workspace,
  judged: readonly Held[],
  eventId: string,
  options: EmitOptions,
): Promise<boolean> {
  const current: Snapshot = await need(core.host, ws, () => ws.current(), options.cancel);
  const join = judged.find(({ event }) => event.eventId === eventId);
  const steps = join === undefined ? [] : [completionStep(join.event, core.memory.current, current)];
  const unheard = unheardIn(core, new StateView(ws.index, current), judged, eventId);
  const additions = { ...options.additions, outbox: [...(options.additions?.outbox ?? []), ...unheard] };
  return core.commit(ws, steps, { ...options, additions });
}

/** Servers that turn out to be in the room, where own events were sent without them: they fetch what they missed. */
function unheardIn(
  { host: { server }, feed, roomId }: RoomCore,
  state: StateView,
  judged: readonly Held[],
  eventId: string,
): readonly OutboxEntry[] {
  const sent = judged.some(({ event }) => event.eventId !== eventId && domainOf(event.sender) === server);
  if (!sent) return [];
  const joined = new Set(state.members("join").flatMap(({ userId }) => domainOf(userId) ?? []));
  const unheard = [...joined].filter((name) => name !== server && !feed.residents.has(name));
  return unheard.sort(compareCodePoints).map((destination) => ({ destination, roomId }));
}
