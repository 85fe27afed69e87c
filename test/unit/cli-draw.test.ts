import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, describe, expect, it } from "vitest";
import { drawArguments } from "../../src/cli/draw/arguments.js";
import { runDraw } from "../../src/cli/draw/main.js";
import { sourceOf } from "../../src/cli/draw/page.js";
import { Output } from "../../src/cli/output.js";
import { graphOf, readDump, checkRoom } from "../../src/inspect/index.js";
import { documentOf } from "../../src/page/document.js";
import { draw } from "../../src/page/session.js";
import { formatSvg } from "../../src/page/svg.js";
import { dark, light } from "../../src/page/theme.js";

const folder = mkdtempSync(join(tmpdir(), "roomdag-draw-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const room = new URL("../../fixtures/rooms/fork-v11-a.json", import.meta.url).pathname;

async function drawn(...args: readonly string[]): Promise<{ readonly status: number; readonly out: string }> {
  const parts: string[] = [];
  const into = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      parts.push(chunk.toString());
      done();
    },
  });
  const errors = new Writable({ write: (_chunk, _encoding, done) => done() });
  const status = await runDraw(args, new Output(into), new Output(errors));
  return { status, out: parts.join("") };
}

describe("the arguments of draw", () => {
  it("are a page by default, a picture by flag, and one of them", () => {
    expect(drawArguments(["a.json"])).toMatchObject({ form: "html", output: "room.html", fold: true, dark: false });
    expect(drawArguments(["a.json", "--svg", "--dark"])).toMatchObject({ form: "svg", output: "-", dark: true });
    expect(drawArguments(["--png", "a.json", "-o", "b.png"])).toMatchObject({ form: "png", output: "b.png" });
    expect(() => drawArguments(["a.json", "--svg", "--dot"])).toThrow("--svg or --dot");
    expect(() => drawArguments([])).toThrow("at least one file");
    expect(() => drawArguments(["a", "b", "--dot"])).toThrow("--dot draws one file");
    expect(() => drawArguments(["a", "--wide"])).toThrow("--wide");
  });
});

describe("pictures", () => {
  it("go to standard output or to a file", async () => {
    const { status, out } = await drawn(room, "--dot");
    expect(status).toBe(0);
    expect(out).toContain("digraph room");
    expect((await drawn(room, "--mermaid")).out).toContain("flowchart TB");
    const file = join(folder, "room.svg");
    expect(await drawn(room, "--svg", "-o", file)).toEqual({ status: 0, out: "" });
    expect(readFileSync(file, "utf8")).toContain("</svg>");
  });

  it("are refused with a sentence for what is no room", async () => {
    const notRoom = new URL("../../package.json", import.meta.url).pathname;
    await expect(drawn(notRoom, "--dot")).rejects.toThrow("no federation events");
    await expect(drawn(room, "--svg", "-o", join(folder, "no", "where.svg"))).rejects.toThrow("cannot be written");
  });

  it("are well-formed SVG in both colours, whatever events say", () => {
    const dump = readDump(readFileSync(room, "utf8"));
    const report = dump.ok ? checkRoom(dump.value) : dump;
    if (!report.ok) throw new Error(report.error.reason);
    const graph = graphOf(report.value);
    const hostile = "<script>alert(1)</script>\"'&\u0000\ud800]]>";
    const events = graph.events.map((event) => ({ ...event, type: hostile, sender: hostile, gist: hostile }));
    for (const theme of [light, dark]) {
      const svg = formatSvg({ ...graph, roomId: hostile, events }, draw({ ...graph, events }, [], true), theme);
      expect(svg).not.toContain("<script");
      expect(svg).not.toMatch(/[\u0000-\u0008\ud800-\udfff]/);
      expect(svg).not.toMatch(/&(?!#\d+;)/);
      const opened = svg.match(/<(?:g|text|tspan|title|svg)[ >]/g) ?? [];
      expect(svg.match(/<\/(?:g|text|tspan|title|svg)>/g)).toHaveLength(opened.length);
      expect(svg.match(/<path d="M/g)?.length).toBeGreaterThanOrEqual(18);
    }
  });
});

describe("pages", () => {
  const assets = { script: "start()", style: "p{}", scriptHash: "sha256-a", styleHash: "sha256-b" };

  it("hold data that cannot end its element, under a policy that lets in nothing else", () => {
    const text = "</script><script>alert(1)</script><!--";
    const page = documentOf(text, { rooms: [{ name: text, text }], examples: [], links: [] }, assets);
    expect(page.match(/<script/g)).toHaveLength(2);
    expect(page.match(/<!--/g)).toBeNull();
    expect(page).toContain("default-src 'none'; script-src 'sha256-a'; style-src 'sha256-b'; worker-src blob:");
    const data = /<script type="application\/json" id="room-data">(.*)<\/script>/.exec(page)?.[1] ?? "";
    expect((JSON.parse(data) as { readonly rooms: readonly object[] }).rooms).toEqual([{ name: text, text }]);
  });

  it("hold long rooms compressed", () => {
    expect(sourceOf("a", "short", {})).toEqual({ name: "a", text: "short" });
    const { gzip, text } = sourceOf("a", "long ".repeat(200_000), { roomVersion: "10" });
    expect(text).toBeUndefined();
    expect(gzip?.length).toBeLessThan(10_000);
  });
});
