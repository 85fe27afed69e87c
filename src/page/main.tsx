/** Where the script starts: as the page, or as its worker. */
import { render } from "preact";
import { App } from "./app.js";
import { EMBEDDED } from "./embedded.js";
import type { Embedded } from "./embedded.js";
import { startWorker } from "./worker.js";
import type { DedicatedWorker } from "./worker.js";

function startPage(): void {
  const { currentScript } = document;
  const data = document.getElementById(EMBEDDED)?.textContent;
  const embedded: Embedded =
    data === undefined || data === "" ? { rooms: [], examples: [], links: [] } : (JSON.parse(data) as Embedded);
  const root = document.getElementById("app");
  if (root !== null) render(<App script={currentScript?.textContent ?? ""} embedded={embedded} />, root);
}

// The worker runs the same script, in a scope of its own.
if (typeof document === "undefined") startWorker(globalThis as unknown as DedicatedWorker);
else startPage();
