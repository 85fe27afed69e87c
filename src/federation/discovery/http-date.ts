/** Dates in HTTP headers (RFC 9110 section 5.6.7), without the platform's date parser, which takes far more. */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const MONTH = `(${MONTHS.join("|")})`;
const DAY_NAME = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const LONG_DAY_NAME = "(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day";
const TIME = String.raw`(\d\d):(\d\d):(\d\d)`;

/** `Sun, 06 Nov 1994 08:49:37 GMT`. */
const FIXED = new RegExp(String.raw`^${DAY_NAME}, (\d\d) ${MONTH} (\d{4}) ${TIME} GMT$`);
/** `Sunday, 06-Nov-94 08:49:37 GMT`, obsolete. */
const RFC_850 = new RegExp(String.raw`^${LONG_DAY_NAME}, (\d\d)-${MONTH}-(\d\d) ${TIME} GMT$`);
/** `Sun Nov  6 08:49:37 1994`, obsolete. */
const ASCTIME = new RegExp(String.raw`^${DAY_NAME} ${MONTH} ([ \d]\d) ${TIME} (\d{4})$`);

const DAY_MS = 24 * 60 * 60 * 1000;
const YEAR_MS = 365.2425 * DAY_MS;

/** Milliseconds since 1970, or `undefined` for what is no date in one of the three forms of HTTP. */
export function parseHttpDate(text: string, now: number): number | undefined {
  const fixed = FIXED.exec(text);
  if (fixed !== null) return toMilliseconds(Number(fixed[3]), fixed[2], fixed[1], fixed.slice(4));
  const asctime = ASCTIME.exec(text);
  if (asctime !== null) return toMilliseconds(Number(asctime[6]), asctime[1], asctime[2], asctime.slice(3, 6));
  const rfc850 = RFC_850.exec(text);
  if (rfc850 === null) return undefined;
  return toMilliseconds(fullYear(Number(rfc850[3]), now), rfc850[2], rfc850[1], rfc850.slice(4));
}

/** A year of two digits is the last such year that is not more than 50 years ahead. */
function fullYear(twoDigits: number, now: number): number {
  const latest = 1970 + Math.floor(now / YEAR_MS) + 50;
  return latest - ((((latest - twoDigits) % 100) + 100) % 100);
}

function toMilliseconds(
  year: number,
  monthName: string | undefined,
  dayText: string | undefined,
  time: readonly string[],
): number | undefined {
  const month = MONTHS.indexOf(monthName ?? "") + 1;
  const day = Number(dayText);
  const [hour = 0, minute = 0, second = 0] = time.map(Number);
  // Second 60 is a leap second.
  if (day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 60) return undefined;
  return daysSince1970(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000;
}

function daysIn(year: number, month: number): number {
  return daysSince1970(month === 12 ? year + 1 : year, (month % 12) + 1, 1) - daysSince1970(year, month, 1);
}

/** The Gregorian calendar, with the year beginning in March so that a leap day is its last. */
function daysSince1970(year: number, month: number, day: number): number {
  const marchYear = month > 2 ? year : year - 1;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfYear - 719_468;
}
