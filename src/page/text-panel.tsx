/** The room as text, to change it and see what becomes of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Source } from "./protocol.js";

/** How long a pause in typing is before the room is read again. */
const PAUSE_MS = 350;

export interface TextPanelProps {
  readonly source: Source;
  /** What is wrong with the text as it stands. */
  readonly problem: string | undefined;
  readonly onChange: (source: Source) => void;
}

export function TextPanel({ source, problem, onChange }: TextPanelProps) {
  const [text, setText] = useState(source.text ?? "");
  const [roomVersion, setRoomVersion] = useState(source.roomVersion ?? "");
  const timer = useRef(0);
  const waiting = useRef<(() => void) | undefined>(undefined);
  const flush = (): void => {
    window.clearTimeout(timer.current);
    waiting.current?.();
    waiting.current = undefined;
  };
  // Who leaves the text for the graph wants to see what was typed.
  useEffect(() => flush, []);
  const change = (nextText: string, nextVersion: string): void => {
    setText(nextText);
    setRoomVersion(nextVersion);
    window.clearTimeout(timer.current);
    waiting.current = () => {
      const { roomVersion: _before, ...rest } = source;
      onChange({ ...rest, text: nextText, ...(nextVersion === "" ? {} : { roomVersion: nextVersion }) });
    };
    timer.current = window.setTimeout(flush, PAUSE_MS);
  };
  return (
    <div class="text">
      <h2>The room as text</h2>
      <p class="quiet">Change it, and the graph follows.</p>
      <p>
        <label>
          Room version{" "}
          <input
            class="short"
            value={roomVersion}
            placeholder="as in the text"
            onInput={(event) => change(text, event.currentTarget.value.trim())}
          />
        </label>
      </p>
      <textarea
        aria-label="The room as text"
        spellcheck={false}
        value={text}
        aria-invalid={problem !== undefined}
        onInput={(event) => change(event.currentTarget.value, roomVersion)}
      />
      <p class="problem" role="status">
        {problem}
      </p>
    </div>
  );
}
