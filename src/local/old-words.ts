/**
 * Words that the glossary has replaced, each with its successor (docs/reference/glossary.md). `npm run words` looks for
 * them in code, comments, messages and documents, because one thing has one word everywhere.
 */

export interface OldWord {
  readonly pattern: RegExp;
  readonly instead: string;
}

const old = (pattern: RegExp, instead: string): OldWord => ({ pattern, instead });

export const OLD_WORDS: readonly OldWord[] = [
  // A clock may be set back: that is no database.
  old(/(?<!\bclock (was|is|may be) )\bset back\b/i, "restored to an older point"),
  old(/\bset forward\b/i, "restored to a later point"),
  old(/\b(set|sets|setting) aside\b/i, "quarantined"),
  old(/\bdrill(s|ed)?\b/i, "verify, verification"),
  old(/\b(sweep(s|ing)?|swept)\b/i, "garbage collection, cron"),
  // `text.repeat(3)` of JavaScript and `repeat(2, 1fr)` of CSS are calls.
  old(/\brepeats?\b(?= of\b| gets\b| hears\b)|"repeat"|\b(a|every|each) repeat\b(?!\()/, "retry, duplicate"),
  old(/\breckon/i, "estimate"),
  old(/\bdear(er|est)?\b/i, "expensive"),
  old(/\bmend(s|ed|ing)?\b/i, "fix"),
  old(/\b(is|are|was|were|all|stays) well\b(?! as\b|-)/i, "healthy"),
  old(/\b(goes|going|went) on\b/i, "resumes, continues"),
  old(/\b(not|all are) whole\b|"whole +"/i, "intact, corrupt"),
  old(/\b(would be|slowest) back in\b/i, "estimated recovery"),
  old(/--promise\b/, "--target"),
  old(/\bbudget_|\bbodies_held\b/, "quota, too_many_bodies"),
  old(/\b(earlier|later|old|new|log's|next) (life|lives)\b|\blife (\d|\$\{)/i, "incarnation"),
  old(/\bin the shadow\b/i, "beside the live state"),
  old(/\bfrom here on\b/i, "from now on"),
  old(/\b(file|snapshot|object) is damaged\b|\bdamaged (snapshot|file)s?\b(?! or)/i, "corrupt"),
  old(/\b(app|route) is shut\b|"shut"/i, "closed"),
];
