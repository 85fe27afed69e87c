/** How long to leave somebody alone who does not answer. */

/** Beyond this many failures a pause grows no more, whatever the longest may be. */
const MOST_DOUBLINGS = 30;

/** The pause after so many failures in a row, in milliseconds: each twice as long as the last, up to the longest. */
export function backOff(
  { retryFirst, retryLongest }: { readonly retryFirst: number; readonly retryLongest: number },
  failures: number,
): number {
  const doublings = Math.min(Math.max(failures - 1, 0), MOST_DOUBLINGS);
  return Math.min(retryFirst * 2 ** doublings, retryLongest);
}
