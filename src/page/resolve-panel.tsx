/** Resolutions: of which events, step by step, and what came of it. */
import type { GraphEvent } from "../inspect/graph.js";
import type { Fork } from "../inspect/replay.js";
import { EventLink, StateTable } from "./event-panel.js";
import { keyName, plural, shortId } from "./labels.js";
import type { Comparison, ResolutionDetail } from "./protocol.js";
import type { Row, Step } from "./steps.js";

export interface ResolvePanelProps {
  readonly picked: readonly string[];
  readonly forks: readonly Fork[];
  readonly events: ReadonlyMap<string, GraphEvent>;
  readonly detail: ResolutionDetail | string | undefined;
  readonly steps: readonly Step[];
  readonly step: number;
  readonly onStep: (step: number) => void;
  readonly onGo: (eventId: string) => void;
  readonly onResolve: (eventIds: readonly string[]) => void;
  readonly onUnpick: (eventId: string) => void;
  readonly onClear: () => void;
}

const MOST_FORKS = 100;

export function ResolvePanel(props: ResolvePanelProps) {
  const { picked, detail, onResolve, onGo, onUnpick, onClear } = props;
  return (
    <div class="resolve">
      <h2>Resolve states</h2>
      {picked.length === 0 ? (
        <p class="quiet">
          Choose events with Shift and a click, or <kbd>x</kbd>: the states after them are resolved here, step by step.
        </p>
      ) : (
        <>
          <ol class="rows picked">
            {picked.map((id) => (
              <li>
                <EventLink id={id} onGo={onGo} /> {nameOf(props, id)}{" "}
                <button type="button" class="quiet small" aria-label={`Leave out ${id}`} onClick={() => onUnpick(id)}>
                  ×
                </button>
              </li>
            ))}
          </ol>
          <p class="actions">
            <button type="button" class="main" onClick={() => onResolve(picked)}>
              Resolve the {picked.length === 1 ? "state" : "states"} after {plural(picked.length, "event")}
            </button>
            <button type="button" onClick={onClear}>
              Clear
            </button>
          </p>
        </>
      )}
      {typeof detail === "string" && (
        <p class="problem" role="alert">
          {detail}
        </p>
      )}
      {typeof detail === "object" && <Detail {...props} detail={detail} />}
      <Forks {...props} />
    </div>
  );
}

function nameOf({ events }: ResolvePanelProps, id: string): string {
  const event = events.get(id);
  return event === undefined ? "" : keyName(event.type, event.stateKey);
}

function Detail(props: ResolvePanelProps & { readonly detail: ResolutionDetail }) {
  const { detail, steps, step, onStep, onGo } = props;
  const current = steps[step];
  const { trace, state, comparisons } = detail;
  return (
    <section aria-label="Resolution" class="detail">
      <p class="result">
        {steps.length === 0
          ? "These states are the same: there is nothing to resolve."
          : `Resolved by algorithm ${trace?.algorithm ?? ""}: ${plural(steps.length, "step")}.`}
      </p>
      {current !== undefined && (
        <div class="step">
          <div class="stepper" role="group" aria-label="Steps">
            <button type="button" onClick={() => onStep(0)} disabled={step === 0} aria-label="First step">
              «
            </button>
            <button type="button" onClick={() => onStep(step - 1)} disabled={step === 0}>
              Back
            </button>
            <span class="count" aria-live="polite">
              {step + 1} / {steps.length}
            </span>
            <button type="button" class="main" onClick={() => onStep(step + 1)} disabled={step === steps.length - 1}>
              Next
            </button>
            <button
              type="button"
              onClick={() => onStep(steps.length - 1)}
              disabled={step === steps.length - 1}
              aria-label="Last step"
            >
              »
            </button>
          </div>
          <div aria-live="polite" class="step-text">
            <h3>{current.title}</h3>
            <p>{current.words}</p>
          </div>
          <ul class="rows">
            {current.rows.slice(0, 200).map((entry) => (
              <StepRow row={entry} name={entry.eventId === undefined ? "" : nameOf(props, entry.eventId)} onGo={onGo} />
            ))}
          </ul>
          {current.rows.length === 0 && <p class="quiet">none</p>}
        </div>
      )}
      {comparisons.map((comparison) => (
        <ComparisonText comparison={comparison} onGo={onGo} />
      ))}
      <details>
        <summary>The resolved state, {plural(state.length, "event")}</summary>
        <StateTable state={state} onGo={onGo} />
      </details>
    </section>
  );
}

function StepRow({
  row,
  name,
  onGo,
}: {
  readonly row: Row;
  readonly name: string;
  readonly onGo: (id: string) => void;
}) {
  const marks = { good: "✓", bad: "✕", plain: "" } as const;
  if (row.eventId === undefined) return <li class={row.isHead ? "head" : "is-plain"}>{row.text}</li>;
  return (
    <li class={`is-${row.mark}`}>
      <EventLink id={row.eventId} onGo={onGo} /> {name}
      {row.text !== "" && (
        <span class="said">
          {marks[row.mark]} {row.text}
        </span>
      )}
    </li>
  );
}

export function ComparisonText({
  comparison,
  onGo,
}: {
  readonly comparison: Comparison;
  readonly onGo: (eventId: string) => void;
}) {
  const { name, before, outcome } = comparison;
  const where = (
    <>
      <code>{name}</code>
      {before !== undefined && (
        <>
          , before <EventLink id={before} onGo={onGo} />
        </>
      )}
      :{" "}
    </>
  );
  switch (outcome.outcome) {
    case "agrees":
      return (
        <p class="comparison is-good">
          ✓ {where}the server recorded the same state, {plural(outcome.size, "event")}
        </p>
      );
    case "used":
      return <p class="comparison">{where}taken as given, because ancestors are absent</p>;
    case "not-compared":
      return (
        <p class="comparison">
          {where}not compared: {outcome.reason}
        </p>
      );
    case "differs":
      return (
        <div class="comparison is-bad">
          <p>✕ {where}the server recorded another state</p>
          <Ids title="Only worked out here" ids={outcome.computed} onGo={onGo} />
          <Ids title="Only recorded" ids={outcome.recorded} onGo={onGo} />
        </div>
      );
  }
}

function Ids({
  title,
  ids,
  onGo,
}: {
  readonly title: string;
  readonly ids: readonly string[];
  readonly onGo: (eventId: string) => void;
}) {
  if (ids.length === 0) return null;
  return (
    <p>
      {title}:{" "}
      {ids.slice(0, 100).map((id) => (
        <EventLink id={id} onGo={onGo} />
      ))}
    </p>
  );
}

function Forks({ forks, onResolve, onGo }: ResolvePanelProps) {
  if (forks.length === 0) return <p class="quiet">No states had to be resolved in this room.</p>;
  return (
    <section aria-label="Forks">
      <h3>{plural(forks.length, "place")} where states were resolved</h3>
      <ul class="rows">
        {forks.slice(0, MOST_FORKS).map(({ before, parents }) => (
          <li>
            {before === undefined ? "After the latest events" : <EventLink id={before} onGo={onGo} />} merges{" "}
            {parents.map(shortId).join(" and ")}{" "}
            <button type="button" class="small" onClick={() => onResolve(parents)}>
              Step through
            </button>
          </li>
        ))}
      </ul>
      {forks.length > MOST_FORKS && <p class="quiet">and {forks.length - MOST_FORKS} more</p>}
    </section>
  );
}
