/** The paths of routes, as the client, the command line and the dashboard call them. */

export const operatorPath = (operator: string): string => `/v1/operators/${encodeURIComponent(operator)}`;

export const partitionPath = (operator: string, partition: number): string =>
  `${operatorPath(operator)}/partitions/${partition}`;

export const TIMELINES_PATH = "/v1/timelines";

export const timelinePath = (name: string): string => `${TIMELINES_PATH}/${encodeURIComponent(name)}`;

export const replayPath = (name: string): string => `${timelinePath(name)}/replay`;

export const promotionPath = (name: string): string => `${timelinePath(name)}/promotion`;

export const SAVEPOINTS_PATH = "/v1/savepoints";

export const savepointPath = (name: string): string => `${SAVEPOINTS_PATH}/${encodeURIComponent(name)}`;

/** A path with one more parameter. */
export const withParam = (path: string, name: string, value: string): string =>
  `${path}${path.includes("?") ? "&" : "?"}${new URLSearchParams({ [name]: value }).toString()}`;
