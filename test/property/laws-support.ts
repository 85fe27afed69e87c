/** Seeds are fixed, so that a failure is everybody's; `ROOMDAG_SEED` and `ROOMDAG_RUNS` explore. */
import { UsageError } from "../../src/errors.js";
import { version } from "../../src/facade.js";
import { LawViolation } from "../../src/testing/index.js";
import type { AuthRequest, Law, LawOptions, ResolutionRequest } from "../../src/testing/index.js";

const numberOf = (name: string): number | undefined => {
  const text = process.env[name];
  return text === undefined ? undefined : Number(text);
};

export const seed = numberOf("ROOMDAG_SEED") ?? 20_240_229;

/** How many cases: `ROOMDAG_RUNS` multiplies them. */
export const runs = (usual: number): number => Math.ceil(usual * (numberOf("ROOMDAG_RUNS") ?? 1));

export const options = (usual: number): LawOptions => ({ seed, runs: runs(usual) });

/** This library, as an implementation that the laws judge. */
export const resolve = (request: ResolutionRequest): readonly string[] => {
  const answer = version(request.room_version).resolve({ stateSets: request.state_sets, events: request.events });
  if (answer.verdict !== "resolved") throw new UsageError(`not resolved: ${JSON.stringify(answer)}`);
  return answer.state;
};

export const check = (request: AuthRequest): boolean => {
  const create = request.create === undefined ? {} : { create: request.create };
  const verdict = version(request.room_version).authorize(request.event, {
    authEvents: request.auth_events,
    ...create,
  });
  if (verdict.verdict === "needs") throw new UsageError(`undecided: ${JSON.stringify(verdict)}`);
  return verdict.verdict === "allowed";
};

/** The law of this name ending; names are unique. */
export const lawNamed = (laws: readonly Law[], ending: string): Law => {
  const found = laws.filter(({ name }) => name.endsWith(ending));
  const [law] = found;
  if (law === undefined || found.length > 1) throw new UsageError(`${found.length} laws are named ${ending}`);
  return law;
};

/** The violation that a law finds, or `undefined` where it holds. */
export const violationOf = async (law: Law, how: LawOptions): Promise<LawViolation | undefined> => {
  try {
    await law.run(how);
    return undefined;
  } catch (error) {
    if (error instanceof LawViolation) return error;
    throw error;
  }
};
