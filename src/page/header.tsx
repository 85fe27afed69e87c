/** What stands above the room: which it is, the search, the tools. */
import type { ComponentChildren, RefObject } from "preact";
import { printable } from "../inspect/format.js";
import type { Embedded } from "./embedded.js";
import type { GraphHandle } from "./graph-view.js";
import { plural } from "./labels.js";
import type { LoadedRoom, Source } from "./protocol.js";

export interface HeaderProps {
  readonly embedded: Embedded;
  readonly room: LoadedRoom | undefined;
  readonly fold: boolean;
  readonly themeName: "light" | "dark";
  readonly isHelp: boolean;
  readonly graph: RefObject<GraphHandle | null>;
  readonly onRoom: (source: Source) => void;
  readonly onFold: () => void;
  readonly onShare: () => void;
  readonly onClose: () => void;
  readonly onTheme: () => void;
  readonly onHelp: () => void;
  readonly children: ComponentChildren;
}

export function Header(props: HeaderProps) {
  const { embedded, room, themeName, isHelp, onTheme, onHelp, children } = props;
  return (
    <header>
      {room !== undefined && (
        <a class="skip" href="#panel">
          Skip to the panel
        </a>
      )}
      <div class="brand">
        <h1>roomdag</h1>
        <RoomName {...props} />
      </div>
      {children}
      <div class="tools">
        {room !== undefined && <RoomTools {...props} />}
        <button
          type="button"
          onClick={onTheme}
          aria-label={themeName === "dark" ? "Light colours" : "Dark colours"}
          title={themeName === "dark" ? "Light colours" : "Dark colours"}
        >
          {themeName === "dark" ? "☀" : "☾"}
        </button>
        <button type="button" aria-expanded={isHelp} onClick={onHelp} aria-label="Keys" title="Keys">
          ?
        </button>
        {embedded.links.map(({ text, href }) => (
          <a href={href}>{text}</a>
        ))}
      </div>
    </header>
  );
}

function RoomName({ embedded, room, onRoom }: HeaderProps) {
  const { rooms } = embedded;
  if (rooms.length <= 1) return <span class="quiet">{room === undefined ? "" : printable(room.name)}</span>;
  return (
    <select
      aria-label="Room"
      onChange={(event) => {
        const wanted = rooms[event.currentTarget.selectedIndex];
        if (wanted !== undefined) onRoom(wanted);
      }}
    >
      {rooms.map(({ name }) => (
        <option>{printable(name)}</option>
      ))}
    </select>
  );
}

function RoomTools({ embedded, fold, graph, onFold, onShare, onClose }: HeaderProps) {
  return (
    <>
      <button type="button" onClick={() => graph.current?.zoomBy(1 / 1.3)} aria-label="Zoom out" title="Zoom out">
        −
      </button>
      <button type="button" onClick={() => graph.current?.zoomBy(1.3)} aria-label="Zoom in" title="Zoom in">
        +
      </button>
      <button type="button" onClick={() => graph.current?.fit()}>
        Fit
      </button>
      <button type="button" aria-pressed={fold} onClick={onFold}>
        Fold runs
      </button>
      <button type="button" onClick={onShare}>
        Copy link
      </button>
      {embedded.rooms.length === 0 && (
        <button type="button" onClick={onClose}>
          Open another
        </button>
      )}
    </>
  );
}

export interface SearchProps {
  readonly input: RefObject<HTMLInputElement | null>;
  readonly query: string;
  readonly found: number;
  readonly onQuery: (query: string) => void;
  readonly onNext: () => void;
}

export function Search({ input, query, found, onQuery, onNext }: SearchProps) {
  return (
    <form
      class="search"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        onNext();
      }}
    >
      <input
        ref={input}
        type="search"
        value={query}
        placeholder="Search id, type, sender"
        aria-label="Search id, type, sender"
        aria-keyshortcuts="/"
        spellcheck={false}
        onInput={(event) => onQuery(event.currentTarget.value)}
      />
      <span class="quiet" role="status">
        {query === "" ? "" : plural(found, "event")}
      </span>
    </form>
  );
}
