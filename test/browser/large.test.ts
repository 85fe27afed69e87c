/** Rooms as large as anybody has. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { useSha256 } from "../../src/crypto/index.js";
import { Composer } from "../../src/inspect/compose.js";
import type { Pdu } from "../../src/event/pdu.js";
import { roomVersions } from "../../src/versions/index.js";
import { tab, useBrowser } from "./support.js";

const stage = useBrowser();
useSha256((bytes) => createHash("sha256").update(bytes).digest());
const ALICE = "@alice:one.example";

/** Lines of PDUs: messages in a row, with a fork and a merge at every hundredth. */
function linesOf(count: number): string {
  const version = roomVersions.get("11");
  if (!version.ok) throw new Error(version.error.reason);
  const composer = new Composer(version.value.rules, { roomId: "!large:one.example", signed: false });
  const lines: string[] = [];
  const add = (type: string, stateKey: string | undefined, content: object, after: readonly string[]): Pdu => {
    const made = composer.make({
      ...{ type, sender: ALICE, stateKey, content: { ...content }, redacts: undefined, depth: undefined },
      originServerTs: 1_700_000_000_000 + lines.length * 1000,
      prevEvents: after,
      authEvents: authority,
    });
    if (!made.ok) throw new Error(made.error.reason);
    composer.keep(made.value, undefined);
    // By a key that nobody knows: such a signature is left unchecked.
    lines.push(JSON.stringify({ ...made.value.json, signatures: { "one.example": { "ed25519:x": "A".repeat(86) } } }));
    return made.value;
  };
  let authority: readonly string[] = [];
  const create = add("m.room.create", "", { room_version: "11" }, []);
  authority = [create.eventId];
  const member = add("m.room.member", ALICE, { membership: "join" }, [create.eventId]);
  authority = [create.eventId, member.eventId];
  let tips: readonly string[] = [member.eventId];
  while (lines.length < count) {
    const says = (body: string): string => add("m.room.message", undefined, { body }, tips).eventId;
    const first = says(`number ${lines.length}`);
    tips = lines.length % 100 === 50 ? [first, says(`beside ${lines.length}`)] : [first];
  }
  return lines.join("\n");
}

test("a room of 100,000 events is drawn, searched, read and walked through in time", { timeout: 240_000 }, async () => {
  const page = await stage.open(undefined);
  const path = join(stage.folder, "large.ndjson");
  writeFileSync(path, linesOf(100_000));
  await page.getByLabel("Choose a file").setInputFiles(path);
  const canvas = page.getByRole("application");
  await canvas.waitFor({ timeout: 120_000 });
  expect(await canvas.getAttribute("aria-label")).toContain("Graph of 100,000 events");
  await page.getByText("Everything that was checked agrees").waitFor({ timeout: 120_000 });

  await page.getByRole("searchbox").fill("beside");
  await tab(page, "List");
  const heading = page.getByRole("tabpanel").getByRole("heading");
  await heading.filter({ hasText: "of 100000" }).waitFor();
  expect(await heading.innerText()).toMatch(/^1,0\d\d events of 100000$/);
  await page.getByRole("searchbox").press("Enter");
  await tab(page, "Event");
  await page.getByRole("region", { name: "Verdict" }).getByText("accepted").waitFor();
  await page.getByRole("slider").press("Home");
  await page.getByText("1 / 100,000").waitFor();
});
