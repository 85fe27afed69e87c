/** `roomdag audit` and `roomdag replay`: files or a server's store in, words or JSON out. */
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { auditRoom } from "../../inspect/audit.js";
import type { Severity } from "../../inspect/audit.js";
import type { Dump } from "../../inspect/dump.js";
import { formatAudit, formatReplay, plainAudit, plainReplay } from "../../inspect/format-audit.js";
import { printable } from "../../inspect/format.js";
import { readDump, readRecording } from "../../inspect/read.js";
import { replayAs } from "../../inspect/replay-as.js";
import type { CheckOptions } from "../../inspect/room.js";
import { roomVersions } from "../../versions/index.js";
import type { Result } from "../../errors.js";
import { readKeyFile } from "../check.js";
import { nodeProvider } from "../ed25519.js";
import { Failure } from "../failure.js";
import { expand, readText } from "../files.js";
import type { Output } from "../output.js";
import { eachStored, storeArguments } from "../store.js";
import type { StoreArguments } from "../store.js";

const flags = {
  "room-version": { type: "string" },
  room: { type: "string" },
  keys: { type: "string" },
  store: { type: "string" },
  database: { type: "string" },
  as: { type: "string" },
  json: { type: "boolean" },
  notes: { type: "boolean" },
  "no-color": { type: "boolean" },
} as const;

interface Given {
  readonly paths: readonly string[];
  readonly store: StoreArguments | undefined;
  readonly roomVersion: string | undefined;
  readonly roomId: string | undefined;
  readonly keys: string | undefined;
  readonly as: string | undefined;
  readonly json: boolean;
  readonly notes: boolean;
  readonly colour: boolean;
}

function given(command: "audit" | "replay", args: readonly string[], colour: boolean): Given {
  const { values, positionals } = parse(args);
  const { store, database, room, keys } = values;
  const stored = storeArguments({ store, database, room }, positionals);
  if (stored === undefined && positionals.length === 0) {
    throw new Failure(`${command} takes at least one file, or --store DIR`);
  }
  for (const [name, value] of Object.entries({ "room-version": values["room-version"], keys })) {
    if (stored !== undefined && value !== undefined) throw new Failure(`--store takes no --${name}: the store knows`);
  }
  if (command === "audit" && values.as !== undefined) throw new Failure("audit takes no --as: that is replay's");
  if (command === "replay" && values.as === undefined) throw new Failure("replay takes --as VERSION");
  if (command === "replay" && values.notes === true) throw new Failure("replay takes no --notes");
  for (const version of [values.as, values["room-version"]]) {
    if (version === undefined || roomVersions.has(version)) continue;
    const known = roomVersions.ids().join(", ");
    throw new Failure(`room version ${printable(version)} is unknown: it is one of ${known}`);
  }
  return {
    paths: positionals,
    store: stored,
    roomVersion: values["room-version"],
    roomId: room,
    keys,
    as: values.as,
    json: values.json === true,
    notes: values.notes === true,
    colour: colour && values["no-color"] !== true,
  };
}

// Its type is inferred from the flags, which no annotation would say as well.
const parseFlags = (args: readonly string[]) => parseArgs({ args: [...args], options: flags, allowPositionals: true });

function parse(args: readonly string[]): ReturnType<typeof parseFlags> {
  try {
    return parseFlags(args);
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

/** 2 is what every command ends with when a file or the command line is of no use. */
const statuses: Readonly<Record<Severity, number>> = { note: 0, warning: 1, error: 3 };
const UNUSABLE = 2;

/** Exit status: 0 without findings above a note, 1 with warnings, 3 with errors, 2 when a file is of no use. */
export async function runAudit(
  args: readonly string[],
  colour: boolean,
  output: Output,
  errors: Output,
): Promise<number> {
  const options = given("audit", args, colour);
  return eachRoom(options, errors, async ({ title, source, dump }, check) => {
    const audited = auditRoom(dump, check);
    if (!audited.ok) return audited;
    const audit = audited.value;
    const { names } = dump;
    const text = options.json
      ? JSON.stringify({ ...source, ...plainAudit(audit) })
      : formatAudit(title, audit, { ...options, ...(names === undefined ? {} : { names }) });
    await output.write(`${text}\n`);
    return { ok: true, value: audit.worst === undefined ? 0 : statuses[audit.worst] };
  });
}

/** Exit status: 0 when nothing differs, 1 when something does, 2 when a file is of no use. */
export async function runReplay(
  args: readonly string[],
  colour: boolean,
  output: Output,
  errors: Output,
): Promise<number> {
  const options = given("replay", args, colour);
  return eachRoom(options, errors, async ({ title, source, dump }, check) => {
    const replayed = replayAs(dump, options.as ?? "", check);
    if (!replayed.ok) return replayed;
    const { names } = dump;
    const text = options.json
      ? JSON.stringify({ ...source, ...plainReplay(replayed.value) })
      : formatReplay(title, replayed.value, { ...options, ...(names === undefined ? {} : { names }) });
    await output.write(`${text}\n`);
    return { ok: true, value: replayed.value.same ? 0 : 1 };
  });
}

/** A room that was read. */
interface Read {
  /** What its part of the text begins with. */
  readonly title: string;
  /** Where it is from, as JSON says it. */
  readonly source: Readonly<Record<string, string>>;
  readonly dump: Dump;
}

/** The worst of what the rooms come to; a file that is of no use does not hide what others hold. */
async function eachRoom(
  options: Given,
  errors: Output,
  act: (room: Read, check: CheckOptions) => Promise<Result<number>>,
): Promise<number> {
  const outcome = { worst: 0, unusable: false };
  const take = async (name: string, done: Result<number>): Promise<void> => {
    if (done.ok) {
      outcome.worst = Math.max(outcome.worst, done.value);
      return;
    }
    outcome.unusable = true;
    await errors.write(`roomdag: ${printable(`${name}: ${done.error.reason}`)}\n`);
  };
  const provider = nodeProvider();
  const { store } = options;
  if (store === undefined) {
    const keys = options.keys === undefined ? [] : [await readKeyFile(options.keys)];
    const { files } = await expand(options.paths);
    for (const file of files) {
      const dump = await readFile(file, options);
      const room = { title: basename(file), source: { file } };
      await take(file, dump.ok ? await act({ ...room, dump: dump.value }, { keys, provider }) : dump);
    }
  } else {
    // The server verified signatures when events came.
    const check = { signatures: "assumed", provider } as const;
    await eachStored(store, async (roomId, recording) => {
      const dump = readRecording(recording);
      const room = { title: roomId, source: { store: store.data, room: roomId } };
      await take(roomId, dump.ok ? await act({ ...room, dump: dump.value }, check) : dump);
    });
  }
  return outcome.worst === 0 && outcome.unusable ? UNUSABLE : outcome.worst;
}

async function readFile(file: string, { roomVersion, roomId }: Given): Promise<Result<Dump>> {
  try {
    return readDump(await readText(file), {
      ...(roomVersion === undefined ? {} : { roomVersion }),
      ...(roomId === undefined ? {} : { roomId }),
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { ok: false, error: { code: "bad_format", reason: error.message, events: [] } };
  }
}
