/** `roomdag draw`: a room as a page, or as a picture of its graph. */
import { writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { formatDot, formatMermaid } from "../../inspect/graph-text.js";
import { graphOf, foldRuns } from "../../inspect/graph.js";
import type { RoomGraph } from "../../inspect/graph.js";
import { readDump, readRecording } from "../../inspect/read.js";
import { checkRoom } from "../../inspect/room.js";
import { printable } from "../../inspect/format.js";
import { encodeCanonical } from "../../json/canonical.js";
import type { JsonObject } from "../../json/value.js";
import { layoutOf } from "../../page/layout.js";
import type { Source } from "../../page/protocol.js";
import { FOLD_FROM, SHORTEST_RUN } from "../../page/session.js";
import { formatSvg } from "../../page/svg.js";
import { dark, light } from "../../page/theme.js";
import { nodeProvider } from "../ed25519.js";
import { Failure } from "../failure.js";
import { expand, readText } from "../files.js";
import type { Output } from "../output.js";
import { eachStored } from "../store.js";
import type { StoreArguments } from "../store.js";
import { drawArguments } from "./arguments.js";
import type { DrawArguments } from "./arguments.js";
import { drawPng } from "./browser.js";
import { pageOf, readAssets, sourceOf } from "./page.js";

export async function runDraw(args: readonly string[], output: Output, errors: Output): Promise<number> {
  const options = drawArguments(args);
  const text = options.form === "html" ? await drawPage(options) : await drawPicture(options);
  if (text === undefined) return tell(options, errors);
  if (options.output === "-") {
    await output.write(text);
    return 0;
  }
  await writeFile(options.output, text).catch((error: unknown) => {
    throw new Failure(`${options.output} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
  });
  return tell(options, errors);
}

async function tell({ output }: DrawArguments, errors: Output): Promise<number> {
  await errors.write(`${printable(output)} is written.\n`);
  return 0;
}

function aboutOf({ roomVersion, roomId }: DrawArguments): { roomVersion?: string; roomId?: string } {
  return { ...(roomVersion === undefined ? {} : { roomVersion }), ...(roomId === undefined ? {} : { roomId }) };
}

async function drawPage(options: DrawArguments): Promise<string> {
  const assets = await readAssets();
  const rooms: Source[] = [];
  if (options.store !== undefined) {
    await eachStored(options.store, (roomId, recording) => {
      rooms.push(sourceOf(roomId, encodeCanonical(recording), { signatures: "assumed" }));
      return Promise.resolve();
    });
    if (rooms.length === 0) throw new Failure(`${options.store.data} holds no room`);
    return pageOf(rooms, [], assets);
  }
  const { files } = await expand(options.paths);
  for (const file of files) {
    const text = await readText(file);
    const dump = readDump(text, aboutOf(options));
    if (!dump.ok) throw new Failure(`${file}: ${dump.error.reason}`);
    if (dump.value.roomVersion === undefined) {
      throw new Failure(`${file}: nothing in it tells the room version (--room-version)`);
    }
    rooms.push(sourceOf(file === "-" ? "standard input" : basename(file), text, aboutOf(options)));
  }
  return pageOf(rooms, [], assets);
}

async function drawPicture(options: DrawArguments): Promise<string | undefined> {
  const graph = await graphAt(options);
  const shortest = options.fold && graph.events.length >= FOLD_FROM ? SHORTEST_RUN : Infinity;
  if (options.form === "dot") return formatDot(graph, { shortest });
  if (options.form === "mermaid") return formatMermaid(graph, { shortest });
  const nodes = foldRuns(graph, { shortest });
  const svg = formatSvg(graph, { nodes, layout: layoutOf(nodes) }, options.dark ? dark : light);
  if (options.form !== "png") return svg;
  await drawPng(svg, options.output);
  return undefined;
}

async function graphAt(options: DrawArguments): Promise<RoomGraph> {
  if (options.store !== undefined) return storedGraph(options.store);
  const [file = "-"] = options.paths;
  const dump = readDump(await readText(file), aboutOf(options));
  if (!dump.ok) throw new Failure(`${file}: ${dump.error.reason}`);
  const report = checkRoom(dump.value, { provider: nodeProvider() });
  if (report.ok) return graphOf(report.value);
  throw new Failure(`${file}: ${report.error.reason} (--room-version)`);
}

async function storedGraph(store: StoreArguments): Promise<RoomGraph> {
  const found: { readonly roomId: string; readonly recording: JsonObject }[] = [];
  await eachStored(store, (roomId, recording) => {
    found.push({ roomId, recording });
    return Promise.resolve();
  });
  const [room, other] = found;
  if (room === undefined) throw new Failure(`${store.data} holds no room`);
  if (other !== undefined)
    throw new Failure(`a picture is of one room, and ${store.data} holds ${found.length}: --room`);
  const dump = readRecording(room.recording);
  const report = dump.ok ? checkRoom(dump.value, { signatures: "assumed" }) : dump;
  if (report.ok) return graphOf(report.value);
  throw new Failure(`${room.roomId}: ${report.error.reason}`);
}
