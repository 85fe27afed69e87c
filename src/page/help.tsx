/** The keys. */
import { useEffect, useRef } from "preact/hooks";

const keys: readonly (readonly [key: string, does: string])[] = [
  ["↑ ↓", "to a parent, to a child"],
  ["← →", "to the branch beside"],
  ["Home End", "to the first, to the last event"],
  ["Enter", "read the event, or unfold a run"],
  ["x", "choose the event, to resolve the state after it"],
  ["r", "resolve the chosen"],
  ["+ − 0", "zoom in, zoom out, fit"],
  ["/", "search"],
  ["Esc", "back to the graph"],
  ["?", "show and hide this"],
];

export function Help({ onClose }: { readonly onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={onClose}>
      <h2 id="help-title">Keys</h2>
      <dl>
        {keys.map(([key, does]) => (
          <>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </>
        ))}
      </dl>
      <p>
        The keys work while the graph has the focus. The list has every event for screen readers and for searching.
        Nothing leaves this page.
      </p>
      <button type="button" onClick={onClose}>
        Close
      </button>
    </dialog>
  );
}
