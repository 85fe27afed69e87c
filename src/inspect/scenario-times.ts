/** Times of scenarios: seconds from a fixed start, so that a line is short and an old time can still be written. */

/** Second 0 of every scenario. The first event comes at second 1. */
export const SCENARIO_START = 1_700_000_000_000;

const TIME = /^(-?)([0-9]{1,13})(?:\.([0-9]{1,3}))?$/;

/** Seconds with at most three decimals as milliseconds since 1970. */
export function readTime(text: string): number | undefined {
  const parts = TIME.exec(text);
  if (parts === null) return undefined;
  const [, sign, seconds = "", decimals = ""] = parts;
  const milliseconds = Number(seconds) * 1000 + Number(decimals.padEnd(3, "0"));
  const time = SCENARIO_START + (sign === "-" ? -milliseconds : milliseconds);
  return Number.isSafeInteger(time) ? time : undefined;
}

/** The same written. */
export function writeTime(time: number): string {
  const milliseconds = Math.abs(time - SCENARIO_START);
  const decimals = String(milliseconds % 1000)
    .padStart(3, "0")
    .replace(/0+$/, "");
  const seconds = `${time < SCENARIO_START ? "-" : ""}${Math.floor(milliseconds / 1000)}`;
  return decimals === "" ? seconds : `${seconds}.${decimals}`;
}
