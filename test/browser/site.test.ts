import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { drop, fixture, root, tab, useBrowser } from "./support.js";

const stage = useBrowser();

interface Recorded {
  readonly timeline: readonly { readonly event_id: string; readonly pdu: object }[];
}

test("a dropped file is drawn: arrays, lines, rows, answers, wrapped and bare events", async () => {
  const text = fixture("rooms/fork-v10-a.json");
  const { timeline } = JSON.parse(text) as Recorded;
  const pdus = timeline.map(({ pdu }) => pdu);
  const forms: Readonly<Record<string, string>> = {
    "recorded.json": text,
    "array.json": JSON.stringify(pdus),
    "lines.ndjson": pdus.map((pdu) => JSON.stringify(pdu)).join("\n"),
    "rows.ndjson": timeline
      .map(({ event_id, pdu }) => JSON.stringify({ event_id, json: JSON.stringify(pdu), room_version: "10" }))
      .join("\n"),
    "backfill.json": JSON.stringify({ origin: "h.example", origin_server_ts: 1, pdus }),
    "missing.json": JSON.stringify({ events: pdus }),
  };
  for (const [name, content] of Object.entries(forms)) {
    const page = await stage.open(undefined);
    await drop(page, name, content);
    await page.getByRole("application").waitFor();
    expect(await page.getByRole("application").getAttribute("aria-label"), name).toBe(
      `Graph of ${timeline.length} events`,
    );
    await page.context().close();
  }
});

test("a chosen file and a pasted one are drawn, and another can be opened after them", async () => {
  const page = await stage.open(undefined);
  const path = join(stage.folder, "chosen.json");
  writeFileSync(path, fixture("rooms/synapse-v12.json"));
  await page.getByLabel("Choose a file").setInputFiles(path);
  await page.getByRole("application").waitFor();
  await page.getByRole("button", { name: "Open another" }).click();
  await page.getByRole("textbox", { name: "Or paste events" }).fill(fixture("rooms/fork-v3-a.json"));
  await page.getByRole("button", { name: "Draw" }).click();
  await page.getByText("Room version 3,").waitFor();
});

test("a long text is drawn as it is pasted", async () => {
  const page = await stage.open(undefined);
  await page.getByRole("textbox", { name: "Or paste events" }).evaluate((box, text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    box.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
  }, fixture("rooms/synapse-v11.json"));
  await page.getByText("from pasted").waitFor();
});

test("every room of the gallery opens with its lesson", async () => {
  const page = await stage.open(undefined);
  const texts = readdirSync(join(root, "fixtures/gallery")).filter((name) => name.endsWith(".txt"));
  expect(texts.length).toBeGreaterThanOrEqual(8);
  for (const name of texts) {
    const title = /^title (.+)$/m.exec(readFileSync(join(root, "fixtures/gallery", name), "utf8"))?.[1] ?? "";
    await page.getByRole("button", { name: title }).click();
    await page.getByRole("heading", { name: title }).waitFor();
    expect(await page.getByRole("region", { name: "Lesson" }).locator("p").count()).toBeGreaterThanOrEqual(3);
    await page.getByRole("button", { name: "Open another" }).click();
  }
});

test("what an audit finds is told beside the room, and nothing where there is nothing", async () => {
  const page = await stage.open(undefined);
  await page.getByRole("button", { name: /MSC4297 problem A/ }).click();
  const finding = page.getByRole("listitem").filter({ hasText: /^reset / });
  await finding.waitFor();
  expect(await finding.innerText()).toContain("m.room.join_rules");
  // Every event of the sentence can be gone to; the first is what was lost.
  expect(await finding.getByRole("button").count()).toBe(2);
  expect(await finding.innerText()).not.toMatch(/\$[\w-]{20}/);
  await finding.getByRole("button").first().click();
  await page.getByRole("heading", { name: "m.room.join_rules" }).waitFor();
  await page.getByRole("button", { name: "Open another" }).click();
  await page.getByLabel("Choose a file").setInputFiles(join(root, "fixtures/rooms/synapse-v11.json"));
  await page.getByText("An audit finds nothing that resolution took back.").waitFor();
});

test("the text of a room can be changed: the graph follows, and a slip is told and does no harm", async () => {
  const page = await stage.open(undefined);
  await page.getByRole("button", { name: /MSC4297 problem A/ }).click();
  await page.getByRole("application").waitFor();
  const label = (): Promise<string | null> => page.getByRole("application").getAttribute("aria-label");
  const before = Number(/\d+/.exec((await label()) ?? "")?.[0]);
  await page.getByRole("tab", { name: "Text" }).click();
  const text = page.getByRole("textbox", { name: "The room as text" });
  const room = await text.inputValue();
  await text.fill(room.replace(/^merge: .*$/m, (line) => `${line}\nmore: bob says "One more." after merge`));
  await page.waitForFunction(
    (count) => document.querySelector("canvas")?.getAttribute("aria-label")?.includes(`${count} events`),
    before + 1,
  );
  await text.fill(`${room}\nthis is no line of a scenario`);
  await page.locator(".text .problem").filter({ hasText: /./ }).waitFor();
  expect(await label()).toContain(`${before + 1} events`);
  await page.getByRole("textbox", { name: "Room version" }).fill("12");
  await text.fill(room);
  await tab(page, "Room");
  await page.getByText("Room version 12,").waitFor();
});
