/** docs/serve.md has every setting, every route and every command, as the tables of the code have them. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseClientArguments } from "../../src/cli/client/main.js";
import { commands, prepare } from "../../src/cli/client/commands.js";
import { routes } from "../../src/cli/serve/api/routes.js";
import { refusalStatus } from "../../src/cli/serve/api/errors.js";
import { settingsTable } from "../../src/cli/serve/settings.js";
import type { Setting } from "../../src/cli/serve/settings.js";

const page = readFileSync(new URL("../../docs/serve.md", import.meta.url), "utf8");

/** The rows of the table under these columns. */
function rows(...columns: readonly string[]): readonly string[] {
  const lines = page.split("\n");
  const at = lines.findIndex((line) => line === `| ${columns.join(" | ")} |`);
  if (at < 0) throw new Error(`there is no table of ${columns.join(", ")}`);
  const end = lines.findIndex((line, index) => index > at && !line.startsWith("|"));
  return lines.slice(at + 2, end);
}

describe("docs/serve.md", () => {
  it("lists the settings", () => {
    const table = Object.entries<Setting>(settingsTable).map(([name, { kind, value, about }]) => {
      const shown = typeof kind === "object" ? kind.join(", ") : (value ?? "true, false");
      return `| \`${name}\` | ${shown} | ${about} |`;
    });
    expect(rows("Setting", "Value", "What it is")).toEqual(table);
  });

  it("lists the routes, with their fields", () => {
    const table = routes.map(({ method, path, fields, about }) => {
      const named = Object.entries(fields)
        .filter(([name]) => !path.includes(`{${name}}`))
        .map(([name, { required, absent }]) => {
          const usual = typeof absent === "string" || typeof absent === "number" || typeof absent === "boolean";
          return required ? `**${name}**` : usual ? `${name} (${JSON.stringify(absent)})` : name;
        });
      return `| ${method} | \`${path}\` | ${named.join(", ")} | ${about} |`;
    });
    expect(rows("Method", "Path", "Fields", "What it does")).toEqual(table);
  });

  it("lists the statuses of refusals", () => {
    for (const [code, status] of Object.entries(refusalStatus)) {
      expect(rows("Status", "Codes").find((line) => line.startsWith(`| ${status} |`))).toContain(`\`${code}\``);
    }
  });

  it("lists the commands", () => {
    for (const { usage } of Object.values(commands)) expect(page).toContain(usage);
  });
});

describe("the client's lines", () => {
  const room = "!room:one.example";
  const session = { user: "@ada:one.example", room: undefined };
  const inRoom = { user: "@ada:one.example", room };
  const path = (what: string): string => `/v1/rooms/${encodeURIComponent(room)}${what}`;

  it.each([
    [`send ${room} Hello,  "you"`, "POST", path("/send"), { user: session.user, body: 'Hello,  "you"' }],
    [`ban ${room} @bob:x too loud`, "POST", path("/ban"), { user: session.user, target: "@bob:x", reason: "too loud" }],
    [
      `join #a:b one.example  two.example`,
      "POST",
      "/v1/rooms/%23a%3Ab/join",
      { user: session.user, via: ["one.example", "two.example"] },
    ],
    [
      `set ${room} m.room.topic {"topic": "a b"}`,
      "POST",
      path("/state"),
      { user: session.user, type: "m.room.topic", stateKey: "", content: { topic: "a b" } },
    ],
    [
      `set ${room} x key {"n": 12345678901234567890}`,
      "POST",
      path("/state"),
      { user: session.user, type: "x", stateKey: "key", content: { n: 12345678901234567890n } },
    ],
    [
      `create --version=10 --preset public My room`,
      "POST",
      "/v1/rooms",
      { user: session.user, version: "10", preset: "public", name: "My room" },
    ],
    ["create", "POST", "/v1/rooms", { user: session.user }],
    [`timeline ${room}`, "GET", path("/timeline"), { direction: "backwards", limit: "20" }],
    ["why $e", "GET", "/v1/events/%24e/why", {}],
  ])("%s", (line, method, to, input) => {
    expect(prepare(line, session).asked).toEqual({ method, path: to, input });
  });

  it.each([
    ["", /a command is missing/],
    ["shout hello", /there is no command shout/],
    ["constructor", /there is no command constructor/],
    ["send hello", /which room\?.*\(send \[ROOM\] TEXT\)/],
    [`send ${room}`, /TEXT is missing/],
    [`ban ${room} bob`, /bob is no USER: it begins with @/],
    [`redact ${room} event`, /event is no EVENT: it begins with \$/],
    [`join room`, /room is no room/],
    [`set ${room} x {"a":`, /that is no JSON/],
    [`set ${room} x key [1]`, /a JSON object/],
    ["create --colour red", /there is no --colour/],
    ["check everything", /what is everything\?/],
  ])("%j is refused with its usage", (line, says) => {
    expect(() => prepare(line, session)).toThrow(says);
  });

  it("are about the session's room and by its user where they name none", () => {
    expect(prepare("send hello", inRoom).asked.path).toBe(path("/send"));
    expect(() => prepare(`send ${room} hello`, { user: undefined, room })).toThrow(/who says so\?/);
  });

  it("come after the flags", () => {
    expect(parseClientArguments(["--data", "d", "--as=@a:b=c", "--json", "create", "--version", "10", "x"])).toEqual({
      data: "d",
      api: undefined,
      tokenFile: undefined,
      user: "@a:b=c",
      json: true,
      line: "create --version 10 x",
    });
    expect(() => parseClientArguments(["--colour"])).toThrow(/client takes no --colour/);
    expect(() => parseClientArguments(["--data"])).toThrow(/--data needs a value/);
  });
});
