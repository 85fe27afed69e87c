/**
 * Writes the tables of docs/federation.md from the code. What is between the markers is generated, the rest is not.
 *
 *   node scripts/federation-docs.mjs            write them (from the built package)
 *   node scripts/federation-docs.mjs --check    fail if the page differs from what the code gives
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { root } from "./entries.mjs";

/**
 * @typedef {import("../src/federation/index.js").OperationEntry} OperationEntry
 * @typedef {import("../src/federation/index.js").ErrorForm} ErrorForm
 * @typedef {{
 *   operationTable: Readonly<Record<string, OperationEntry>>,
 *   errorForms: Readonly<Record<string, ErrorForm>>,
 *   errorsOf: (name: any) => readonly string[],
 * }} Source
 */

const page = `${root}docs/federation.md`;

const auths = { "x-matrix": "signed", none: "anybody" };
const acls = { request: "request", each: "each event and EDU", none: "—" };

/** @param {readonly string[]} names */
const quoted = (names) => names.map((name) => `\`${name}\``).join(", ");

/** @param {readonly string[]} cells */
const row = (...cells) => `| ${cells.join(" | ")} |`;

/** @param {readonly string[]} heads @param {readonly string[][]} rows */
const table = (heads, rows) => [row(...heads), row(...heads.map(() => "---")), ...rows.map((cells) => row(...cells))];

/** @param {Source} source */
function operations({ operationTable }) {
  return table(
    ["Operation", "In the draft", "HTTP", "Asked by", "Who may ask", "ACL bars"],
    Object.entries(operationTable).map(([name, { draft, endpoints, askedBy, auth, acl }]) => [
      quoted([name]),
      draft === undefined ? "—" : `[${draft}]`,
      endpoints.map(({ method, path }) => `\`${method} ${path}\``).join("<br>"),
      askedBy.length === 0 ? "—" : quoted(askedBy),
      auths[auth],
      acls[acl],
    ]),
  );
}

/** @param {Source} source */
function answers({ operationTable, errorsOf }) {
  return table(
    ["Operation", "Errors"],
    Object.keys(operationTable).map((name) => [quoted([name]), quoted(errorsOf(name).toSorted())]),
  );
}

/** @param {Source} source */
function errors({ errorForms }) {
  return table(
    ["Code", "Status", "`errcode`", "Meaning"],
    Object.entries(errorForms).map(([code, form]) => {
      const [status, errcode] =
        form.kind === "own"
          ? [String(form.status), quoted([form.errcode])]
          : form.kind === "shared"
            ? ["—", `as ${quoted([form.as])}`]
            : ["—", "is no answer"];
      return [quoted([code]), status, errcode, form.meaning];
    }),
  );
}

const parts = { operations, answers, errors };

/**
 * The page with its tables written anew.
 * @param {string} text
 * @param {Source} source
 */
export function render(text, source) {
  let rendered = text;
  for (const [name, part] of Object.entries(parts)) {
    const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const [before, rest, ...more] = rendered.split(begin);
    const after = rest?.split(end)[1];
    if (rest === undefined || after === undefined || more.length > 0)
      throw new Error(`${begin} … ${end} is not there once`);
    rendered = [before, begin, "\n\n", part(source).join("\n"), "\n\n", end, after].join("");
  }
  return rendered;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const built = `${root}dist/federation/index.js`;
  const source = /** @type {Source} */ (await import(pathToFileURL(built).href));
  const text = readFileSync(page, "utf8");
  const rendered = render(text, source);
  if (!process.argv.includes("--check")) writeFileSync(page, rendered);
  else if (rendered !== text) {
    console.error("docs/federation.md is not what the code gives: run node scripts/federation-docs.mjs");
    process.exitCode = 1;
  }
}
