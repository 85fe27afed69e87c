/** One event: what it is, what became of it and why, the state around it. */
import { useEffect, useState } from "preact/hooks";
import type { NamedEvent } from "../inspect/explain.js";
import type { GraphEvent } from "../inspect/graph.js";
import { cutAtIds, printable } from "../inspect/format.js";
import type { StateEntry } from "../inspect/room.js";
import type { Client } from "./client.js";
import {
  keyName,
  plural,
  shortId,
  softSentence,
  standingSentences,
  standingWords,
  timeText,
  WOULD_SOFT_FAIL,
} from "./labels.js";
import type { EventDetail, SoftFailure, StateChange } from "./protocol.js";

export interface EventPanelProps {
  readonly event: GraphEvent;
  readonly client: Client;
  /** Changes when the room was checked again. */
  readonly revision: number;
  readonly events: ReadonlyMap<string, GraphEvent>;
  /** What is known of a soft failure of it. */
  readonly soft: SoftFailure | undefined;
  readonly picked: boolean;
  readonly onGo: (eventId: string) => void;
  readonly onPick: () => void;
  readonly onResolve: (eventIds: readonly string[]) => void;
}

export function EventPanel(props: EventPanelProps) {
  const { event, client, revision, events, onGo, onPick, onResolve } = props;
  const [detail, setDetail] = useState<EventDetail | string | undefined>(undefined);
  useEffect(() => {
    let isCurrent = true;
    client.ask<"explain">({ ask: "explain", eventId: event.eventId }).then(
      (answer) => isCurrent && setDetail(answer),
      (error: unknown) => isCurrent && setDetail(String(error)),
    );
    return () => {
      isCurrent = false;
    };
  }, [event.eventId, revision]);
  const isFresh = typeof detail === "object" && detail.explanation.event.eventId === event.eventId;
  return (
    <article class="event" aria-labelledby="event-title">
      <h2 id="event-title" tabIndex={-1}>
        {keyName(event.type, event.stateKey)}
      </h2>
      <p class="by">
        {event.stateKey === undefined ? "Message event" : "State event"} by{" "}
        <bdi class="name">{printable(event.sender)}</bdi>
      </p>
      <Verdict event={event} detail={isFresh ? detail : undefined} onGo={onGo} />
      {props.soft !== undefined && <SoftFailed soft={props.soft} />}
      <p class="actions">
        <button type="button" aria-pressed={props.picked} onClick={onPick}>
          {props.picked ? "Chosen to resolve" : "Choose to resolve"}
        </button>
        {event.parents.length > 1 && (
          <button type="button" onClick={() => onResolve(event.parents)}>
            Resolve its parents, step by step
          </button>
        )}
      </p>
      {typeof detail === "string" && <p class="problem">{detail}</p>}
      {isFresh && <Facts event={event} detail={detail} events={events} onGo={onGo} client={client} />}
    </article>
  );
}

function Verdict({
  event,
  detail,
  onGo,
}: {
  readonly event: GraphEvent;
  readonly detail: EventDetail | undefined;
  readonly onGo: (eventId: string) => void;
}) {
  const verdict = detail?.explanation.event.verdict;
  const refusal = verdict !== undefined && "refusal" in verdict ? verdict.refusal : undefined;
  return (
    <section class={`verdict is-${event.standing}`} aria-label="Verdict">
      <p>
        <strong>{standingWords[event.standing]}</strong>
        {event.redacted && <span class="tag">redacted</span>} {standingSentences[event.standing]}
      </p>
      {refusal !== undefined && <p class="reason">{printable(refusal.reason)}</p>}
      {verdict?.verdict === "undecided" && <p class="reason">{printable(verdict.reason)}</p>}
      {detail?.rule !== undefined && (
        <p class="rule">
          <span class="label">{printable(detail.ruleLabel ?? "")}</span> {detail.rule}
        </p>
      )}
      {detail?.rule === undefined && detail?.ruleLabel !== undefined && (
        <p class="rule">
          <span class="label">{printable(detail.ruleLabel)}</span>
        </p>
      )}
      {refusal !== undefined && refusal.events.length > 1 && (
        <p>
          Against{" "}
          {refusal.events.slice(1).map((id) => (
            <EventLink id={id} onGo={onGo} />
          ))}
        </p>
      )}
    </section>
  );
}

function SoftFailed({ soft }: { readonly soft: SoftFailure }) {
  const { isRecorded, refusal } = soft;
  return (
    <section class="verdict is-soft-failed" aria-label="Soft failure">
      <p>
        <strong>{isRecorded ? "recorded as soft-failed" : WOULD_SOFT_FAIL}</strong> {softSentence(soft)}
      </p>
      {refusal !== undefined && <p class="reason">{printable(refusal.reason)}</p>}
      {refusal?.ruleLabel !== undefined && (
        <p class="rule">
          <span class="label">{printable(refusal.ruleLabel)}</span> {refusal.rule}
        </p>
      )}
    </section>
  );
}

const bases = {
  "state-before": "against the state before it, worked out from its ancestors",
  "recorded-state": "against the state before it as the file records it",
  "auth-events": "against its auth events alone, as a part of a state",
} as const;

const hashes = { matches: "matches", redacted: "redacted, so it cannot match", mismatch: "does not match" } as const;

function Facts({
  event,
  detail,
  events,
  onGo,
  client,
}: {
  readonly event: GraphEvent;
  readonly detail: EventDetail;
  readonly events: ReadonlyMap<string, GraphEvent>;
  readonly onGo: (eventId: string) => void;
  readonly client: Client;
}) {
  const { explanation, json, steps } = detail;
  const { verdict, signature, hash, recorded } = explanation.event;
  const stored = [
    recorded.rejected === true ? "rejected" : "",
    recorded.softFailed === true ? "soft-failed" : "",
    recorded.outlier === true ? "outlier" : "",
  ].filter((word) => word !== "");
  return (
    <>
      <dl class="facts">
        <dt>Id</dt>
        <dd>
          <code>{printable(event.eventId)}</code>
        </dd>
        <dt>Server</dt>
        <dd>{printable(event.server)}</dd>
        <dt>Time</dt>
        <dd>
          {timeText(event.originServerTs)} <span class="quiet">by its author's clock</span>
        </dd>
        <dt>Place</dt>
        <dd>
          layer {event.layer}, depth {event.depth} <span class="quiet">by its author's count</span>
        </dd>
        <dt>Content hash</dt>
        <dd>{hashes[hash]}</dd>
        <dt>Signatures</dt>
        <dd>{signature === "unknown-key" ? "not checked, the key is unknown" : signature}</dd>
        {verdict.verdict === "accepted" && <dt>Judged</dt>}
        {verdict.verdict === "accepted" && <dd>{bases[verdict.basis]}</dd>}
        {stored.length > 0 && <dt>Server stored it as</dt>}
        {stored.length > 0 && <dd>{stored.join(", ")}</dd>}
      </dl>
      {explanation.wrongIds.map((id) => (
        <p class="problem">The file calls it {printable(id)}, which is not its id.</p>
      ))}
      <Named title="Parents" events={explanation.prevEvents} onGo={onGo} />
      <Children event={event} events={events} onGo={onGo} />
      <Named title="Auth events" events={explanation.authEvents} onGo={onGo} />
      <section aria-label="State">
        <h3>State</h3>
        {steps.length === 0 && <p class="quiet">The state around it is not known, because ancestors are absent.</p>}
        {steps.map(({ parent, changes }) => (
          <Changes
            title={parent === undefined ? "What it changes" : `What merging changed, seen from ${shortId(parent)}`}
            changes={changes}
            onGo={onGo}
          />
        ))}
        {detail.stateSize !== undefined && (
          <WholeState event={event} side="before" size={detail.stateSize} client={client} onGo={onGo} />
        )}
        {detail.stateSize !== undefined && event.stateKey !== undefined && (
          <WholeState event={event} side="after" size={undefined} client={client} onGo={onGo} />
        )}
      </section>
      <Fates detail={detail} onGo={onGo} />
      <details class="json">
        <summary>JSON</summary>
        <pre tabIndex={0}>{printable(json).replaceAll("\\u000a", "\n")}</pre>
      </details>
    </>
  );
}

export function EventLink({
  id,
  onGo,
  text,
}: {
  readonly id: string;
  readonly onGo: (eventId: string) => void;
  readonly text?: string;
}) {
  return (
    <button type="button" class="link" onClick={() => onGo(id)} title={printable(id)}>
      <code>{text ?? shortId(id)}</code>
    </button>
  );
}

/** A sentence whose events can be gone to. */
export function Sentence({
  text,
  has,
  onGo,
}: {
  readonly text: string;
  /** Whether the room has an event of this id. */
  readonly has: (eventId: string) => boolean;
  readonly onGo: (eventId: string) => void;
}) {
  return (
    <>
      {cutAtIds(text).map((part, at) =>
        at % 2 === 1 && has(part) ? <EventLink id={part} onGo={onGo} /> : printable(part),
      )}
    </>
  );
}

function Named({
  title,
  events,
  onGo,
}: {
  readonly title: string;
  readonly events: readonly NamedEvent[];
  readonly onGo: (eventId: string) => void;
}) {
  return (
    <section>
      <h3>{title}</h3>
      {events.length === 0 ? (
        <p class="quiet">none</p>
      ) : (
        <ul class="rows">
          {events.map(({ eventId, type, stateKey, verdict }) => (
            <li>
              {type === undefined ? (
                <>
                  <code>{shortId(eventId)}</code> <span class="quiet">not in the file</span>
                </>
              ) : (
                <>
                  <EventLink id={eventId} onGo={onGo} /> {keyName(type, stateKey)}
                  {verdict !== "accepted" && <span class="quiet"> {verdict}</span>}
                </>
              )}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const MOST_CHILDREN = 50;

function Children({
  event,
  events,
  onGo,
}: {
  readonly event: GraphEvent;
  readonly events: ReadonlyMap<string, GraphEvent>;
  readonly onGo: (eventId: string) => void;
}) {
  const children: NamedEvent[] = [];
  for (const other of events.values()) {
    if (!other.parents.includes(event.eventId)) continue;
    if (children.length >= MOST_CHILDREN) break;
    children.push({
      eventId: other.eventId,
      type: other.type,
      stateKey: other.stateKey,
      verdict: other.standing === "accepted" ? "accepted" : undefined,
    });
  }
  return <Named title="Children" events={children} onGo={onGo} />;
}

const MOST_ROWS = 200;

export function Changes({
  title,
  changes,
  onGo,
}: {
  readonly title: string;
  readonly changes: readonly StateChange[];
  readonly onGo: (eventId: string) => void;
}) {
  return (
    <div class="changes">
      <h4>{title}</h4>
      {changes.length === 0 ? (
        <p class="quiet">nothing</p>
      ) : (
        <ul class="rows">
          {changes.slice(0, MOST_ROWS).map(({ type, stateKey, from, to }) => (
            <li>
              {keyName(type, stateKey)}
              <br />
              {from === undefined ? <span class="quiet">absent</span> : <EventLink id={from} onGo={onGo} />}
              <span aria-label="becomes"> → </span>
              {to === undefined ? <span class="quiet">absent</span> : <EventLink id={to} onGo={onGo} />}
            </li>
          ))}
        </ul>
      )}
      {changes.length > MOST_ROWS && <p class="quiet">and {plural(changes.length - MOST_ROWS, "key")} more</p>}
    </div>
  );
}

function WholeState({
  event,
  side,
  size,
  client,
  onGo,
}: {
  readonly event: GraphEvent;
  readonly side: "before" | "after";
  readonly size: number | undefined;
  readonly client: Client;
  readonly onGo: (eventId: string) => void;
}) {
  const [state, setState] = useState<readonly StateEntry[] | string | undefined>(undefined);
  useEffect(() => setState(undefined), [event.eventId]);
  const open = (isOpen: boolean): void => {
    if (!isOpen || state !== undefined) return;
    client
      .ask<"state">({ ask: "state", eventId: event.eventId, side })
      .then(setState, (error: unknown) => setState(String(error)));
  };
  return (
    <details key={`${event.eventId} ${side}`} onToggle={(toggle) => open(toggle.currentTarget.open)}>
      <summary>
        The whole state {side} it{size === undefined ? "" : `, ${plural(size, "event")}`}
      </summary>
      {typeof state === "string" && <p class="problem">{state}</p>}
      {typeof state === "object" && <StateTable state={state} onGo={onGo} />}
    </details>
  );
}

export function StateTable({
  state,
  onGo,
}: {
  readonly state: readonly StateEntry[];
  readonly onGo: (eventId: string) => void;
}) {
  const [all, setAll] = useState(false);
  const shown = all ? state : state.slice(0, MOST_ROWS);
  return (
    <>
      <ul class="rows">
        {shown.map(({ type, stateKey, eventId }) => (
          <li>
            <EventLink id={eventId} onGo={onGo} /> {keyName(type, stateKey)}
          </li>
        ))}
      </ul>
      {state.length > shown.length && (
        <button type="button" onClick={() => setAll(true)}>
          Show all {state.length.toLocaleString("en")}
        </button>
      )}
    </>
  );
}

function Fates({ detail, onGo }: { readonly detail: EventDetail; readonly onGo: (eventId: string) => void }) {
  const { fates, event } = detail.explanation;
  if (fates.length === 0) return null;
  return (
    <section>
      <h3>In resolutions</h3>
      <ul class="rows">
        {fates.slice(0, MOST_CHILDREN).map(({ fork, outcome, check }) => {
          const lost = outcome?.lost.find(({ eventId }) => eventId === event.eventId)?.because;
          const refusal = check?.refusal ?? (lost?.why === "refused" ? lost.refusal : undefined);
          return (
            <li>
              {fork.before === undefined ? "Of the latest events" : <EventLink id={fork.before} onGo={onGo} />}{" "}
              {outcome === undefined
                ? `checked and ${check?.verdict ?? "not reached"}`
                : outcome.winner === event.eventId
                  ? "won its key"
                  : lost?.why === "overwritten"
                    ? "was allowed, and replaced by a later one"
                    : lost?.why === "refused"
                      ? "lost its key"
                      : "was not reached"}
              {refusal !== undefined && (
                <>
                  : {printable(refusal.reason)} <span class="label">{printable(refusal.rule ?? refusal.code)}</span>
                </>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
