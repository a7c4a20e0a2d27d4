/**
 * The books of the bank: which transfers there are, as its tellers know them, and so how much money may be missing at a
 * stamp.
 *
 * BOOKS1. A transfer takes money from one account, and puts it on another one when the first answer is there. Its second
 *     event is sent with the stamp of that answer (TIME1).
 * BOOKS2. At a stamp money may be under way if its first event may be at or below the stamp, and its second one above.
 */
import type { Stamp } from "../../src/engine/base/ids.ts";

/** Two operators have them, in all partitions. */
export const ACCOUNTS = ["a", "b", "c", "d", "e", "f"] as const;
export const OPERATORS = ["count", "credits"] as const;
export type OperatorName = (typeof OPERATORS)[number];

export interface Account {
  readonly operator: OperatorName;
  readonly key: string;
}

/** Money on its way to an account. */
export interface Transfer {
  readonly n: number;
  /** Its first event is above this stamp. */
  readonly after: number;
  /** Its second event is at or below this stamp: infinite until it is answered. */
  credited: number;
  /** The first event was refused, so there is nothing to move. */
  refused: boolean;
}

export class Books {
  /** All the money that there is. */
  minted = 0;
  /** The newest stamp that a teller was answered. */
  heard = 0;
  readonly #transfers: Transfer[] = [];

  /** Money that comes from nowhere, or from an account. */
  begin(n: number, after: number): Transfer {
    const transfer = { n, after, credited: Number.POSITIVE_INFINITY, refused: false };
    this.#transfers.push(transfer);
    return transfer;
  }

  /** The most that may be under way at a stamp. */
  underway(at: Stamp): number {
    return this.#transfers
      .filter(({ after, credited, refused }) => !refused && after < at && credited > at)
      .reduce((sum, { n }) => sum + n, 0);
  }

  /** The flaw of a sum of balances, or null. */
  flaw(at: Stamp, total: number): string | null {
    const missing = this.minted - total;
    if (missing < 0) return `stamp ${at} shows ${total}, and there is no more than ${this.minted}`;
    const most = this.underway(at);
    return missing > most ? `stamp ${at} lacks ${missing}, and at most ${most} are under way` : null;
  }
}
