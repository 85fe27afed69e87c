/** Pictures by a browser that the machine has. */
import { execFile } from "node:child_process";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { constants } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { Failure } from "../failure.js";

const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge"];

/** Browsers draw no larger pictures. */
const LARGEST = 16_000;
const TIMEOUT_MS = 60_000;

/** The first browser of the Chromium family that is on the path, or what CHROMIUM names. */
async function findBrowser(): Promise<string | undefined> {
  const named = process.env["CHROMIUM"];
  if (named !== undefined && named !== "") return named;
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    for (const name of names) {
      const path = join(folder, name);
      const isThere = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return path;
    }
  }
  return undefined;
}

/**
 * An SVG as a PNG file.
 * @throws Failure where there is no browser, or it fails.
 */
export async function drawPng(svg: string, output: string): Promise<void> {
  const browser = await findBrowser();
  if (browser === undefined) {
    throw new Failure(
      "no browser of the Chromium family is on the path: install one, name it in CHROMIUM, or take --svg",
    );
  }
  const [width = 0, height = 0] = ["width", "height"].map((name) =>
    Math.ceil(Number(new RegExp(`<svg[^>]* ${name}="([0-9.]+)"`).exec(svg)?.[1] ?? 800)),
  );
  if (width > LARGEST || height > LARGEST) {
    throw new Failure(`a picture of ${width} by ${height} is more than browsers draw: take --svg`);
  }
  const folder = await mkdtemp(join(tmpdir(), "roomdag-"));
  try {
    const page = join(folder, "room.svg");
    await writeFile(page, svg);
    const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    await promisify(execFile)(
      browser,
      [
        ...["--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
        ...["--disable-component-update", "--disable-quic", "--hide-scrollbars", ...root],
        ...[`--user-data-dir=${join(folder, "profile")}`, `--window-size=${width},${height}`],
        ...["--force-device-scale-factor=1", `--screenshot=${resolve(output)}`, pathToFileURL(page).href],
      ],
      { timeout: TIMEOUT_MS },
    );
    await access(output);
  } catch (error) {
    throw new Failure(`${browser} drew no picture: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
