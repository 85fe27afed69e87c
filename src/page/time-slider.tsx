/** A slider through time: what has come is shown, what has not is nearly gone. */
import type { GraphEvent } from "../inspect/graph.js";
import { timeText } from "./labels.js";

/** By what rests on what, or as the file's server got the events. */
export type TimeOrder = "causal" | "received";

export interface TimeSliderProps {
  readonly events: readonly GraphEvent[];
  readonly order: TimeOrder;
  /** The last position that has come; `undefined` for all. */
  readonly time: number | undefined;
  readonly onOrder: (order: TimeOrder) => void;
  readonly onTime: (time: number) => void;
}

export function TimeSlider({ events, order, time, onOrder, onTime }: TimeSliderProps) {
  const last = Math.max(events.length - 1, 0);
  const at = time ?? last;
  const latest = order === "causal" ? events[at] : events.find(({ receivedAt }) => receivedAt === at);
  const text = latest === undefined ? "" : timeText(latest.originServerTs);
  return (
    <div class="time">
      <label>
        Time{" "}
        <input
          type="range"
          min={0}
          max={last}
          value={at}
          aria-valuetext={`${at + 1} of ${events.length}, ${text}`}
          onInput={(event) => onTime(Number(event.currentTarget.value))}
        />
      </label>
      <span class="count">
        {(at + 1).toLocaleString("en")} / {events.length.toLocaleString("en")}
      </span>
      <span class="when quiet">{text}</span>
      <label>
        Order{" "}
        <select
          value={order}
          onChange={(event) => onOrder(event.currentTarget.value === "received" ? "received" : "causal")}
        >
          <option value="causal">causal</option>
          <option value="received">as received</option>
        </select>
      </label>
    </div>
  );
}
