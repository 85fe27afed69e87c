/** Arrays kept in order by a number, for rows that nearly always come in order. */

/** The first index whose entry's number is at least `least`; the length of the array when there is none. */
export function lowerBound<T>(entries: readonly T[], numberOf: (entry: T) => number, least: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && numberOf(entry) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Puts an entry where its number belongs, behind others of the same number. At the end, that costs nothing. */
export function insertInOrder<T>(entries: T[], numberOf: (entry: T) => number, entry: T): void {
  const number = numberOf(entry);
  const last = entries.at(-1);
  if (last === undefined || numberOf(last) <= number) {
    entries.push(entry);
    return;
  }
  let at = lowerBound(entries, numberOf, number);
  for (let next = entries[at]; next !== undefined && numberOf(next) === number; next = entries[at]) at++;
  entries.splice(at, 0, entry);
}

/** Takes an entry out that stands at its number. */
export function removeInOrder<T>(entries: T[], numberOf: (entry: T) => number, entry: T): void {
  const at = entries.indexOf(entry, lowerBound(entries, numberOf, numberOf(entry)));
  if (at >= 0) entries.splice(at, 1);
}
