/*
 * The event generator: persons, auctions and bids in the proportions of NEXMark, 1 to 3 to 46.
 *
 * Written from the published description of the benchmark: hot keys, log-uniform prices, events out of order. It is no
 * port, and its events aren't those of Beam's or Flink's generator.
 *
 * 1. An event is a function of the seed and its number alone. Options of the delivery change only the order of events,
 *    and how often each is sent.
 * 2. Ids sort in the order of generation, so they break ties.
 * 3. A bid may name an auction, and an auction a seller, that comes up to ten ids later.
 */
import {
  type Auction,
  type AuctionEvent,
  type Bid,
  type BidEvent,
  type NexmarkEvent,
  type PersonEvent,
} from "./events.ts";
import { Draw } from "./random.ts";

export const DEFAULTS = {
  events: 100_000,
  /** The number of the first event. Several generators may share one stream. */
  first: 0,
  seed: 1,
  /** Events per second of event time. The classic default is 10,000. */
  rate: 1_000,
  /** The longest delay of an event that arrives out of order. */
  outOfOrderMs: 0,
  delayProb: 0.1,
  /** The share of events that arrive later than `outOfOrderMs`, by up to `lateMs`. */
  lateProb: 0,
  lateMs: 10_000,
  /** The share of events that are sent twice, the second time up to `duplicateMs` later. */
  duplicateProb: 0,
  duplicateMs: 1_000,
  /** A reference goes to the hot key with the probability 1 - 1/ratio. */
  hotAuctionRatio: 2,
  hotSellerRatio: 4,
  hotBidderRatio: 4,
  /** Auctions that are open at a time. */
  inFlight: 100,
  activePeople: 1_000,
  /** 1 fills `extra` up to the classic average sizes of 200, 500 and 100 bytes. 0 leaves it empty. */
  pad: 1,
};

export type GeneratorOptions = typeof DEFAULTS;

/** Of 50 events in a row the first is a person, the next three are auctions, and the others are bids. */
const [PERSONS, AUCTIONS, BIDS] = [1, 3, 46] as const;
const EPOCH = PERSONS + AUCTIONS + BIDS;

const START_MS = Date.parse("2015-07-15T00:00:00.000Z");
const FIRST_ID = 1000;
const FIRST_CATEGORY = 10;
const CATEGORIES = 5;
/** References reach so many ids into the future. */
const ID_LEAD = 10;
/** The hot auction, seller and bidder change with every so many ids. */
const HOT_EVERY = 100;
const CHANNELS = 10_000;
/** Average sizes in characters, which `extra` fills up to. */
const SIZES = { person: 200, auction: 500, bid: 100 } as const;

/** Salts keep apart what is drawn for one number. */
const SALTS = { event: 1, delivery: 2, hotUrl: 7, url: 8 } as const;

// Word lists of our own.
const PLACES: readonly (readonly [state: string, cities: readonly string[]])[] = [
  ["AZ", ["Tucson", "Mesa", "Flagstaff"]],
  ["CA", ["Oakland", "San Jose", "Fresno", "San Diego"]],
  ["ID", ["Boise", "Nampa"]],
  ["OR", ["Portland", "Eugene", "Salem"]],
  ["WA", ["Seattle", "Tacoma", "Spokane"]],
  ["WY", ["Casper", "Laramie"]],
];
const GIVEN_NAMES = "Ada Ben Chloe Dmitri Elif Farid Grace Hiro Inés Jonas Keiko Luis Maya Noor Olga Peter".split(" ");
const FAMILY_NAMES =
  "Abbott Brown Costa Diaz Evans Fischer García Hansen Ito Jones Kim Lopez Müller Novak Okafor Smith".split(" ");
const ADJECTIVES =
  "antique blue boxed broken cast-iron classic hand-made large mint rare signed small used vintage".split(" ");
const NOUNS = "amplifier atlas bicycle camera chair clock guitar lamp map radio stamp teapot typewriter watch".split(
  " ",
);
const HOT_CHANNELS = ["Google", "Facebook", "Baidu", "Apple"];

export class NexmarkGenerator {
  readonly options: GeneratorOptions;
  /** The time in which as many auctions open as are open at a time. */
  readonly #horizonMs: number;

  constructor(options: Partial<GeneratorOptions> = {}) {
    this.options = { ...DEFAULTS, ...options };
    const { inFlight, rate } = this.options;
    this.#horizonMs = Math.max(1, Math.round(((inFlight * EPOCH) / AUCTIONS / rate) * 1000));
  }

  event(number: number): NexmarkEvent {
    const draw = new Draw(this.options.seed, number, SALTS.event);
    const place = number % EPOCH;
    if (place < PERSONS) return this.#person(draw, number);
    return place < PERSONS + AUCTIONS ? this.#auction(draw, number) : this.#bid(draw, number);
  }

  /** All events, each once, in the order of their times and ids. */
  events(): NexmarkEvent[] {
    const { first, events } = this.options;
    return Array.from({ length: events }, (_, i) => this.event(first + i));
  }

  /** The numbers of the events in the order of their arrival. Duplicates stand twice. */
  arrivals(): number[] {
    const { first, events, seed, outOfOrderMs, delayProb, lateProb, lateMs, duplicateProb, duplicateMs } = this.options;
    const found: { readonly number: number; readonly atMs: number }[] = [];
    for (let number = first; number < first + events; number++) {
      const draw = new Draw(seed, number, SALTS.delivery);
      const [late, delayed, by] = [draw.float(), draw.float(), draw.float()];
      let atMs = this.#timeMs(number);
      if (late < lateProb) atMs += outOfOrderMs + 1 + Math.floor(by * lateMs);
      else if (outOfOrderMs > 0 && delayed < delayProb) atMs += 1 + Math.floor(by * outOfOrderMs);
      found.push({ number, atMs });
      if (draw.float() < duplicateProb) found.push({ number, atMs: atMs + Math.floor(draw.float() * duplicateMs) });
    }
    // The sort is stable: events that arrive at the same time stay in the order of their numbers.
    return found.sort((a, b) => a.atMs - b.atMs).map(({ number }) => number);
  }

  #person(draw: Draw, number: number): PersonEvent {
    const id = FIRST_ID + this.#newest(number).person;
    const [given, family, [state, cities]] = [draw.pick(GIVEN_NAMES), draw.pick(FAMILY_NAMES), draw.pick(PLACES)];
    const data = {
      id,
      name: `${given} ${family}`,
      emailAddress: `${draw.word(7)}@${draw.word(5)}.example`,
      creditCard: Array.from({ length: 4 }, () => draw.digits(4)).join(" "),
      city: draw.pick(cities),
      state,
    };
    return this.#sent("person", number, id, this.#padded(draw, data, SIZES.person));
  }

  #auction(draw: Draw, number: number): AuctionEvent {
    const newest = this.#newest(number);
    const id = FIRST_ID + newest.auction;
    const initialBid = draw.price();
    const { hotSellerRatio } = this.options;
    const seller = isHot(draw, hotSellerRatio) ? hotOf(newest.person) : this.#recentPerson(draw, newest.person);
    const data: Omit<Auction, "extra"> = {
      id,
      itemName: `${draw.pick(ADJECTIVES)} ${draw.pick(NOUNS)}`,
      description: draw.text(60 + draw.below(80)).trim(),
      initialBid,
      reserve: initialBid + draw.price(),
      expires: iso(this.#timeMs(number) + 1 + draw.below(2 * this.#horizonMs)),
      seller: FIRST_ID + seller,
      category: FIRST_CATEGORY + draw.below(CATEGORIES),
    };
    return this.#sent("auction", number, id, this.#padded(draw, data, SIZES.auction));
  }

  #bid(draw: Draw, number: number): BidEvent {
    const newest = this.#newest(number);
    const { hotAuctionRatio, hotBidderRatio } = this.options;
    const auction = isHot(draw, hotAuctionRatio) ? hotOf(newest.auction) : this.#openAuction(draw, newest.auction);
    const bidder = isHot(draw, hotBidderRatio) ? hotOf(newest.person) + 1 : this.#recentPerson(draw, newest.person);
    const { channel, url } = this.#channel(draw);
    const data: Omit<Bid, "extra"> = {
      auction: FIRST_ID + auction,
      bidder: FIRST_ID + bidder,
      price: draw.price(),
      channel,
      url,
    };
    return this.#sent("bid", number, data.auction, this.#padded(draw, data, SIZES.bid));
  }

  /** Half of the bids come through one of four channels. Each channel has an address of its own. */
  #channel(draw: Draw): { channel: string; url: string } {
    if (draw.float() < 0.5) {
      const hot = draw.below(HOT_CHANNELS.length);
      return { channel: HOT_CHANNELS[hot]!, url: urlOf(new Draw(this.options.seed, hot, SALTS.hotUrl)) };
    }
    const number = draw.below(CHANNELS);
    const own = new Draw(this.options.seed, number, SALTS.url);
    const url = urlOf(own);
    return { channel: `channel-${number}`, url: own.float() < 0.9 ? `${url}&channel_id=${own.below(2 ** 30)}` : url };
  }

  #sent<Type extends string, Data>(type: Type, number: number, key: number, data: Data) {
    const id = `nx${this.options.seed}-${String(number).padStart(10, "0")}`;
    return { id, type, time: iso(this.#timeMs(number)), key: String(key), data };
  }

  /** Fills up to the size, give or take a fifth. */
  #padded<Data extends object>(draw: Draw, data: Data, size: number): Data & { extra: string } {
    if (this.options.pad === 0) return { ...data, extra: "" };
    const missing = Math.round(size * (0.8 + 0.4 * draw.float())) - JSON.stringify({ ...data, extra: "" }).length;
    return { ...data, extra: missing > 0 ? draw.text(missing) : "" };
  }

  /** The counts of the newest person and auction that exist when the event happens. */
  #newest(number: number): { person: number; auction: number } {
    const epoch = Math.floor(number / EPOCH);
    const place = number % EPOCH;
    return {
      person: epoch * PERSONS + Math.min(place, PERSONS - 1),
      auction: epoch * AUCTIONS + Math.max(-1, Math.min(place - PERSONS, AUCTIONS - 1)),
    };
  }

  #recentPerson(draw: Draw, newest: number): number {
    return recent(draw, newest, this.options.activePeople);
  }

  #openAuction(draw: Draw, newest: number): number {
    return recent(draw, newest, this.options.inFlight);
  }

  #timeMs(number: number): number {
    return START_MS + Math.floor((number * 1000) / this.options.rate);
  }
}

/** Draws one of the newest so many, or of the ten that come next. */
function recent(draw: Draw, newest: number, many: number): number {
  const count = Math.min(newest + 1, many);
  return newest - count + 1 + draw.below(count + ID_LEAD);
}

const isHot = (draw: Draw, ratio: number): boolean => draw.float() < 1 - 1 / ratio;
const hotOf = (newest: number): number => Math.floor(newest / HOT_EVERY) * HOT_EVERY;
const iso = (ms: number): string => new Date(ms).toISOString();
const urlOf = (draw: Draw): string =>
  `https://www.nexmark.example/${draw.word(4)}/${draw.word(4)}/${draw.word(4)}/item.htm?query=1`;
