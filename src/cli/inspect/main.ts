/** `roomdag audit` and `roomdag replay`: files in, words or JSON out. */
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { auditRoom } from "../../inspect/audit.js";
import type { Severity } from "../../inspect/audit.js";
import type { Dump } from "../../inspect/dump.js";
import { formatAudit, formatReplay, plainAudit, plainReplay } from "../../inspect/format-audit.js";
import { printable } from "../../inspect/format.js";
import { readDump } from "../../inspect/read.js";
import { replayAs } from "../../inspect/replay-as.js";
import type { CheckOptions } from "../../inspect/room.js";
import { roomVersions } from "../../versions/index.js";
import type { Result } from "../../errors.js";
import { readKeyFile } from "../check.js";
import { nodeProvider } from "../ed25519.js";
import { Failure } from "../failure.js";
import { expand, readText } from "../files.js";
import type { Output } from "../output.js";

const flags = {
  "room-version": { type: "string" },
  room: { type: "string" },
  keys: { type: "string" },
  as: { type: "string" },
  json: { type: "boolean" },
  notes: { type: "boolean" },
  "no-color": { type: "boolean" },
} as const;

interface Given {
  readonly paths: readonly string[];
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
  if (positionals.length === 0) throw new Failure(`${command} takes at least one file`);
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
    roomVersion: values["room-version"],
    roomId: values.room,
    keys: values.keys,
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
  return eachFile(options, errors, async (file, dump, check) => {
    const audited = auditRoom(dump, check);
    if (!audited.ok) return audited;
    const audit = audited.value;
    const { names } = dump;
    const text = options.json
      ? JSON.stringify({ file, ...plainAudit(audit) })
      : formatAudit(basename(file), audit, { ...options, ...(names === undefined ? {} : { names }) });
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
  return eachFile(options, errors, async (file, dump, check) => {
    const replayed = replayAs(dump, options.as ?? "", check);
    if (!replayed.ok) return replayed;
    const { names } = dump;
    const text = options.json
      ? JSON.stringify({ file, ...plainReplay(replayed.value) })
      : formatReplay(basename(file), replayed.value, { ...options, ...(names === undefined ? {} : { names }) });
    await output.write(`${text}\n`);
    return { ok: true, value: replayed.value.same ? 0 : 1 };
  });
}

/** The worst of what the files come to; one that is of no use does not hide what others hold. */
async function eachFile(
  options: Given,
  errors: Output,
  act: (file: string, dump: Dump, check: CheckOptions) => Promise<Result<number>>,
): Promise<number> {
  const keys = options.keys === undefined ? [] : [await readKeyFile(options.keys)];
  const check = { keys, provider: nodeProvider() };
  const { files } = await expand(options.paths);
  let worst = 0;
  let unusable = false;
  for (const file of files) {
    const dump = await readFile(file, options);
    const done = dump.ok ? await act(file, dump.value, check) : dump;
    if (done.ok) worst = Math.max(worst, done.value);
    else {
      unusable = true;
      await errors.write(`roomdag: ${printable(`${file}: ${done.error.reason}`)}\n`);
    }
  }
  return worst === 0 && unusable ? UNUSABLE : worst;
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
