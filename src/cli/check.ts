/** `roomdag check`: reads files, has them checked, prints what was found. */
import { basename } from "node:path";
import process from "node:process";
import type { Ed25519Provider } from "../crypto/ed25519-provider.js";
import { explainEvent } from "../inspect/explain.js";
import {
  formatClosing,
  formatExplanation,
  formatReport,
  formatSummary,
  formatTraces,
  printable,
} from "../inspect/format.js";
import { plainReport } from "../inspect/json.js";
import { readDump } from "../inspect/read.js";
import { checkRoom } from "../inspect/room.js";
import type { RoomReport } from "../inspect/room.js";
import { parseLax } from "../json/parse.js";
import { get, isArray, isObject } from "../json/value.js";
import type { JsonObject } from "../json/value.js";
import { roomVersions } from "../versions/index.js";
import { nodeProvider } from "./ed25519.js";
import { Failure } from "./failure.js";
import { expand, readText } from "./files.js";
import type { Output } from "./output.js";
import { Progress } from "./progress.js";

export interface CheckArguments {
  readonly paths: readonly string[];
  readonly roomVersion: string | undefined;
  readonly roomId: string | undefined;
  readonly keys: string | undefined;
  readonly explain: string | undefined;
  readonly json: boolean;
  readonly trace: boolean;
  readonly summary: boolean;
  readonly colour: boolean;
}

interface Context {
  readonly options: CheckArguments;
  readonly keys: readonly JsonObject[];
  readonly provider: Ed25519Provider;
  readonly output: Output;
  readonly errors: Output;
}

/** Exit status: 0 when everything agrees, 1 when something does not, 2 when a file could not be checked. */
export async function runCheck(options: CheckArguments, output: Output, errors: Output): Promise<number> {
  const { roomVersion } = options;
  if (roomVersion !== undefined && !roomVersions.has(roomVersion)) {
    const known = roomVersions.ids().join(", ");
    throw new Failure(`room version ${printable(roomVersion)} is unknown: it is one of ${known}`);
  }
  const keys = options.keys === undefined ? [] : [await readKeyFile(options.keys)];
  const { files, directories } = await expand(options.paths);
  const context: Context = { options, keys, provider: nodeProvider(), output, errors };
  const summary = (options.summary || directories) && !options.json && options.explain === undefined && !options.trace;
  const reports: RoomReport[] = [];
  let unreadable = 0;
  for (const file of files) {
    const report = await checkFile(context, file);
    if (report === undefined) unreadable++;
    else {
      reports.push(report);
      await print(context, file, report, summary);
    }
  }
  if (summary) await output.write(`\n${formatClosing(reports, unreadable)}\n`);
  if (reports.some(({ disagreements }) => disagreements.length > 0)) return 1;
  return unreadable > 0 ? 2 : 0;
}

export async function readKeyFile(path: string): Promise<JsonObject> {
  const parsed = parseLax(await readText(path));
  if (parsed.ok && isObject(parsed.value) && holdsKeys(parsed.value)) return parsed.value;
  throw new Failure(`${path} holds no keys: it should be {server: {key id: base64}}, or what a key server answered`);
}

/** A table of another shape would silently leave every signature unchecked. */
function holdsKeys(table: JsonObject): boolean {
  const answers = get(table, "server_keys");
  return (isArray(answers) ? answers : [table]).some((answer) =>
    Object.values(isObject(answer) ? answer : {}).some(
      (keys) => isObject(keys) && Object.keys(keys).some((keyId) => keyId.startsWith("ed25519:")),
    ),
  );
}

async function checkFile(context: Context, file: string): Promise<RoomReport | undefined> {
  const { options, keys, provider } = context;
  const problem = async (reason: string, code: string, sentence = `${file}: ${reason}`): Promise<undefined> => {
    if (options.json) await context.output.write(`${JSON.stringify({ file, error: reason, code })}\n`);
    await context.errors.write(`roomdag: ${printable(sentence)}\n`);
    return undefined;
  };
  let text: string;
  try {
    text = await readText(file);
  } catch (error) {
    if (error instanceof Failure) return problem(error.message, "unreadable", error.message);
    throw error;
  }
  const { roomVersion, roomId } = options;
  const dump = readDump(text, {
    ...(roomVersion === undefined ? {} : { roomVersion }),
    ...(roomId === undefined ? {} : { roomId }),
  });
  if (!dump.ok) return problem(withFlag(dump.error.reason, dump.error.code), dump.error.code);
  const progress = new Progress(process.stderr, dump.value.events.length);
  const report = checkRoom(dump.value, { keys, provider, progress: (done, total) => progress.show(done, total) });
  progress.clear();
  return report.ok ? report.value : problem(withFlag(report.error.reason, report.error.code), report.error.code);
}

/** Names the flag that answers the refusal. */
function withFlag(reason: string, code: string): string {
  if (code === "unknown_room_version") return `${reason} (--room-version)`;
  return code === "wrong_room" ? `${reason} (--room)` : reason;
}

async function print({ options, output }: Context, file: string, report: RoomReport, summary: boolean): Promise<void> {
  const { colour, explain, json, trace } = options;
  if (explain !== undefined) {
    const explanation = explainEvent(report, explain);
    if (!explanation.ok) throw new Failure(`${file}: ${explanation.error.reason}`);
    const { value } = explanation;
    const text = json ? JSON.stringify({ file, explanation: value }) : formatExplanation(value, { colour });
    return output.write(`${text}\n`);
  }
  if (json) return output.write(`${JSON.stringify({ file, ...plainReport(report, { trace }) })}\n`);
  if (summary) return output.write(`${formatSummary(basename(file), report, { colour })}\n`);
  await output.write(`${formatReport(file, report, { colour })}\n`);
  if (trace) await output.write(`${formatTraces(report, { colour })}\n`);
}
