/** Everything that people have, dropped on the site: it is drawn, or answered with what it cannot show. */
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { tardis } from "../support/tardis.js";
import { drop, fixture, useBrowser } from "./support.js";

const stage = useBrowser();

interface Body {
  readonly auth_chain: readonly object[];
}

interface Forked {
  readonly timeline: readonly { readonly event_id: string; readonly pdu: object }[];
}

interface Joined {
  readonly send_join: Body & { readonly state: readonly object[]; readonly event: object };
  readonly state_at_last: Body & { readonly pdus: readonly object[] };
}

const { send_join: join, state_at_last: state } = JSON.parse(fixture("rooms/synapse-v11.json")) as Joined;
const { timeline } = JSON.parse(fixture("rooms/fork-v11-a.json")) as Forked;
const pdus = timeline.map(({ pdu }) => pdu);

/** What a text is known as, and how many events are drawn of it. */
const files: Readonly<Record<string, readonly [text: string, events: number]>> = {
  "send_join.json": [JSON.stringify(join), distinct(join.event, ...join.state, ...join.auth_chain)],
  "send_join v1.json": [JSON.stringify([200, join]), distinct(join.event, ...join.state, ...join.auth_chain)],
  "state.json": [JSON.stringify(state), distinct(...state.pdus, ...state.auth_chain)],
  "event_auth.json": [JSON.stringify({ auth_chain: state.auth_chain }), distinct(...state.auth_chain)],
  "transaction.json": [JSON.stringify({ origin: "h.example", origin_server_ts: 1, pdus, edus: [] }), distinct(...pdus)],
  "tardis.json5": [tardis, 6],
  "tardis.ndjson": [
    timeline.map(({ event_id, pdu }) => JSON.stringify({ ...pdu, _event_id: event_id })).join("\n"),
    distinct(...pdus),
  ],
  "ids inside.json": [JSON.stringify(timeline.map(({ event_id, pdu }) => ({ ...pdu, event_id }))), distinct(...pdus)],
  "fetch_event.json": [JSON.stringify({ event: { ...pdus[0], event_id: timeline[0]?.event_id } }), 1],
  "placeholders.json": [JSON.stringify(placeholders()), 2],
  "scenario.txt": ['alice creates\nalice joins\nalice says "hm"', 3],
};

function distinct(...events: readonly object[]): number {
  return new Set(events.map((event) => JSON.stringify(event))).size;
}

/** As ruma writes the cases of its tests. */
function placeholders(): readonly object[] {
  const event = { room_id: "!r:x", sender: "@a:x", origin_server_ts: 1 };
  const create = { ...event, event_id: "$A", type: "m.room.create", state_key: "", prev_events: [], auth_events: [] };
  const member = { ...event, event_id: "$B", type: "m.room.member", state_key: "@a:x" };
  return [
    { ...create, content: { creator: "@a:x", room_version: "6" } },
    { ...member, content: { membership: "join" }, prev_events: ["$A"], auth_events: ["$A"] },
  ];
}

async function graphLabel(page: Page): Promise<string | null> {
  return page.getByRole("application").getAttribute("aria-label");
}

test("every format is drawn with every event that it holds", async () => {
  const page = await stage.open(undefined);
  for (const [name, [text, events]] of Object.entries(files)) {
    await drop(page, name, text);
    await page.getByRole("application").or(page.getByRole("alert")).first().waitFor();
    const alerts = await page.getByRole("alert").allInnerTexts();
    expect(alerts, name).toEqual([]);
    expect(await graphLabel(page), name).toBe(`Graph of ${events} event${events === 1 ? "" : "s"}`);
    await page.getByText(`from ${name}`).waitFor();
    await page.getByRole("button", { name: "Open another" }).click();
  }
});

test("the state that a joining server was given is beside the one that the page works out", async () => {
  const page = await stage.open(undefined);
  await drop(page, "send_join.json", JSON.stringify(join));
  const panel = page.getByRole("tabpanel");
  await panel.getByText("States that a server recorded").waitFor();
  expect(await panel.innerText()).toContain("taken as given, because ancestors are absent");
});

test("what the client-server API gives out is answered with what it cannot show, and nothing is drawn", async () => {
  const page = await stage.open(undefined);
  const message = { type: "m.room.message", sender: "@a:x", content: {}, event_id: "$x", origin_server_ts: 1 };
  for (const body of [{ chunk: [message], start: "a" }, { next_batch: "s", rooms: { join: {} } }, [message]]) {
    await drop(page, "client.json", JSON.stringify(body));
    const alert = page.getByRole("alert");
    await alert.waitFor();
    expect(await alert.innerText()).toMatch(/client-server API, which shows events without prev_events/);
    expect(await page.getByRole("application").count()).toBe(0);
    await page.getByRole("button", { name: "Close" }).click();
  }
});
