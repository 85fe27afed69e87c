/** Opening a room: a file that is dropped or chosen, or text that is pasted. */
import { useState } from "preact/hooks";
import type { Source } from "./protocol.js";

/** Files beyond this are handed over as files and cannot be shared by link. */
const MOST_AS_TEXT = 4 * 1024 * 1024;

export interface DropZoneProps {
  readonly busy: boolean;
  /** Whether the page came without a room. */
  readonly isSite: boolean;
  readonly onSource: (source: Source) => void;
}

export function DropZone({ busy, isSite, onSource }: DropZoneProps) {
  const [isOver, setOver] = useState(false);
  const [text, setText] = useState("");
  const [roomVersion, setRoomVersion] = useState("");
  const versionOf = (): { readonly roomVersion?: string } => (roomVersion === "" ? {} : { roomVersion });
  const take = async (file: File | null | undefined): Promise<void> => {
    if (file === null || file === undefined) return;
    const { name } = file;
    if (file.size > MOST_AS_TEXT) onSource({ name, file, ...versionOf() });
    else onSource({ name, text: await file.text(), ...versionOf() });
  };
  if (!isSite) return <main class="waiting" aria-busy={busy} />;
  return (
    <main
      class={isOver ? "drop is-over" : "drop"}
      aria-busy={busy}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        void take(event.dataTransfer?.files[0]);
      }}
    >
      <h1>See a room</h1>
      <p>
        Drop a file with the events of a Matrix room: its graph, what the rules say of each event, and how its forks are
        resolved. Nothing leaves this page.
      </p>
      <p class="actions">
        <label class="file">
          Choose a file
          <input
            type="file"
            accept=".json,.ndjson,.jsonl,.json5,.txt"
            onChange={(event) => void take(event.currentTarget.files?.[0])}
          />
        </label>
        <label>
          Room version{" "}
          <input
            class="short"
            value={roomVersion}
            placeholder="as in the file"
            onInput={(event) => setRoomVersion(event.currentTarget.value.trim())}
          />
        </label>
      </p>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onSource({ name: "pasted", text, ...versionOf() });
        }}
      >
        <label>
          Or paste events
          <textarea rows={8} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <button type="submit" class="main" disabled={text.trim() === ""}>
          Draw
        </button>
      </form>
      <p class="quiet">
        It reads arrays and lines of federation PDUs, answers of send_join, state, backfill, get_missing_events and
        transactions, and rows of Synapse's event_json. What the client-server API gives out lacks the graph: its events
        have no parents and no auth events.
      </p>
    </main>
  );
}
