/** Times as RFC 3339 writes them. */

const TIME = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})$/;
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** With the calendar checked: `Date` would roll 30 February over into March. A space may stand for the T, as its section 5.6 notes. */
export function isTime(text: string): boolean {
  if (!TIME.test(text)) return false;
  const two = (at: number): number => (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;
  const month = two(5);
  const day = two(8);
  if (month < 1 || month > 12 || day < 1 || day > DAYS[month - 1]!) return false;
  const year = two(0) * 100 + two(2);
  if (month === 2 && day === 29 && (year % 4 !== 0 || (year % 100 === 0 && year % 400 !== 0))) return false;
  if (two(11) > 23 || two(14) > 59 || two(17) > 60) return false;
  const end = text.length;
  return text.charCodeAt(end - 1) > 57 || (two(end - 5) < 24 && two(end - 2) < 60);
}
