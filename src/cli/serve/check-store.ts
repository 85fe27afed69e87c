/** `roomdag check --store DIR`: judges anew all that a server has stored, and says what is not as it should be. */
import { auditStorage } from "../../engine/index.js";
import type { AuditFinding, AuditReport } from "../../engine/index.js";
import { printable } from "../../inspect/format.js";
import type { Output } from "../output.js";
import { withStore } from "./open-store.js";
import type { StoreLocation } from "./open-store.js";

export interface CheckStoreArguments extends StoreLocation {
  readonly roomId: string | undefined;
  readonly json: boolean;
}

/** Exit status: 0 when all is sound, 1 when something is not. @throws Failure if the store cannot be opened. */
export async function runCheckStore(options: CheckStoreArguments, output: Output): Promise<number> {
  const { roomId } = options;
  const report = await withStore(options, (storage) => auditStorage(storage, roomId === undefined ? {} : { roomId }));
  await output.write(options.json ? `${JSON.stringify(plain(report))}\n` : textOf(report));
  return report.findings.length === 0 ? 0 : 1;
}

function plain(report: AuditReport): object {
  return { sound: report.findings.length === 0, ...report };
}

function textOf({ rooms, events, outbox, partial, findings }: AuditReport): string {
  const counted = `${rooms} ${rooms === 1 ? "room" : "rooms"}, ${events} events, ${outbox} rows to be sent`;
  const known = partial.length === 0 ? "" : ` (${partial.length} with members that are not known yet)`;
  const end = findings.length === 0 ? "Sound" : `${findings.length} findings`;
  return [...findings.map(lineOf), `${end}: ${counted}${known}.`, ""].join("\n");
}

function lineOf({ kind, roomId, reason, events }: AuditFinding): string {
  return printable(`${kind}${roomId === undefined ? "" : ` in ${roomId}`}: ${[...events, reason].join(" ")}`);
}
