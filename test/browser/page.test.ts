import { expect, test } from "vitest";
import { createMemoryStorage } from "../../src/adapters/memory/index.js";
import { recordingOf } from "../../src/engine/index.js";
import { encodeCanonical } from "../../src/json/canonical.js";
import { HERE, testServer } from "../support/engine.js";
import { fixture, idsIn, tab, useBrowser } from "./support.js";

const stage = useBrowser();
const fork = { "fork-v11-a.json": fixture("rooms/fork-v11-a.json") };
const alone = 'create: alice creates\njoin: alice joins\nword: alice says "hm" soft-failed';

test("a drawn room opens from disk, shows what was found, and asks no network", async () => {
  const page = await stage.open(fork);
  expect(await page.title()).toBe("fork-v11-a.json · roomdag");
  expect(await page.getByRole("tabpanel").innerText()).toContain("Everything that was checked agrees");
  expect(await page.getByRole("tabpanel").innerText()).toContain("the server recorded the same state, 9 events");
  expect(await page.getByRole("tabpanel").innerText()).toContain("18 verified");
  expect(await page.getByRole("application").getAttribute("aria-label")).toBe("Graph of 18 events");
});

test("a search by type, sender, id or verdict narrows the list, and Enter goes to what it found", async () => {
  const page = await stage.open(fork);
  await tab(page, "List");
  const heading = page.getByRole("tabpanel").getByRole("heading");
  const search = page.getByRole("searchbox");
  await search.fill("@bob soft-failed");
  expect(await heading.innerText()).toBe("4 events of 18");
  await search.fill("m.room.power_levels");
  expect(await heading.innerText()).toBe("3 events of 18");
  await search.fill("$unxm92OmYUg1LIh47cNB3jBROGkGgiZW8vf278uaYrE");
  expect(await heading.innerText()).toBe("1 event of 18");
  await search.press("Enter");
  expect(await page.getByRole("listbox").getByRole("option", { selected: true }).innerText()).toContain(
    "m.room.message merge",
  );
  await search.fill("nothing has these words");
  expect(await heading.innerText()).toBe("0 events of 18");
});

test("a click on an event tells what it is, whose, by which rule it passed, and the state around it", async () => {
  const page = await stage.open(fork);
  const canvas = page.getByRole("application");
  const box = await canvas.boundingBox();
  await canvas.click({ position: { x: (box?.width ?? 0) / 2, y: 50 } });
  const panel = page.getByRole("tabpanel");
  await panel.getByText("v11 rule 1.4").waitFor();
  const text = await panel.innerText();
  expect(text).toContain("m.room.create");
  expect(text).toContain("@alice:localhost:18448");
  expect(text).toContain("A create event that meets the rules before this one is allowed.");
  expect(text).toContain("What it changes");
  await panel.getByText("JSON", { exact: true }).click();
  expect(await panel.locator("pre").innerText()).toContain('"type": "m.room.create"');
});

test("an event's whole state is fetched when it is opened, and its links walk the room", async () => {
  const page = await stage.open(fork, {
    fragment: `#event=${encodeURIComponent("$unxm92OmYUg1LIh47cNB3jBROGkGgiZW8vf278uaYrE")}`,
  });
  const panel = page.getByRole("tabpanel");
  await panel.getByText("The whole state before it, 9 events").click();
  await panel.getByText("m.room.history_visibility").waitFor();
  const ids = await idsIn(page, "details[open]");
  expect([...ids].sort()).toEqual([...(JSON.parse(fork["fork-v11-a.json"]) as Recorded).synapse_state_ids].sort());
  await panel.getByRole("button", { name: /^\$/ }).first().click();
  await panel.getByRole("heading", { level: 2 }).filter({ hasNotText: "m.room.message" }).waitFor();
});

interface Recorded {
  readonly synapse_state_ids: readonly string[];
}

test("rejected, soft-failed, redacted and pending events are told apart in words", async () => {
  const page = await stage.open({ "synapse-v11.json": fixture("rooms/synapse-v11.json"), ...fork });
  await tab(page, "List");
  const search = page.getByRole("searchbox");
  const count = async (words: string): Promise<string> => {
    await search.fill(words);
    return page.getByRole("tabpanel").getByRole("heading").innerText();
  };
  expect(await page.getByRole("listbox").innerText()).toContain("redacted");
  await page.getByRole("combobox", { name: "Room" }).selectOption("fork-v11-a.json");
  await page.waitForFunction(() => document.title.startsWith("fork"));
  await tab(page, "List");
  expect(await count("soft-failed")).toBe("4 events of 18");
  expect(await page.getByRole("listbox").getByRole("option").first().innerText()).toContain("soft-failed");
});

test("the slider takes the room back in time, in causal order and in the order of receipt", async () => {
  const page = await stage.open(fork);
  const slider = page.getByRole("slider", { name: "Time" });
  expect(await slider.getAttribute("aria-valuetext")).toMatch(/^18 of 18, /);
  const before = await page.getByRole("application").screenshot();
  await slider.fill("4");
  expect(await slider.getAttribute("aria-valuetext")).toMatch(/^5 of 18, 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
  expect(before.equals(await page.getByRole("application").screenshot())).toBe(false);
  await page.getByRole("combobox", { name: "Order" }).selectOption("received");
  expect(await slider.inputValue()).toBe("4");
});

test("what is chosen for colours holds, and the system's choice is taken at first", async () => {
  const page = await stage.open(fork, { colorScheme: "dark" });
  const ground = (): Promise<string> => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  expect(await ground()).toBe("rgb(20, 23, 26)");
  await page.getByRole("button", { name: "Light colours" }).click();
  await page.waitForFunction(() => getComputedStyle(document.documentElement).backgroundColor === "rgb(246, 245, 241)");
});

test("the graph is walked, read, chosen from and resolved by keys alone", async () => {
  const page = await stage.open(fork);
  const panel = page.getByRole("tabpanel");
  const said = page.locator(".said");
  await page.keyboard.press("/");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("type"))).toBe("search");
  await page.keyboard.press("Escape");
  expect(await page.evaluate(() => document.activeElement?.getAttribute("role"))).toBe("application");
  await page.keyboard.press("End");
  await said.filter({ hasText: "message merge" }).waitFor();
  await page.keyboard.press("ArrowUp");
  await said.filter({ hasText: "layer 11" }).waitFor();
  const one = await panel.getByRole("heading", { level: 2 }).innerText();
  await page.keyboard.press("x");
  await said.filter({ hasText: "Chosen to resolve, 1 in all" }).waitFor();
  await page.keyboard.press("ArrowLeft");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Home");
  await said.filter({ hasText: "create version 11" }).waitFor();
  await page.keyboard.press("ArrowDown");
  await said.filter({ hasText: "layer 1" }).waitFor();
  await page.keyboard.press("Enter");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("event-title");
  await page.keyboard.press("Escape");
  await page.keyboard.press("x");
  await page.keyboard.press("r");
  await panel.getByText(/Resolved by algorithm|the same: there is nothing/).waitFor();
  expect(one).not.toBe("");
  await page.keyboard.press("?");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
});

test("a room in a link opens with the event that was selected", async () => {
  const page = await stage.open(fork);
  await page.getByRole("searchbox").fill("m.room.join_rules invite");
  await page.getByRole("searchbox").press("Enter");
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.waitForFunction(() => location.hash.startsWith("#room="));
  const fragment = new URL(page.url()).hash;
  const other = await stage.open(undefined, { fragment, ready: true });
  expect(await other.title()).toBe("fork-v11-a.json · roomdag");
  await other.getByRole("heading", { name: "m.room.join_rules" }).waitFor();
  await other.getByText("$TkfBTRk4J7dhZlm98qID").first().waitFor({ state: "detached" });
});

test("a broken link says so and shows the way to open a file", async () => {
  const page = await stage.open(undefined, { fragment: "#room=AAAA" });
  await page.getByRole("alert").filter({ hasText: "This link is broken" }).waitFor();
  await page.getByRole("heading", { name: "See a room" }).waitFor();
});

test("recorded soft failures are told apart from those that the order of the file would make", async () => {
  const page = await stage.open({ ...fork, "cited.txt": fixture("gallery/soft-fail-cited.txt"), "alone.txt": alone });
  const panel = page.getByRole("tabpanel");
  const [recorded, worked] = ["Soft-failed, as the server recorded it", "Would soft-fail in the order of this file"];
  await panel.getByText(recorded).waitFor();
  expect(await panel.getByText(worked).count()).toBe(0);
  const list = panel.locator("section", { hasText: recorded }).last();
  expect(await list.getByRole("listitem").count()).toBe(4);
  await list.getByRole("button").first().click();
  const said = panel.getByRole("region", { name: "Soft failure" });
  await said.waitFor();
  expect(await said.innerText()).toContain("and the order of this file leads to the same.");
  expect(await said.innerText()).toMatch(/v11 rule [0-9.]+ .+\./);

  await page.getByLabel("Room", { exact: true }).selectOption("cited.txt");
  await panel.getByText(worked).waitFor();
  expect(await panel.getByText(recorded).count()).toBe(0);
  await panel.locator("section", { hasText: worked }).last().getByRole("button").first().click();
  expect(await said.innerText()).toMatch(/^would soft-fail Worked out, not recorded: .+\n+.*[a-z].+\n+v11 rule /s);
  expect(await panel.getByRole("region", { name: "Verdict" }).innerText()).toContain("accepted");

  await page.getByLabel("Room", { exact: true }).selectOption("alone.txt");
  await panel.getByText("no reason is to be seen here").waitFor();
  await panel.locator("section", { hasText: recorded }).last().getByRole("button").first().click();
  expect(await said.innerText()).toContain("The order of this file does not lead to it");
});

test("a room of a server's store is drawn, and its state is the stored one", async () => {
  const storage = createMemoryStorage();
  const made = await testServer({ storage }).rooms.create({ version: "12", creator: `@local:${HERE}` });
  if (!made.ok) throw new Error(made.error.reason);
  const { roomId } = made.value;
  const recording = await recordingOf(storage, roomId);
  if (recording === undefined) throw new Error("the room is not stored");
  const page = await stage.open({ [roomId]: encodeCanonical(recording) }, { signatures: "assumed" });
  const panel = page.getByRole("tabpanel");
  await panel.getByText(/current state.*the server recorded the same state/).waitFor();
  const text = await panel.innerText();
  expect(text).toContain("Everything that was checked agrees with the rules and with the file.");
  expect(text).toContain("a server kept this room and verified its signatures when the events came");
});
