/** Many runs from one seed, and of a run that went wrong the smallest one that still does. */
import fc from "fast-check";
import { arbScript } from "./arbitrary.js";
import type { ArbScriptOptions } from "./arbitrary.js";
import { runSimulation } from "./run.js";
import type { SimulationOptions, SimulationReport } from "./run.js";
import type { SimulationScript } from "./script.js";

export interface CampaignOptions extends ArbScriptOptions {
  readonly seed: number;
  readonly runs: number;
  /** Where a failure was found, as its report says: begins there, for who wants to see it again. */
  readonly path?: string;
  readonly settle: SimulationOptions["settle"];
  readonly sabotage?: SimulationOptions["sabotage"];
  /** Every so many runs one is done twice, and both must be the same to the last message. Default 50. */
  readonly twice?: number;
  /** Told after each run that belongs to the campaign, not while a failure is made smaller. */
  readonly onRun?: (report: SimulationReport) => void;
}

export interface CampaignFailure {
  readonly seed: number;
  readonly path: string;
  /** The smallest run found that goes wrong. */
  readonly report: SimulationReport;
}

export interface CampaignReport {
  readonly runs: number;
  readonly failure?: CampaignFailure;
}

/** Runs simulations until one goes wrong or all went well. */
export async function simulate(options: CampaignOptions): Promise<CampaignReport> {
  const { seed, runs, path, twice = 50, settle, sabotage, onRun } = options;
  const given = { settle, ...(sabotage === undefined ? {} : { sabotage }) };
  let [count, failing] = [0, undefined as SimulationReport | undefined];
  const goesWell = async (script: SimulationScript): Promise<boolean> => {
    count++;
    const report = count % twice === 0 ? await runTwice(script, given) : await runSimulation(script, given);
    if (failing === undefined) onRun?.(report);
    if (report.violations.length === 0) return true;
    failing = report;
    return false;
  };
  const property = fc.asyncProperty(arbScript(options), goesWell);
  const checked = await fc.check(property, { seed, numRuns: runs, ...(path === undefined ? {} : { path }) });
  if (!checked.failed) return { runs: checked.numRuns };
  const [script] = checked.counterexample ?? [];
  if (script === undefined || failing === undefined) throw new Error("A failure has no script.");
  const report = await runTwice(script, given);
  // Runs of one script are the same; should they ever not be, the report that failed is the one to show.
  const shown = report.violations.length > 0 ? report : failing;
  return { runs: checked.numRuns, failure: { seed, path: checked.counterexamplePath ?? "", report: shown } };
}

async function runTwice(script: SimulationScript, options: SimulationOptions): Promise<SimulationReport> {
  const one = await runSimulation(script, { ...options, trace: true });
  const two = await runSimulation(script, { ...options, trace: true });
  const same = one.trace.hash() === two.trace.hash();
  return same ? one : { ...one, violations: [...one.violations, "the same script was run twice, and went otherwise"] };
}
