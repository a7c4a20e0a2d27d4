/** Seeds that once broke a rule, with what they found. Each is run again by every test. */
export const REGRESSIONS: readonly { readonly seed: number; readonly found: string }[] = [];
