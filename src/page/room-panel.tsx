/** The room at a glance: what was found, what does not agree, who is in it. */
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { printable } from "../inspect/format.js";
import { EventLink, Sentence } from "./event-panel.js";
import { plural } from "./labels.js";
import type { AuditFinding, AuditResult, LoadedRoom, SoftFailure, Story } from "./protocol.js";
import { ComparisonText } from "./resolve-panel.js";
import type { Theme } from "./theme.js";

const MOST = 100;

export function RoomPanel({
  room,
  servers,
  theme,
  audited,
  onAudit,
  onGo,
}: {
  readonly room: LoadedRoom;
  readonly servers: ReadonlyMap<string, number>;
  readonly theme: Theme;
  /** `undefined` where no audit was made yet. */
  readonly audited: AuditResult | undefined;
  readonly onAudit: () => void;
  readonly onGo: (eventId: string) => void;
}) {
  const { graph, signatures, unchecked, disagreements, comparisons, malformed, notes } = room;
  const ids = useMemo(() => new Set(graph.events.map(({ eventId }) => eventId)), [graph]);
  const has = (eventId: string): boolean => ids.has(eventId);
  return (
    <div class="room">
      <h2 class="room-id">{printable(room.story?.title ?? graph.roomId ?? "A room")}</h2>
      <p class="by">
        Room version {printable(graph.roomVersion)}, {plural(graph.events.length, "event")}, from{" "}
        <bdi class="name">{printable(room.name)}</bdi>
      </p>
      {room.story !== undefined && <Lesson story={room.story} />}
      <Summary room={room} />
      <dl class="facts">
        {room.counts.map(([verdict, count]) => (
          <>
            <dt>{verdict.replaceAll("-", " ")}</dt>
            <dd>{count.toLocaleString("en")}</dd>
          </>
        ))}
        <dt>forks resolved</dt>
        <dd>{room.forks.length.toLocaleString("en")}</dd>
        <dt>latest events</dt>
        <dd>
          {room.tips.length === 0 && "unknown"}
          {room.tips.slice(0, MOST).map((id, at) => (
            <>
              {at > 0 && ", "}
              <EventLink id={id} onGo={onGo} />
            </>
          ))}
        </dd>
        <dt>signatures</dt>
        <dd>
          {unchecked > 0
            ? `${unchecked.toLocaleString("en")} being checked`
            : [
                `${signatures.verified.toLocaleString("en")} verified`,
                signatures.unknownKey > 0 ? `${signatures.unknownKey.toLocaleString("en")} by unknown keys` : "",
                signatures.refused > 0 ? `${signatures.refused.toLocaleString("en")} refused` : "",
              ]
                .filter((part) => part !== "")
                .join(", ")}
        </dd>
      </dl>
      {room.isChecked && <Audit findings={audited?.findings} has={has} onAudit={onAudit} onGo={onGo} />}
      <SoftFailures found={audited?.softFailures ?? []} onGo={onGo} />
      {disagreements.length > 0 && (
        <Section title="Disagreements" count={disagreements.length}>
          {disagreements.slice(0, MOST).map(({ kind, reason, rule, events: [eventId] }) => (
            <li class="is-bad">
              {kind} {eventId !== undefined && <EventLink id={eventId} onGo={onGo} />}{" "}
              <Sentence text={reason} has={has} onGo={onGo} />{" "}
              {rule !== undefined && <span class="label">{printable(rule)}</span>}
            </li>
          ))}
        </Section>
      )}
      {malformed.length > 0 && (
        <Section title="No events" count={malformed.length}>
          {malformed.slice(0, MOST).map(({ where, reason }) => (
            <li>
              {printable(where)}: {printable(reason)}
            </li>
          ))}
        </Section>
      )}
      {comparisons.length > 0 && (
        <section>
          <h3>States that a server recorded</h3>
          {comparisons.slice(0, MOST).map((comparison) => (
            <ComparisonText comparison={comparison} onGo={onGo} />
          ))}
        </section>
      )}
      <section>
        <h3>{plural(servers.size, "server")}</h3>
        <ul class="rows servers">
          {[...servers].slice(0, MOST).map(([server, at]) => (
            <li>
              <span
                class="swatch"
                style={{ background: theme.servers[at % theme.servers.length] ?? "" }}
                aria-hidden="true"
              />
              {server === "" ? "none" : printable(server)}
            </li>
          ))}
        </ul>
      </section>
      <Legend />
      {notes.length > 0 && (
        <Section title="Notes" count={notes.length}>
          {notes.slice(0, MOST).map((note) => (
            <li>{printable(note)}</li>
          ))}
        </Section>
      )}
    </div>
  );
}

const severityWords = { error: "is-bad", warning: "is-warn", note: "is-plain" } as const;

function Audit({
  findings,
  has,
  onAudit,
  onGo,
}: {
  readonly findings: readonly AuditFinding[] | undefined;
  readonly has: (eventId: string) => boolean;
  readonly onAudit: () => void;
  readonly onGo: (eventId: string) => void;
}) {
  if (findings === undefined) {
    return (
      <p class="actions">
        <button type="button" onClick={onAudit}>
          Audit the room: what did resolution take back?
        </button>
      </p>
    );
  }
  if (findings.length === 0) return <p class="quiet">An audit finds nothing that resolution took back.</p>;
  return (
    <Section title="What an audit finds" count={findings.length}>
      {findings.slice(0, MOST).map(({ kind, severity, reason, rule, events: [eventId] }) => (
        <li class={severityWords[severity]}>
          <strong class="said-kind">{`${kind} `}</strong>
          {eventId !== undefined && !reason.includes(eventId) && (
            <>
              <EventLink id={eventId} onGo={onGo} />{" "}
            </>
          )}
          <Sentence text={reason} has={has} onGo={onGo} />{" "}
          {rule !== undefined && <span class="label">{printable(rule)}</span>}
        </li>
      ))}
    </Section>
  );
}

/** Recorded ones and worked-out ones apart: only a server knows when it got what. */
function SoftFailures({
  found,
  onGo,
}: {
  readonly found: readonly SoftFailure[];
  readonly onGo: (eventId: string) => void;
}) {
  const recorded = found.filter(({ isRecorded }) => isRecorded);
  const workedOut = found.filter(({ isRecorded }) => !isRecorded);
  const row = ({ eventId, refusal }: SoftFailure) => (
    <li class="is-warn">
      <EventLink id={eventId} onGo={onGo} /> {printable(refusal?.reason ?? "no reason is to be seen here")}{" "}
      {refusal?.ruleLabel !== undefined && <span class="label">{printable(refusal.ruleLabel)}</span>}
    </li>
  );
  return (
    <>
      {recorded.length > 0 && (
        <Section title="Soft-failed, as the server recorded it" count={recorded.length}>
          {recorded.slice(0, MOST).map(row)}
        </Section>
      )}
      {workedOut.length > 0 && (
        <Section title="Would soft-fail in the order of this file" count={workedOut.length}>
          {workedOut.slice(0, MOST).map(row)}
        </Section>
      )}
    </>
  );
}

function Lesson({ story: { lesson, source } }: { readonly story: Story }) {
  return (
    <section class="lesson" aria-label="Lesson">
      {lesson.map((sentence) => (
        <p>{printable(sentence)}</p>
      ))}
      {source.map((sentence) => (
        <p class="quiet">{printable(sentence)}</p>
      ))}
    </section>
  );
}

function Summary({ room: { isChecked, disagreements } }: { readonly room: LoadedRoom }) {
  if (!isChecked) return <p class="verdict">The events are being checked: verdicts and states follow.</p>;
  if (disagreements.length === 0) {
    return <p class="verdict is-accepted">Everything that was checked agrees with the rules and with the file.</p>;
  }
  return (
    <p class="verdict is-rejected">{plural(disagreements.length, "disagreement")}: the file and the rules part.</p>
  );
}

function Section({
  title,
  count,
  children,
}: {
  readonly title: string;
  readonly count: number;
  readonly children: ComponentChildren;
}) {
  return (
    <section>
      <h3>{title}</h3>
      <ul class="rows">{children}</ul>
      {count > MOST && <p class="quiet">and {count - MOST} more</p>}
    </section>
  );
}

/** The marks, drawn as the graph draws them. */
function Legend() {
  return (
    <section aria-label="Legend">
      <h3>Marks</h3>
      <ul class="legend">
        <li>
          <Mark>
            <rect x="4" y="4" width="12" height="12" rx="2" fill="currentColor" />
          </Mark>
          state event
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="currentColor" />
          </Mark>
          message event
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="none" stroke="currentColor" stroke-width="1.6" />
            <path d="M3.5 10a6.5 6.5 0 0 0 13 0z" fill="currentColor" />
          </Mark>
          soft-failed
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="none" stroke="var(--bad)" stroke-width="1.6" />
            <path d="M7 7l6 6M13 7l-6 6" stroke="var(--bad)" stroke-width="1.8" />
          </Mark>
          rejected
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="none" stroke="var(--bad)" stroke-width="1.6" />
            <path d="M7 7l6 6" stroke="var(--bad)" stroke-width="1.8" />
          </Mark>
          dropped
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="none" stroke="currentColor" stroke-width="1.6" />
            <text x="10" y="14" font-size="11" font-weight="700" text-anchor="middle" fill="currentColor">
              ?
            </text>
          </Mark>
          pending
        </li>
        <li>
          <Mark>
            <circle cx="10" cy="10" r="6.5" fill="currentColor" />
            <rect x="6" y="9" width="8" height="2.2" fill="var(--panel)" />
          </Mark>
          redacted
        </li>
        <li>
          <Mark>
            <path d="M1 10h18" stroke="var(--accent)" stroke-width="1.6" stroke-dasharray="2 3" />
          </Mark>
          cites as authority
        </li>
      </ul>
    </section>
  );
}

function Mark({ children }: { readonly children: ComponentChildren }) {
  return (
    <svg class="mark" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      {children}
    </svg>
  );
}
