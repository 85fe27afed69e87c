/** The browser of the tests that need one, and how it is started. scripts/chromium.sh installs it. */
import { existsSync } from "node:fs";
import process from "node:process";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** `CHROMIUM` names another than the one that Debian installs. */
export function chromiumPath() {
  const named = process.env["CHROMIUM"];
  const found = named ?? PLACES.find((path) => existsSync(path));
  if (found === undefined)
    throw new Error("Chromium is not installed: run scripts/chromium.sh, or name it in CHROMIUM");
  return found;
}

/** It runs as root on test machines, and has nobody to talk to. */
export const chromiumArguments = Object.freeze([
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
]);
