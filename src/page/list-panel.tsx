/** Every event as a list: the graph for those who listen or read, and where the search shows what it found. */
import { useEffect, useRef, useState } from "preact/hooks";
import { printable } from "../inspect/format.js";
import type { GraphEvent } from "../inspect/graph.js";
import { keyName, plural, standingWords } from "./labels.js";

const ROW = 46;
const EXTRA = 6;

export interface ListPanelProps {
  readonly events: readonly GraphEvent[];
  readonly total: number;
  readonly selected: string | undefined;
  readonly onGo: (eventId: string) => void;
}

export function ListPanel({ events, total, selected, onGo }: ListPanelProps) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const at = events.findIndex(({ eventId }) => eventId === selected);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const sizes = new ResizeObserver(() => setHeight(element.clientHeight));
    sizes.observe(element);
    return () => sizes.disconnect();
  }, []);
  useEffect(() => {
    const element = box.current;
    if (element === null || at < 0) return;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    else if ((at + 1) * ROW > element.scrollTop + element.clientHeight) {
      element.scrollTop = (at + 1) * ROW - element.clientHeight;
    }
  }, [at, events]);
  const first = Math.max(0, Math.floor(top / ROW) - EXTRA);
  const last = Math.min(events.length, Math.ceil((top + height) / ROW) + EXTRA);
  const move = (event: KeyboardEvent): void => {
    const steps: Readonly<Record<string, number>> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const step = steps[event.key];
    const to =
      event.key === "Home" ? 0 : event.key === "End" ? events.length - 1 : step === undefined ? undefined : at + step;
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = events[Math.min(Math.max(to, 0), events.length - 1)];
    if (next !== undefined) onGo(next.eventId);
  };
  return (
    <div class="list">
      <h2>{events.length === total ? plural(total, "event") : `${plural(events.length, "event")} of ${total}`}</h2>
      <div
        ref={box}
        class="list-box"
        role="listbox"
        tabIndex={0}
        aria-label="Events, ancestors first"
        aria-activedescendant={at >= first && at < last ? `row-${at}` : undefined}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={move}
      >
        <div role="presentation" style={{ height: events.length * ROW, position: "relative" }}>
          {events.slice(first, last).map((event, offset) => (
            <Row
              event={event}
              at={first + offset}
              size={events.length}
              isSelected={first + offset === at}
              onGo={onGo}
            />
          ))}
        </div>
      </div>
      {events.length === 0 && <p class="quiet">No event has these words in its id, type, state key or sender.</p>}
    </div>
  );
}

function Row({
  event,
  at,
  size,
  isSelected,
  onGo,
}: {
  readonly event: GraphEvent;
  readonly at: number;
  readonly size: number;
  readonly isSelected: boolean;
  readonly onGo: (eventId: string) => void;
}) {
  const parents =
    event.parents.length === 0 ? "no parents" : event.parents.length === 1 ? "" : `merges ${event.parents.length}`;
  const words = [
    standingWords[event.standing],
    event.redacted ? "redacted" : "",
    parents,
    `layer ${event.layer}`,
    event.stateKey === undefined ? "message" : "state",
  ];
  return (
    <div
      id={`row-${at}`}
      key={event.eventId}
      class={`list-row is-${event.standing}`}
      role="option"
      aria-selected={isSelected}
      aria-posinset={at + 1}
      aria-setsize={size}
      style={{ top: at * ROW }}
      onClick={() => onGo(event.eventId)}
    >
      <span class="list-title">
        {keyName(event.type, event.stateKey)} <span class="quiet">{printable(event.gist)}</span>
      </span>
      <span class="list-foot">
        {printable(event.sender)} · {words.filter((word) => word !== "").join(", ")}
      </span>
    </div>
  );
}
