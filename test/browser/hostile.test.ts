import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { fixture, tab, useBrowser } from "./support.js";

const stage = useBrowser();

const payloads = [
  "<img src=x onerror=\"window.__ran='img'\">",
  '"><svg onload="window.__ran=\'svg\'">',
  "</script><script>window.__ran='script'</script>",
  "<!--<script>window.__ran='comment'</script>",
  "javascript:window.__ran='url'",
  "{{constructor.constructor('window.__ran=1')()}}",
  "\u202etxet desrever\u0000\u2028",
  "__proto__",
];

/** Room version 1 takes any text as an event id, so that even ids can be hostile. */
function hostileRoom(payload: string): string {
  // Ids take anything but these.
  const local = payload.replace(/[:\u0000]/g, "");
  const create = {
    event_id: `$create${local}:h.example`,
    type: "m.room.create",
    state_key: "",
    sender: "@mallory:h.example",
    room_id: "!r:h.example",
    content: { creator: "@mallory:h.example", [payload]: payload },
    depth: 1,
    origin_server_ts: 1,
    origin: payload,
    hashes: { sha256: payload, [payload]: payload },
    signatures: { "h.example": { [`ed25519:${payload}`]: payload }, [payload]: { [payload]: payload } },
    unsigned: { age: 1, [payload]: payload },
    prev_events: [],
    auth_events: [],
  };
  const parent = [[create.event_id, { sha256: "x" }]];
  const next = {
    ...create,
    event_id: `$next${local}:h.example`,
    type: payload,
    state_key: payload,
    sender: `@${local}:h.example`,
    content: { name: payload, membership: payload, body: payload, [payload]: [payload] },
    prev_events: [...parent, [`$absent${local}`, { sha256: payload }]],
    auth_events: [...parent, [`$absent${local}`, { sha256: payload }]],
    redacts: payload,
  };
  const member = { ...next, event_id: `$member${local}:h.example`, type: "m.room.member", state_key: payload };
  const message = { ...next, event_id: `$m${local}:h.example`, type: "m.room.message", sender: "@mallory:h.example" };
  const { state_key: _none, ...plain } = message;
  const misshapen = { type: payload, prev_events: payload, auth_events: { [payload]: payload }, depth: payload };
  return JSON.stringify({
    room_version: "1",
    [payload]: payload,
    verify_keys: { "h.example": { [`ed25519:${payload}`]: payload }, [payload]: { [payload]: payload } },
    timeline: [create, next, member, plain, misshapen, payload, [payload]],
    state: [{ ...create, event_id: payload }],
    last_event_id: payload,
    synapse_state_ids: [payload],
    merge_event_id: payload,
  });
}

/** Opens every panel and every event, and answers how many events there are. */
async function visitAll(page: Page): Promise<number> {
  const events = await page.getByRole("application").getAttribute("aria-label");
  const count = Number(/of ([\d,]+) event/.exec(events ?? "")?.[1] ?? 0);
  for (const name of ["Room", "Resolve", "List"] as const) await tab(page, name);
  await page.getByRole("listbox").focus();
  await page.keyboard.press("Home");
  for (let at = 0; at < count; at++) {
    await tab(page, "Event");
    await page.waitForTimeout(30);
    for (const summary of await page.locator("summary").all()) await summary.click();
    await tab(page, "List");
    await page.getByRole("listbox").focus();
    await page.keyboard.press("ArrowDown");
  }
  return count;
}

async function isUnhurt(page: Page): Promise<void> {
  expect(await page.evaluate(() => (globalThis as { readonly __ran?: string }).__ran)).toBeUndefined();
  expect(await page.locator("img, iframe, object, embed, #app script, #app style, #app link").count()).toBe(0);
  expect(await page.evaluate(() => ({}) instanceof Object && Object.keys(Object.prototype).length)).toBe(0);
}

test("no text in any field of an event, or in the file's name, becomes markup or script", async () => {
  const rooms = Object.fromEntries(payloads.map((payload) => [`room ${payload}`, hostileRoom(payload)]));
  const page = await stage.open(rooms);
  for (const [at] of payloads.entries()) {
    await page.getByRole("combobox", { name: "Room" }).selectOption({ index: at });
    await page.waitForTimeout(200);
    expect(await visitAll(page)).toBeGreaterThanOrEqual(2);
    await isUnhurt(page);
  }
});

test("a hostile link is data too", async () => {
  const page = await stage.open({ "room.json": hostileRoom(payloads[0] ?? "") });
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.waitForFunction(() => location.hash.startsWith("#room="));
  const other = await stage.open(undefined, { fragment: new URL(page.url()).hash, ready: true });
  await visitAll(other);
  await isUnhurt(other);
});

test("files that are no rooms are answered with a sentence, and the page goes on", async () => {
  const page = await stage.open(undefined);
  const paste = page.getByRole("textbox", { name: "Or paste events" });
  const draw = page.getByRole("button", { name: "Draw" });
  const answers: readonly (readonly [text: string, answer: RegExp])[] = [
    ["{", /neither JSON/],
    ['{"a":1}', /no federation events/],
    ['{"chunk":[{"type":"m.room.message","content":{}}]}', /client-server API/],
    ["[".repeat(200_000), /./],
    [`${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`, /./],
    ["\u0000\uffff", /neither JSON/],
  ];
  for (const [text, answer] of answers) {
    await paste.fill(text);
    await draw.click();
    expect(await page.getByRole("alert").innerText()).toMatch(answer);
    await page.getByRole("button", { name: "Close" }).click();
  }
  await paste.fill(fixture("rooms/fork-v10-a.json"));
  await draw.click();
  await page.getByRole("application").waitFor();
});

test("an event that is nested ten thousand deep is shown as far as anybody reads", async () => {
  const page = await stage.open(undefined);
  const room = JSON.parse(fixture("rooms/fork-v10-a.json")) as { timeline: { pdu: { content: object } }[] };
  const last = room.timeline.at(-1);
  const text = JSON.stringify(room).replace(
    JSON.stringify(last?.pdu.content),
    `{"deep":${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}}`,
  );
  await page.getByRole("textbox", { name: "Or paste events" }).fill(text);
  await page.getByRole("button", { name: "Draw" }).click();
  await page.getByRole("application").waitFor();
  await visitAll(page);
});

test("a file of 100 MB that is no room, and one that is too large to be read, leave the page alive", async () => {
  const page = await stage.open(undefined);
  const choose = page.getByLabel("Choose a file");
  const nested = join(stage.folder, "nested.json");
  const handle = openSync(nested, "w");
  const part = Buffer.alloc(1024 * 1024, "[");
  for (let at = 0; at < 100; at++) writeSync(handle, part);
  closeSync(handle);
  await choose.setInputFiles(nested);
  await page.getByRole("alert").waitFor({ timeout: 40_000 });
  expect(await page.getByRole("alert").innerText()).not.toBe("");
  await page.getByRole("button", { name: "Close" }).click();
  const huge = join(stage.folder, "huge.json");
  writeFileSync(huge, "");
  truncateSync(huge, 400 * 1024 * 1024);
  await choose.setInputFiles(huge);
  await page.getByRole("alert").filter({ hasText: "the page reads up to 256 MB" }).waitFor();
  await page.getByRole("textbox", { name: "Or paste events" }).fill(fixture("rooms/fork-v10-a.json"));
  await page.getByRole("button", { name: "Draw" }).click();
  await page.getByRole("application").waitFor();
});
