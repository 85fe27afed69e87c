/** Opening a room: a file that is dropped or chosen, or text that is pasted. */
import { useState } from "preact/hooks";
import { printable } from "../inspect/format.js";
import type { Source } from "./protocol.js";

/** Longer texts are drawn as they are pasted: an editor takes its time for thousands of lines that nobody edits. */
const MOST_PASTED = 20_000;

/** Files beyond this are handed over as files and cannot be shared by link. */
const MOST_AS_TEXT = 4 * 1024 * 1024;

/** A room in a few lines, for who has none. */
const EXAMPLE = `create: alice creates
alice joins
open: alice rules public
one: alice names "One"
two: alice names "Two" after open
merge: alice says "Which is it?" after one, two`;

export interface DropZoneProps {
  readonly busy: boolean;
  /** Rooms that came with the site. */
  readonly examples: readonly Source[];
  /** Whether the page came without a room. */
  readonly isSite: boolean;
  readonly onSource: (source: Source) => void;
}

export function DropZone({ busy, isSite, examples, onSource }: DropZoneProps) {
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
      <h2 class="title">See a room</h2>
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
          Or paste events, or write a small room
          <textarea
            rows={8}
            placeholder={EXAMPLE}
            spellcheck={false}
            value={text}
            onPaste={(event) => {
              const pasted = event.clipboardData?.getData("text/plain") ?? "";
              if (pasted.length <= MOST_PASTED) return;
              event.preventDefault();
              onSource({ name: "pasted", text: pasted, ...versionOf() });
            }}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <button type="submit" class="main" disabled={text.trim() === ""}>
          Draw
        </button>
      </form>
      {examples.length > 0 && (
        <section aria-labelledby="gallery">
          <h2 id="gallery">Or begin with one of these</h2>
          <ul class="gallery">
            {examples.map((example) => (
              <li>
                <button type="button" class="link" onClick={() => onSource({ ...example, ...versionOf() })}>
                  {printable(example.name)}
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
      <p class="quiet">
        It reads arrays and lines of federation PDUs, answers of send_join, state, backfill, get_missing_events and
        transactions, rows of Synapse's event_json and answers of its admin API, scenarios of tardis, events with
        placeholders for ids, and small rooms written a line each. What the client-server API gives out lacks the graph:
        its events have no parents and no auth events.
      </p>
    </main>
  );
}
