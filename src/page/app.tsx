/** The page. */
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { printable } from "../inspect/format.js";
import type { GraphEvent } from "../inspect/graph.js";
import { Client, Refused } from "./client.js";
import { DropZone } from "./drop-zone.js";
import type { Embedded } from "./embedded.js";
import { EventPanel } from "./event-panel.js";
import { GraphView } from "./graph-view.js";
import type { GraphHandle } from "./graph-view.js";
import { Header, Search } from "./header.js";
import { Help } from "./help.js";
import { keyName, plural, sentenceOf } from "./labels.js";
import { ListPanel } from "./list-panel.js";
import type { AuditFinding, AuditResult, Drawing, LoadedRoom, ResolutionDetail, Source } from "./protocol.js";
import { ResolvePanel } from "./resolve-panel.js";
import { RoomPanel } from "./room-panel.js";
import { sceneOf } from "./scene.js";
import type { SceneNode } from "./scene.js";
import { fragmentOf, readFragment } from "./share.js";
import { stepsOf } from "./steps.js";
import type { Step } from "./steps.js";
import { dark, light } from "./theme.js";
import type { Theme } from "./theme.js";
import { TextPanel } from "./text-panel.js";
import { TimeSlider } from "./time-slider.js";
import type { TimeOrder } from "./time-slider.js";
import { walk } from "./walk.js";

type Tab = "room" | "event" | "resolve" | "list" | "text";
const allTabs: readonly (readonly [tab: Tab, name: string])[] = [
  ["room", "Room"],
  ["event", "Event"],
  ["resolve", "Resolve"],
  ["list", "List"],
];
/** Larger rooms are audited when somebody asks for it. */
const MOST_AUDITED = 2000;
/** Longer texts are not edited in a page. */
const MOST_EDITED = 200_000;

interface Progress {
  readonly what: string;
  readonly done: number;
  readonly total: number;
}

export function App({ script, embedded }: { readonly script: string; readonly embedded: Embedded }) {
  const [source, setSource] = useState<Source | undefined>(undefined);
  const [room, setRoom] = useState<LoadedRoom | undefined>(undefined);
  const [drawing, setDrawing] = useState<Drawing | undefined>(undefined);
  const [revision, setRevision] = useState(0);
  const [progress, setProgress] = useState<Progress | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [selected, setSelected] = useState<string | undefined>(undefined);
  const [picked, setPicked] = useState<readonly string[]>([]);
  const [tab, setTab] = useState<Tab>("room");
  const [query, setQuery] = useState("");
  const [time, setTime] = useState<number | undefined>(undefined);
  const [order, setOrder] = useState<TimeOrder>("causal");
  const [resolution, setResolution] = useState<ResolutionDetail | string | undefined>(undefined);
  const [step, setStep] = useState(0);
  const [open, setOpen] = useState<readonly string[]>([]);
  const [fold, setFold] = useState(true);
  const [isHelp, setHelp] = useState(false);
  const [said, setSaid] = useState("");
  const [themeName, setThemeName] = useState<"light" | "dark">(preferredTheme);
  const theme = themeName === "dark" ? dark : light;
  const graph = useRef<GraphHandle>(null);
  const search = useRef<HTMLInputElement>(null);
  const aim = useRef<string | undefined>(undefined);

  const client = useMemo(
    () =>
      new Client(script, {
        progress: (what, done, total) => setProgress({ what, done, total }),
        preview: (early) => arrived.current(early),
        update: (better) => {
          setRoom(better);
          setRevision((before) => before + 1);
          setProgress(undefined);
        },
        lost: () => setProblem("The page ran out of room for this file."),
      }),
    [],
  );

  /** Where the room that is awaited is to be opened; taken by whatever of it comes first. */
  const awaited = useRef<{ readonly source: Source; readonly eventId: string | undefined } | undefined>(undefined);
  const arrived = useRef<(loaded: LoadedRoom) => void>(() => undefined);
  arrived.current = (loaded) => {
    if (awaited.current !== undefined) {
      const { source: wanted, eventId } = awaited.current;
      awaited.current = undefined;
      const isThere = eventId !== undefined && loaded.graph.events.some((event) => event.eventId === eventId);
      setSource(wanted);
      setSelected(isThere ? eventId : undefined);
      aim.current = isThere ? eventId : undefined;
      setTextProblem(undefined);
      setTab(isThere ? "event" : "room");
      setPicked([]);
      setResolution(undefined);
      setTime(undefined);
      setQuery("");
      setOpen([]);
      setFold(true);
      document.title = `${loaded.name} · roomdag`;
    }
    setRoom(loaded);
    if (loaded.drawing !== undefined) setDrawing(loaded.drawing);
    setRevision((before) => before + 1);
  };

  const load = (wanted: Source, eventId?: string): void => {
    if (progress !== undefined) client.restart("another file was opened");
    awaited.current = { source: wanted, eventId };
    setProblem(undefined);
    setProgress({ what: "Reading", done: 0, total: 1 });
    client.ask<"load">({ ask: "load", source: wanted }).then(
      (loaded) => {
        arrived.current(loaded);
        setProgress(undefined);
      },
      (error: unknown) => {
        if (error instanceof Refused && error.problem.code === "cancelled") return;
        setProgress(undefined);
        setProblem(error instanceof Error ? error.message : String(error));
      },
    );
  };

  const [textProblem, setTextProblem] = useState<string | undefined>(undefined);
  const isText = source?.text !== undefined && source.text.length <= MOST_EDITED;
  /** The same room with another text: what is selected stays, where it is still there. */
  const edit = (changed: Source): void => {
    client.ask<"load">({ ask: "load", source: changed }).then(
      (loaded) => {
        setTextProblem(undefined);
        setSource(changed);
        setPicked([]);
        setResolution(undefined);
        setTime(undefined);
        arrived.current(loaded);
        setProgress(undefined);
      },
      (error: unknown) => {
        setProgress(undefined);
        setTextProblem(error instanceof Error ? error.message : String(error));
      },
    );
  };

  useEffect(() => {
    applyTheme(theme, themeName);
  }, [themeName]);

  useEffect(() => {
    const start = async (): Promise<void> => {
      const shared = await readFragment(location.hash);
      if (shared !== undefined) {
        load(shared.source, shared.eventId);
        return;
      }
      if (location.hash.startsWith("#room=")) setProblem("This link is broken: the room in it cannot be read.");
      const [first] = embedded.rooms;
      if (first !== undefined) load(first, eventOf(location.hash));
    };
    void start();
    const again = (): void => void start();
    window.addEventListener("hashchange", again);
    return () => window.removeEventListener("hashchange", again);
  }, []);

  const [audited, setAudited] = useState<AuditResult | undefined>(undefined);
  const audit = (): void => {
    client.ask<"audit">({ ask: "audit" }).then(setAudited, () => setAudited(undefined));
  };
  useEffect(() => {
    setAudited(undefined);
    if (room?.isChecked === true && room.graph.events.length <= MOST_AUDITED) audit();
  }, [room]);
  const taken = useMemo(() => takenBack(audited?.findings ?? []), [audited]);
  const soft = useMemo(() => new Map(audited?.softFailures.map((one) => [one.eventId, one])), [audited]);

  const scene = useMemo(() => (drawing === undefined ? undefined : sceneOf(drawing)), [drawing]);
  const events = useMemo(() => new Map(room?.graph.events.map((event) => [event.eventId, event])), [room]);
  const servers = useMemo(() => serversOf(room?.graph.events ?? []), [room]);
  const found = useMemo(() => findEvents(room?.graph.events ?? [], query), [room, query]);
  const steps = useMemo(() => (typeof resolution === "object" ? stepsOf(resolution) : []), [resolution]);
  const positions = useMemo(
    () =>
      new Map(room?.graph.events.map(({ eventId, receivedAt }, at) => [eventId, order === "causal" ? at : receivedAt])),
    [room, order],
  );

  useEffect(() => {
    if (aim.current === undefined || scene === undefined) return;
    graph.current?.reveal(aim.current);
    aim.current = undefined;
  }, [scene, selected]);

  const say = (node: SceneNode | undefined): void => setSaid(node === undefined ? "" : sentenceOf(node.node));

  const go = (eventId: string, shows: Tab = "event"): void => {
    if (!events.has(eventId)) return;
    const node = scene?.byId.get(eventId);
    setSelected(eventId);
    if (tab !== "list") setTab(shows);
    say(node);
    if (node?.node.kind === "run") unfold(eventId);
    else graph.current?.reveal(eventId);
  };

  const relayout = (openIds: readonly string[], isFolded: boolean, eventId: string | undefined): void => {
    setOpen(openIds);
    setFold(isFolded);
    client.ask<"layout">({ ask: "layout", open: openIds, fold: isFolded }).then(
      (drawn) => {
        aim.current = eventId;
        setDrawing(drawn);
      },
      (error: unknown) => setProblem(String(error)),
    );
  };
  const unfold = (eventId: string): void => relayout([...open, eventId], fold, eventId);

  const resolve = (eventIds: readonly string[]): void => {
    setTab("resolve");
    setPicked(eventIds);
    client.ask<"resolve">({ ask: "resolve", eventIds }).then(
      (detail) => {
        setResolution(detail);
        setStep(0);
      },
      (error: unknown) => setResolution(error instanceof Error ? error.message : String(error)),
    );
  };

  const showStep = (to: number): void => {
    setStep(to);
    const [first] = steps[to]?.lit ?? [];
    if (first !== undefined) graph.current?.reveal(first);
  };

  const pick = (eventId: string): void => {
    setPicked(picked.includes(eventId) ? picked.filter((id) => id !== eventId) : [...picked, eventId]);
    setResolution(undefined);
    setSaid(picked.includes(eventId) ? "No longer chosen" : `Chosen to resolve, ${picked.length + 1} in all`);
  };

  const choose = (node: SceneNode | undefined, adds: boolean): void => {
    if (node === undefined) return setSelected(undefined);
    if (node.node.kind === "run") return unfold(node.node.id);
    if (node.node.kind === "absent") return say(node);
    if (adds) return pick(node.node.id);
    setSelected(node.node.id);
    if (tab !== "list") setTab("event");
    say(node);
  };

  const nextFound = (): void => {
    const at = found.findIndex(({ eventId }) => eventId === selected);
    const next = found[at + 1] ?? found[0];
    if (next !== undefined) go(next.eventId);
  };

  const share = async (): Promise<void> => {
    const fragment = source === undefined ? undefined : await fragmentOf(source, selected);
    if (fragment === undefined) {
      setSaid("This room is too large for a link: send the file instead.");
      return;
    }
    history.replaceState(null, "", fragment);
    const isCopied = await navigator.clipboard.writeText(location.href).then(
      () => true,
      () => false,
    );
    setSaid(isCopied ? "The link is copied: it holds the whole room." : "The link in the address bar holds the room.");
  };

  const commands: Readonly<Record<string, (node: SceneNode | undefined) => void>> = {
    x: (node) => node?.node.kind === "event" && pick(node.node.id),
    Enter: (node) =>
      node?.node.kind === "run" ? unfold(node.node.id) : document.getElementById("event-title")?.focus(),
    r: () => picked.length > 0 && resolve(picked),
    "+": () => graph.current?.zoomBy(1.3),
    "-": () => graph.current?.zoomBy(1 / 1.3),
    "0": () => graph.current?.fit(),
  };

  const keys = (event: KeyboardEvent): void => {
    if (scene === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const node = selected === undefined ? undefined : scene.byId.get(selected);
    const next = walk(scene, node, event.key);
    const command = Object.hasOwn(commands, event.key) ? commands[event.key] : undefined;
    if (next === undefined && command === undefined) return;
    event.preventDefault();
    if (next === undefined) command?.(node);
    else {
      setSelected(next.node.id);
      if (tab !== "list") setTab("event");
      say(next);
      graph.current?.reveal(next.node.id);
    }
  };

  useEffect(() => {
    const anywhere = (event: KeyboardEvent): void => {
      if (event.key === "Escape") {
        if (isHelp) setHelp(false);
        else graph.current?.focus();
        return;
      }
      const isTyping = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "/") {
        event.preventDefault();
        search.current?.focus();
      } else if (event.key === "?") setHelp(!isHelp);
    };
    window.addEventListener("keydown", anywhere);
    return () => window.removeEventListener("keydown", anywhere);
  }, [isHelp]);

  const current = selected === undefined ? undefined : events.get(selected);
  const total = room?.graph.events.length ?? 0;
  const panels: Readonly<Record<Tab, () => ComponentChildren>> = {
    room: () =>
      room !== undefined && (
        <RoomPanel room={room} servers={servers} theme={theme} audited={audited} onAudit={audit} onGo={go} />
      ),
    event: () =>
      current === undefined ? (
        <p class="quiet">Click an event, or walk with the arrow keys.</p>
      ) : (
        <EventPanel
          event={current}
          client={client}
          revision={revision}
          events={events}
          soft={soft.get(current.eventId)}
          picked={picked.includes(current.eventId)}
          onGo={go}
          onPick={() => pick(current.eventId)}
          onResolve={resolve}
        />
      ),
    resolve: () => (
      <ResolvePanel
        picked={picked}
        forks={room?.forks ?? []}
        events={events}
        detail={resolution}
        steps={steps}
        step={step}
        onStep={showStep}
        onGo={(id) => go(id, "resolve")}
        onResolve={resolve}
        onUnpick={pick}
        onClear={() => {
          setPicked([]);
          setResolution(undefined);
        }}
      />
    ),
    text: () => source !== undefined && <TextPanel source={source} problem={textProblem} onChange={edit} />,
    list: () => <ListPanel events={found} total={total} selected={selected} onGo={go} />,
  };
  const lit = litBy(tab === "resolve" ? steps[step] : undefined, query, found);
  return (
    <div class="page">
      <Header
        embedded={embedded}
        room={room}
        fold={fold}
        themeName={themeName}
        isHelp={isHelp}
        graph={graph}
        onRoom={(wanted) => load(wanted)}
        onFold={() => relayout([], !fold, selected)}
        onShare={() => void share()}
        onClose={() => setRoom(undefined)}
        onTheme={() => setThemeName(themeName === "dark" ? "light" : "dark")}
        onHelp={() => setHelp(!isHelp)}
      >
        {room !== undefined && (
          <Search input={search} query={query} found={found.length} onQuery={setQuery} onNext={nextFound} />
        )}
      </Header>
      {problem !== undefined && <Banner problem={problem} onClose={() => setProblem(undefined)} />}
      {room === undefined || scene === undefined ? (
        <DropZone
          busy={progress !== undefined}
          isSite={embedded.rooms.length === 0}
          examples={embedded.examples}
          onSource={(wanted) => load(wanted)}
        />
      ) : (
        <main>
          <section class="stage" aria-label="Graph">
            <GraphView
              scene={scene}
              handle={graph}
              label={graphLabel(total, current)}
              look={{
                theme,
                selected,
                picked,
                lit,
                taken,
                soft,
                servers,
                isThere: (event) => time === undefined || (positions.get(event.eventId) ?? 0) <= time,
              }}
              onChoose={choose}
              onKey={keys}
            />
            <p id="graph-hint" class="hint quiet">
              Drag or scroll to move, Ctrl and scroll to zoom, arrow keys to walk, Shift and click to choose. Time runs
              down.
            </p>
            <TimeSlider
              events={room.graph.events}
              order={order}
              time={time}
              onOrder={setOrder}
              onTime={(at) => setTime(at >= total - 1 ? undefined : at)}
            />
          </section>
          <aside id="panel" aria-label="Details">
            <Tabs tab={tab} isText={isText} onTab={setTab} />
            <div class="panel" role="tabpanel" id="tab-panel" aria-labelledby={`tab-${tab}`}>
              {panels[tab]()}
            </div>
          </aside>
        </main>
      )}
      {progress !== undefined && <ProgressBar progress={progress} />}
      <p class="said" role="status" aria-live="polite">
        {said}
      </p>
      {isHelp && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

function graphLabel(total: number, current: GraphEvent | undefined): string {
  const graph = `Graph of ${plural(total, "event")}`;
  return current === undefined ? graph : `${graph}, ${keyName(current.type, current.stateKey)} selected`;
}

function ProgressBar({ progress: { what, done, total } }: { readonly progress: Progress }) {
  return (
    <p class="progress" role="status">
      {what}
      {total > 1 && <progress max={total} value={done} aria-label={what} />}
    </p>
  );
}

function Banner({ problem, onClose }: { readonly problem: string; readonly onClose: () => void }) {
  return (
    <p class="problem banner" role="alert">
      {printable(problem)}{" "}
      <button type="button" onClick={onClose}>
        Close
      </button>
    </p>
  );
}

function Tabs({
  tab,
  isText,
  onTab,
}: {
  readonly tab: Tab;
  readonly isText: boolean;
  readonly onTab: (tab: Tab) => void;
}) {
  const tabs: readonly (readonly [tab: Tab, name: string])[] = isText ? [...allTabs, ["text", "Text"]] : allTabs;
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const at = tabs.findIndex(([name]) => name === tab);
    const [next] = tabs[(at + step + tabs.length) % tabs.length] ?? tabs[0] ?? ["room"];
    onTab(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Details" onKeyDown={move}>
      {tabs.map(([name, text]) => (
        <button
          type="button"
          role="tab"
          id={`tab-${name}`}
          aria-selected={tab === name}
          aria-controls="tab-panel"
          tabIndex={tab === name ? 0 : -1}
          onClick={() => onTab(name)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

function preferredTheme(): "light" | "dark" {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function applyTheme(theme: Theme, name: "light" | "dark"): void {
  const { style } = document.documentElement;
  for (const [key, value] of Object.entries(theme)) if (typeof value === "string") style.setProperty(`--${key}`, value);
  style.colorScheme = name;
}

function eventOf(fragment: string): string | undefined {
  const id = /^#event=(.+)$/.exec(fragment)?.[1];
  return id === undefined ? undefined : decodeURIComponent(id);
}

function serversOf(events: readonly GraphEvent[]): ReadonlyMap<string, number> {
  const servers = new Map<string, number>();
  for (const { server } of events) if (!servers.has(server)) servers.set(server, servers.size);
  return servers;
}

/** Events that have every word of a query somewhere in their id, type, state key, sender or gist. */
function findEvents(events: readonly GraphEvent[], query: string): readonly GraphEvent[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) return events;
  return events.filter(({ eventId, type, stateKey = "", sender, gist, standing }) => {
    const text = `${eventId} ${type} ${stateKey} ${sender} ${gist} ${standing}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** What resolution took back, by the event that was lost. */
function takenBack(findings: readonly AuditFinding[]): ReadonlyMap<string, "reset" | "rolled back"> {
  const taken = new Map<string, "reset" | "rolled back">();
  for (const { kind, events } of findings) {
    const [eventId] = events;
    if (eventId === undefined || taken.get(eventId) === "reset") continue;
    if (kind === "reset") taken.set(eventId, "reset");
    else if (kind === "rollback") taken.set(eventId, "rolled back");
  }
  return taken;
}

/** What steps forward in the graph: what a step is about, or what was searched for. */
function litBy(step: Step | undefined, query: string, found: readonly GraphEvent[]): ReadonlySet<string> | undefined {
  if (step !== undefined && step.lit.length > 0) return new Set(step.lit);
  return query === "" ? undefined : new Set(found.map(({ eventId }) => eventId));
}
