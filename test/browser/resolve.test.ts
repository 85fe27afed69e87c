import { readdirSync } from "node:fs";
import { expect, test } from "vitest";
import { checkRoom, readDump, traceFork } from "../../src/inspect/index.js";
import { fixture, idsIn, root, tab, useBrowser } from "./support.js";

const stage = useBrowser();

test("a resolution is stepped through, with who won, who lost and why, and what it is about is lit", async () => {
  const page = await stage.open({ "fork-v11-a.json": fixture("rooms/fork-v11-a.json") });
  await tab(page, "Resolve");
  const panel = page.getByRole("tabpanel");
  await panel.getByRole("button", { name: "Step through" }).first().click();
  await panel.getByText("Resolved by algorithm v2").waitFor();
  const next = panel.getByRole("button", { name: "Next" });
  const titles: string[] = [];
  for (let more = true; more; more = await next.isEnabled()) {
    if (titles.length > 0) await next.click();
    titles.push(await panel.locator(".step h3").innerText());
  }
  const plain = titles.map((title) => title.replace(/ \d+ of \d+$/, ""));
  expect([...new Set(plain)]).toEqual([
    "States to merge",
    "Conflicted keys",
    "Auth difference",
    "Order of power",
    "Power check",
    "Mainline",
    "Check",
    "Outcome",
  ]);
  const outcome = await panel.locator(".step").innerText();
  expect(outcome).toContain("won");
  expect(outcome).toContain("lost");
  expect(await panel.innerText()).toContain("the server recorded the same state");
});

test("room version 12 has its conflicted subgraph among the steps, and version 1 none of the sorting", async () => {
  const page = await stage.open({
    "fork-v12-a.json": fixture("rooms/fork-v12-a.json"),
    "fork-v1-a.json": fixture("rooms/fork-v1-a.json"),
  });
  const panel = page.getByRole("tabpanel");
  const titles = async (): Promise<readonly string[]> => {
    await tab(page, "Resolve");
    await panel.getByRole("button", { name: "Step through" }).first().click();
    await panel.getByText("Resolved by algorithm").waitFor();
    const next = panel.getByRole("button", { name: "Next" });
    const found = [await panel.locator(".step h3").innerText()];
    while (await next.isEnabled()) {
      await next.click();
      found.push(await panel.locator(".step h3").innerText());
    }
    return found;
  };
  expect(await titles()).toContain("Conflicted subgraph");
  await page.getByRole("combobox", { name: "Room" }).selectOption("fork-v1-a.json");
  await page.waitForFunction(() => document.title.startsWith("fork-v1-a"));
  const first = await titles();
  expect(first).not.toContain("Mainline");
  expect(first.some((title) => title.startsWith("Candidates in order"))).toBe(true);
});

test("any events can be chosen; states that are the same say so", async () => {
  const page = await stage.open({ "fork-v11-a.json": fixture("rooms/fork-v11-a.json") });
  await page.getByRole("application").focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("x");
  await tab(page, "Resolve");
  await page.getByRole("button", { name: "Resolve the state after 1 event" }).click();
  await page.getByText("These states are the same: there is nothing to resolve.").waitFor();
});

const rooms = ["rooms", "rooms-i1"].flatMap((folder) =>
  readdirSync(`${root}fixtures/${folder}`)
    .filter((name) => name.endsWith(".json"))
    .map((name) => ({ name, text: fixture(`${folder}/${name}`) })),
);

test(`what the page resolves is what the library resolves in Node, on all ${rooms.length} recorded rooms`, async () => {
  const page = await stage.open(Object.fromEntries(rooms.map(({ name, text }) => [name, text])));
  const panel = page.getByRole("tabpanel");
  let resolved = 0;
  for (const { name, text } of rooms) {
    const dump = readDump(text);
    const report = dump.ok ? checkRoom(dump.value) : dump;
    if (!report.ok) throw new Error(report.error.reason);
    await page.getByRole("combobox", { name: "Room" }).selectOption(name);
    await page.waitForFunction((title) => document.title === title, `${name} · roomdag`);
    for (const [verdict, count] of report.value.counts) {
      const shown = panel.locator("dt", { hasText: new RegExp(`^${verdict.replaceAll("-", " ")}$`) });
      expect(await shown.locator("+ dd").innerText(), `${name} ${verdict}`).toBe(count.toLocaleString("en"));
    }
    const [fork] = report.value.forks;
    if (fork === undefined) continue;
    await tab(page, "Resolve");
    await panel.getByRole("button", { name: "Step through" }).first().click();
    await panel.locator("summary", { hasText: "The resolved state" }).click();
    const { replay } = report.value;
    const resolution = replay.stateAfter(fork.parents);
    const state = resolution?.verdict === "resolved" ? replay.index.idsOf(resolution.state) : [];
    expect([...(await idsIn(page, "section.detail details"))].sort(), name).toEqual([...state].sort());
    const trace = traceFork(report.value, fork);
    await panel.getByRole("button", { name: "Last step" }).click();
    const outcomes = await panel.locator(".step .head").allInnerTexts();
    expect(outcomes, name).toEqual(
      trace?.outcomes.map(({ type, stateKey, kind }) => `${stateKey === "" ? type : `${type} ${stateKey}`} (${kind})`),
    );
    resolved++;
  }
  expect(resolved).toBeGreaterThanOrEqual(30);
});
