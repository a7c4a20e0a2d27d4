// Counters of what a bench Worker has used so far, in the units of the bill. The Worker and its Durable Objects share
// one isolate in the local runtime, so plain module state sees both; in production it would not.

export const counters = {
  workerRequests: 0,
  objectRequests: 0,
  objectRowsRead: 0,
  objectRowsWritten: 0,
  d1Calls: 0,
  d1RowsRead: 0,
  d1RowsWritten: 0,
  r2ClassA: 0,
  r2ClassB: 0,
  /** Of objects that were put; R2 doesn't bill them, but what it stores. */
  r2BytesPut: 0,
};

export type Counters = typeof counters;

/** The route that reads the counters is answered before the system under test sees the request. */
export function countersAnswer(request: Request): Response | undefined {
  if (request.url.endsWith("/bench/counters")) return Response.json(counters);
  counters.workerRequests += 1;
  return undefined;
}
