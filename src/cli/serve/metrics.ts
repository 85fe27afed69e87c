/** What happens in a server, counted and logged. */
import process from "node:process";
import type { JsonObject } from "../../json/value.js";
import type { Metric, Observer } from "../../ports/observer.js";
import type { Log } from "./log.js";
import { messageOf } from "./private-file.js";

/** Metrics that say how much there is now; the others are added up. */
const gauges: ReadonlySet<Metric["name"]> = new Set(["room.extremities", "room.pending", "room.gap"]);

export interface Watch {
  readonly observer: Observer;
  /** The counters, the greatest of each gauge, and verdicts on what other servers sent. */
  metrics(): JsonObject;
}

export function createWatch(log: Log): Watch {
  const sums = new Map<string, number>();
  const peaks = new Map<string, number>();
  const verdicts = new Map<string, number>();
  let faults = 0;
  const add = (counters: Map<string, number>, name: string, value: number): void => {
    counters.set(name, (counters.get(name) ?? 0) + value);
  };
  const observer: Observer = {
    onMetric: ({ name, value, roomId, server }) => {
      if (gauges.has(name)) peaks.set(name, Math.max(peaks.get(name) ?? 0, value));
      else add(sums, name, value);
      if (name === "outbox.failed") log.warn("delivery.failed", { server, failures: value });
      if (name === "room.completion.failed") log.warn("room.completion.failed", { room: roomId, server });
    },
    onReceipt: ({ verdict, duplicate }, { roomId, origin }) => {
      add(verdicts, verdict.verdict, 1);
      const isUsual = duplicate || verdict.verdict === "accepted";
      if (!log.says(isUsual ? "debug" : "info")) return;
      const fields = {
        room: roomId,
        origin,
        verdict: verdict.verdict,
        eventId: "eventId" in verdict ? verdict.eventId : undefined,
        reason: "refusal" in verdict ? verdict.refusal.reason : undefined,
        waitsFor: "waitsFor" in verdict ? verdict.waitsFor : undefined,
      };
      if (isUsual) log.debug("event.received", fields);
      else log.info("event.refused", fields);
    },
    onFault: ({ where, error }) => {
      faults++;
      log.error("fault", { where, error: messageOf(error) });
    },
  };
  return {
    observer,
    metrics: () => ({
      counters: Object.fromEntries(sums),
      peaks: Object.fromEntries(peaks),
      receipts: Object.fromEntries(verdicts),
      faults,
      rssBytes: process.memoryUsage.rss(),
    }),
  };
}
