/** Printing rows as tables that can stand in a Markdown page as they are. */
import type { Figure } from "./engine-memory.js";
import type { Row } from "./measure.js";
import type { Growth } from "./resolution.js";

export function duration(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toPrecision(3)} s`;
  if (ms >= 1) return `${ms.toPrecision(3)} ms`;
  if (ms >= 1e-3) return `${(ms * 1e3).toPrecision(3)} µs`;
  return `${(ms * 1e6).toPrecision(3)} ns`;
}

export function times(factor: number | undefined): string {
  if (factor === undefined) return "";
  return `× ${factor >= 100 ? Math.round(factor).toLocaleString("en") : factor.toPrecision(2)}`;
}

function rate(ms: number): string {
  const perSecond = 1000 / ms;
  return perSecond >= 100 ? Math.round(perSecond).toLocaleString("en") : perSecond.toPrecision(2);
}

export function rowsTable(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.name,
    rate(row.median),
    duration(row.median),
    duration(row.min),
    duration(row.max),
    times(row.timesFloor),
    times(row.timesFloorMin),
    row.floor ?? "",
  ]);
  return table(["", "per second", "median", "min", "max", "median × floor", "min × floor", "floor"], cells);
}

export function growthTable(growths: readonly Growth[]): string {
  const cells = growths.map((growth) => [
    growth.parameter,
    `${growth.from.toLocaleString("en")} → ${growth.to.toLocaleString("en")}`,
    times(growth.to / growth.from),
    times(growth.cost),
    times(growth.costMin),
    growth.fixed,
  ]);
  return table(["parameter", "from → to", "grows", "cost grows (median)", "cost grows (min)", "the rest"], cells);
}

export function figuresTable(figures: readonly Figure[]): string {
  const cells = figures.map(({ name, value, unit }) => [
    name,
    unit === "ms" ? duration(value) : `${Math.round(value).toLocaleString("en")} ${unit}`,
  ]);
  return table(["", "measured"], cells);
}

export function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((title, at) => Math.max(title.length, ...body.map((cells) => cells[at]?.length ?? 0)));
  const padded = (cell: string, at: number): string => {
    const width = widths[at] ?? 0;
    return at === 0 ? cell.padEnd(width) : cell.padStart(width);
  };
  const line = (cells: readonly string[]): string => `| ${cells.map(padded).join(" | ")} |`;
  // A colon at the end aligns to the right.
  const rule = widths.map((width, at) => "-".repeat(width + 1) + (at === 0 ? "-" : ":")).join("|");
  return [line(head), `|${rule}|`, ...body.map(line)].join("\n");
}
