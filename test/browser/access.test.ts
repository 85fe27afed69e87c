import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { fixture, tab, useBrowser } from "./support.js";

const stage = useBrowser();
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Found {
  readonly violations: readonly { readonly id: string; readonly nodes: readonly { readonly html: string }[] }[];
}

async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    (globalThis as unknown as { readonly axe: { run(): Promise<Found> } }).axe.run(),
  );
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}

for (const colorScheme of ["light", "dark"] as const) {
  test(`axe finds nothing on any panel, in ${colorScheme} colours`, async () => {
    const page = await stage.open({ "fork-v11-a.json": fixture("rooms/fork-v11-a.json") }, { colorScheme });
    expect(await violations(page)).toEqual([]);
    await page.getByRole("searchbox").fill("soft-failed");
    await page.getByRole("searchbox").press("Enter");
    await page.getByText("Auth events").waitFor();
    for (const summary of await page.locator("summary").all()) await summary.click();
    expect(await violations(page)).toEqual([]);
    await tab(page, "List");
    expect(await violations(page)).toEqual([]);
    await tab(page, "Resolve");
    await page.getByRole("button", { name: "Step through" }).first().click();
    await page.getByRole("button", { name: "Last step" }).click();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Keys" }).click();
    expect(await violations(page)).toEqual([]);
  });

  test(`axe finds nothing on the site before a room is open, in ${colorScheme} colours`, async () => {
    const page = await stage.open(undefined, { colorScheme });
    expect(await violations(page)).toEqual([]);
  });
}

test("every event is in the list, which says where it stands among how many and moves by keys", async () => {
  const page = await stage.open({ "fork-v11-a.json": fixture("rooms/fork-v11-a.json") });
  await tab(page, "List");
  const list = page.getByRole("listbox", { name: "Events, ancestors first" });
  expect(await list.getByRole("option").first().getAttribute("aria-setsize")).toBe("18");
  await list.focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  const selected = list.getByRole("option", { selected: true });
  expect(await selected.getAttribute("aria-posinset")).toBe("2");
  expect(await selected.getAttribute("id")).toBe(await list.getAttribute("aria-activedescendant"));
  await page.locator(".said").filter({ hasText: "member join, by @alice" }).waitFor();
});

test("in a narrow window graph and panel stand below each other", async () => {
  const page = await stage.open(
    { "fork-v11-a.json": fixture("rooms/fork-v11-a.json") },
    { viewport: { width: 390, height: 780 } },
  );
  const graph = await page.getByRole("application").boundingBox();
  const panel = await page.getByRole("tabpanel").boundingBox();
  expect(graph?.width).toBe(390);
  expect(panel?.y ?? 0).toBeGreaterThan((graph?.y ?? 0) + (graph?.height ?? 0) - 1);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
});
