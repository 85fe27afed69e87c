/** What a server says of itself: one line for each event, for people or for programs. */
import { printable } from "../../inspect/format.js";

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "json" | "text";

type Field = string | number | boolean | undefined | readonly string[];

/** Fields that are `undefined` are left out. */
export type LogFields = Readonly<Record<string, Field>>;

export interface Log {
  /** Whether events of this level are written. */
  says(level: LogLevel): boolean;
  error(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  debug(event: string, fields?: LogFields): void;
}

export interface LogOptions {
  readonly format: LogFormat;
  readonly level: LogLevel;
  readonly write: (line: string) => void;
  readonly now: () => number;
}

export function createLog({ format, level: most, write, now }: LogOptions): Log {
  const says = (level: LogLevel): boolean => logLevels.indexOf(level) <= logLevels.indexOf(most);
  const line = format === "json" ? jsonLine : textLine;
  const at =
    (level: LogLevel) =>
    (event: string, fields: LogFields = {}): void => {
      if (says(level)) write(`${line(new Date(now()).toISOString(), level, event, fields)}\n`);
    };
  return { says, error: at("error"), warn: at("warn"), info: at("info"), debug: at("debug") };
}

function jsonLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  return JSON.stringify({ time, level, event, ...fields });
}

function textLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  const told = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${quoted(typeof value === "object" ? value.join(",") : String(value))}`],
  );
  return [time, level.padEnd(5), event, ...told].join(" ");
}

/** Much of what is logged came from other servers: it must not end the line, nor steer a terminal. */
function quoted(text: string): string {
  const safe = printable(text);
  return /^[^\s"=]+$/.test(safe) ? safe : JSON.stringify(safe);
}
