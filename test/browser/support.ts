/** A browser, pages drawn for it, and what every page has to hold to: no errors, no requests. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { chromiumArguments, chromiumPath } from "../../scripts/chromium.mjs";
import { pageOf, readAssets, sourceOf } from "../../src/cli/draw/page.js";

export const root: string = new URL("../../", import.meta.url).pathname;

export function fixture(path: string): string {
  return readFileSync(join(root, "fixtures", path), "utf8");
}

export interface Stage {
  readonly folder: string;
  /** A page with these rooms, opened; `undefined` opens the site. */
  open(rooms: Readonly<Record<string, string>> | undefined, options?: OpenOptions): Promise<Page>;
  /** Writes a drawn page and answers where. */
  draw(rooms: Readonly<Record<string, string>>, about?: Pick<OpenOptions, "signatures">): Promise<string>;
}

export interface OpenOptions extends BrowserContextOptions {
  readonly fragment?: string;
  /** Whether it should wait for the graph; true by default where there are rooms. */
  readonly ready?: boolean;
  /** What `draw --store` says of the rooms. */
  readonly signatures?: "assumed";
}

/** For one test file. Whatever a page says on its console, or asks of a network, fails the test that opened it. */
export function useBrowser(): Stage {
  let browser: Browser | undefined;
  let trouble: string[] = [];
  let count = 0;
  const folder = mkdtempSync(join(tmpdir(), "roomdag-browser-"));
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: chromiumPath(), args: [...chromiumArguments] });
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const context of browser?.contexts() ?? []) await context.close();
    const found = trouble;
    trouble = [];
    expect(found).toEqual([]);
  });

  const draw: Stage["draw"] = async (rooms, about = {}) => {
    const path = join(folder, `room-${++count}.html`);
    const sources = Object.entries(rooms).map(([name, text]) => sourceOf(name, text, about));
    writeFileSync(path, pageOf(sources, [], await readAssets()));
    return path;
  };

  const open: Stage["open"] = async (
    rooms,
    { fragment = "", ready = rooms !== undefined, signatures, ...options } = {},
  ) => {
    if (browser === undefined) throw new Error("the browser did not start");
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    const page = await context.newPage();
    page.on("console", (message) => trouble.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
    const path =
      rooms === undefined ? join(root, "site", "index.html") : await draw(rooms, signatures && { signatures });
    const address = `${pathToFileURL(path).href}${fragment}`;
    page.on("request", (request) => {
      const url = request.url();
      const isOwn = url.split("#")[0] === address.split("#")[0] || url.startsWith("blob:") || url.startsWith("data:");
      if (!isOwn) trouble.push(`request: ${url}`);
    });
    await page.goto(address);
    if (ready) await page.getByRole("application").waitFor();
    return page;
  };
  return { folder, open, draw };
}

/** The ids in a list of the panel. */
export async function idsIn(page: Page, selector: string): Promise<readonly string[]> {
  const links = page.locator(`${selector} button.link`);
  return links.evaluateAll((elements) => elements.map((element) => element.getAttribute("title") ?? ""));
}

export async function tab(page: Page, name: "Room" | "Event" | "Resolve" | "List"): Promise<void> {
  await page.getByRole("tab", { name }).click();
}

/** Drops a file on a page that has no room. */
export async function drop(page: Page, name: string, text: string): Promise<void> {
  const transfer = await page.evaluateHandle(
    ([fileName, content]) => {
      const data = new DataTransfer();
      data.items.add(new File([content ?? ""], fileName ?? ""));
      return data;
    },
    [name, text],
  );
  await page.locator("main").dispatchEvent("drop", { dataTransfer: transfer });
}
