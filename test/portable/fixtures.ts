/** `node:fs` for tests on runtimes without files: the repository's fixtures, which the bundle carries. */
import files from "portable:fixtures";

const ROOT = "file:///roomdag/";

function pathOf(url: URL | string): string {
  const { href } = new URL(url, ROOT);
  if (!href.startsWith(ROOT)) throw new Error(`${href} is not among the fixtures`);
  return href.slice(ROOT.length);
}

export function readFileSync(url: URL | string, encoding: string): string {
  if (encoding !== "utf8") throw new Error("fixtures are read as text");
  const text = files[pathOf(url)];
  if (text === undefined) throw new Error(`there is no ${String(url)}`);
  return text;
}

export function readdirSync(url: URL | string): string[] {
  const folder = pathOf(url).replace(/\/?$/, "/");
  const below = Object.keys(files).filter((path) => path.startsWith(folder));
  return [...new Set(below.map((path) => path.slice(folder.length).split("/")[0] ?? ""))].sort();
}

export function existsSync(url: URL | string): boolean {
  return pathOf(url) in files;
}
